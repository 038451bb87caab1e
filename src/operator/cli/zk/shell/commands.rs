//! The commands that ask the coordinator.

use std::io::{self, Write};

use bytes::Bytes;

use super::super::delete::{Delete, From};
use super::words::{Given, number};
use super::{Failure, data_line, quota, stat_lines, text};
use crate::client::zookeeper::{Client, Error};
use crate::coordinator::{Acl, Create, CreateMode, Reply, Request, SetData, Stat, permissions};

/// A command, the letters of its options, and its words for people.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) options: &'static str,
    /// How many words it needs behind its options.
    least: usize,
    pub(super) usage: &'static str,
}

const fn command(
    name: &'static str,
    options: &'static str,
    least: usize,
    usage: &'static str,
) -> Command {
    Command {
        name,
        options,
        least,
        usage,
    }
}

/// All there are, with those that ask nobody.
pub(super) const COMMANDS: &[Command] = &[
    command("addauth", "", 2, "scheme auth"),
    command("close", "", 0, ""),
    command("connect", "", 0, "[host:port]"),
    command("create", "se", 1, "[-s] [-e] path [data] [acl]"),
    command("delete", "v:", 1, "[-v version] path [version]"),
    command("deleteall", "", 1, "path"),
    command("delquota", "nb", 1, "[-n|-b] path"),
    command("get", "sw", 1, "[-w] path [watch]"),
    command("getAcl", "s", 1, "path"),
    command("history", "", 0, ""),
    command("listquota", "", 1, "path"),
    command("ls", "swR", 1, "[-s] [-w] [-R] path [watch]"),
    command("ls2", "", 1, "path [watch]"),
    command("printwatches", "", 0, "[on|off]"),
    command("quit", "", 0, ""),
    command("redo", "", 1, "cmdno"),
    command("rmr", "", 1, "path"),
    command("set", "sv:", 2, "[-v version] path data [version]"),
    command("setAcl", "sv:", 2, "[-v version] path acl [version]"),
    command("setquota", "n:b:", 1, "-n|-b val path"),
    command("stat", "w", 1, "[-w] path [watch]"),
    command("sync", "", 1, "path"),
];

/// Does one of them.
pub(super) async fn ask(
    client: &mut Client,
    from: &From<'_>,
    verb: &str,
    words: &[String],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(command) = COMMANDS.iter().find(|command| command.name == verb) else {
        let told = format!("unknown command '{verb}'; help lists those there are");
        return Err(Failure::Words(told));
    };
    let usage = || Failure::Words(format!("{verb} {}", command.usage));
    let given = Given::parse(command.options, words)?;
    if given.words.len() < command.least {
        return Err(usage());
    }
    if verb == "addauth" {
        let [scheme, data, ..] = given.words else {
            return Err(usage());
        };
        let request = Request::Auth {
            scheme: scheme.clone().into(),
            data: data.clone().into(),
        };
        let answer = client.call(&request).await;
        return answer
            .map(drop)
            .map_err(|error| Failure::of(error, &scheme.clone().into()));
    }
    let path = super::super::parse_path(&given.words[0]).map_err(Failure::Words)?;
    match verb {
        "create" => create(client, path, &given).await,
        "set" => set(client, path, &given).await,
        "setAcl" => set_acl(client, path, &given).await,
        "get" => get(client, path, &given, out).await,
        "getAcl" => get_acl(client, path, &given, out).await,
        "ls" | "ls2" if !given.has('R') => {
            let with_stat = verb == "ls2" || given.has('s');
            ls(client, path, watched(&given), with_stat, out).await
        }
        "ls" => {
            let below = super::super::below(client, &path).await;
            for path in [path.clone()]
                .iter()
                .chain(&below.map_err(|error| of_any(error, &path))?)
            {
                data_line(out, path)?;
            }
            Ok(())
        }
        "delete" => {
            let version = version(given.value('v').or(word(&given, 1)))?;
            delete(client, from, path, version, false).await
        }
        "rmr" | "deleteall" => delete(client, from, path, -1, true).await,
        "stat" => {
            let request = Request::Exists {
                path: path.clone(),
                watch: watched(&given),
            };
            tell_stat(call(client, &path, &request).await?)
        }
        "sync" => {
            call(client, &path, &Request::Sync { path: path.clone() }).await?;
            Ok(writeln!(out, "Sync returned 0")?)
        }
        "setquota" => {
            let limit = |letter| given.value(letter).map(number).transpose();
            quota::set(client, &path, limit('n')?, limit('b')?).await
        }
        "listquota" => quota::list(client, &path, out).await,
        "delquota" => quota::delete(client, &path, given.has('n'), given.has('b')).await,
        _ => Err(usage()),
    }
}

/// What `zk delete` refuses is refused here, too.
async fn delete(
    client: &mut Client,
    from: &From<'_>,
    path: Bytes,
    version: i32,
    recursive: bool,
) -> Result<(), Failure> {
    let delete = Delete {
        path: path.clone(),
        version,
        recursive,
        yes: false,
    };
    // The original says nothing when it is done.
    let done = delete.run(client, from, false, &mut io::sink()).await;
    done.map_err(|error| of_any(error, &path))
}

/// Asks about a znode.
pub(super) async fn call(
    client: &mut Client,
    path: &Bytes,
    request: &Request,
) -> Result<Reply, Failure> {
    let answer = client.call(request).await;
    answer.map_err(|error| Failure::of(error, path))
}

fn of_any(error: anyhow::Error, path: &Bytes) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) => Failure::of(error, path),
        Err(error) => match error.downcast() {
            Ok(told) => Failure::Told(told),
            Err(error) => Failure::Words(error.to_string()),
        },
    }
}

fn word<'a>(given: &Given<'a>, place: usize) -> Option<&'a str> {
    given.words.get(place).map(String::as_str)
}

fn version(word: Option<&str>) -> Result<i32, Failure> {
    word.map_or(Ok(-1), number)
}

/// To 3.4 any word behind the path is the wish for a watch.
fn watched(given: &Given<'_>) -> bool {
    given.has('w') || given.words.len() > 1
}

/// What is told beside the data.
fn tell_stat(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Stat(stat) => tell(&stat),
        _ => unreachable!("the reply is decoded as what answers the request"),
    }
}

fn tell(stat: &Stat) -> Result<(), Failure> {
    Ok(stat_lines(&mut io::stderr(), stat)?)
}

async fn create(client: &mut Client, path: Bytes, given: &Given<'_>) -> Result<(), Failure> {
    let request = Request::Create(Create {
        path: path.clone(),
        data: Some(word(given, 1).unwrap_or_default().to_owned().into()),
        acl: word(given, 2).map_or(Ok(vec![Acl::open()]), acl)?,
        mode: match (given.has('e'), given.has('s')) {
            (false, false) => CreateMode::Persistent,
            (false, true) => CreateMode::PersistentSequential,
            (true, false) => CreateMode::Ephemeral,
            (true, true) => CreateMode::EphemeralSequential,
        },
    });
    let Reply::Created { path } = call(client, &path, &request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    Ok(writeln!(io::stderr(), "Created {}", text(&path))?)
}

async fn set(client: &mut Client, path: Bytes, given: &Given<'_>) -> Result<(), Failure> {
    let request = Request::SetData(SetData {
        path: path.clone(),
        data: Some(given.words[1].clone().into()),
        version: version(given.value('v').or(word(given, 2)))?,
    });
    tell_stat(call(client, &path, &request).await?)
}

async fn set_acl(client: &mut Client, path: Bytes, given: &Given<'_>) -> Result<(), Failure> {
    let request = Request::SetAcl {
        path: path.clone(),
        acl: acl(&given.words[1])?,
        version: version(given.value('v').or(word(given, 2)))?,
    };
    tell_stat(call(client, &path, &request).await?)
}

async fn get(
    client: &mut Client,
    path: Bytes,
    given: &Given<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let request = Request::GetData {
        path: path.clone(),
        watch: watched(given),
    };
    let Reply::Data { data, stat } = call(client, &path, &request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    data_line(out, data.as_deref().unwrap_or(b"null"))?;
    tell(&stat)
}

async fn ls(
    client: &mut Client,
    path: Bytes,
    watch: bool,
    with_stat: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let request = Request::GetChildren2 {
        path: path.clone(),
        watch,
    };
    let Reply::Children2 { names, stat } = call(client, &path, &request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    let mut names: Vec<_> = names.iter().map(text).collect();
    names.sort_unstable();
    writeln!(out, "[{}]", names.join(", "))?;
    if with_stat {
        tell(&stat)?;
    }
    Ok(())
}

async fn get_acl(
    client: &mut Client,
    path: Bytes,
    given: &Given<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let request = Request::GetAcl { path: path.clone() };
    let Reply::Acl { acl, stat } = call(client, &path, &request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    for Acl {
        permissions,
        scheme,
        id,
    } in acl
    {
        let letters: String = LETTERS
            .iter()
            .filter(|(bit, _)| permissions & bit != 0)
            .map(|(_, letter)| letter)
            .collect();
        writeln!(out, "'{},'{}\n: {letters}", text(&scheme), text(&id))?;
    }
    if given.has('s') {
        tell(&stat)?;
    }
    Ok(())
}

/// The permissions in the order in which they are shown.
const LETTERS: &[(i32, char)] = &[
    (permissions::CREATE, 'c'),
    (permissions::DELETE, 'd'),
    (permissions::READ, 'r'),
    (permissions::WRITE, 'w'),
    (permissions::ADMIN, 'a'),
];

/// `scheme:id:permissions`, separated by commas; an id may have colons in it.
pub(super) fn acl(text: &str) -> Result<Vec<Acl>, Failure> {
    let entry = |entry: &str| {
        let wrong = || Failure::Words(format!("'{entry}' does not have the form scheme:id:perm"));
        let (who, letters) = entry.rsplit_once(':').ok_or_else(wrong)?;
        let (scheme, id) = who.split_once(':').ok_or_else(wrong)?;
        let mut bits = 0;
        for letter in letters.chars() {
            let known = LETTERS.iter().find(|(_, known)| *known == letter);
            let unknown = || Failure::Words(format!("Unknown perm type: {letter}"));
            bits |= known.ok_or_else(unknown)?.0;
        }
        Ok(Acl {
            permissions: bits,
            scheme: scheme.to_owned().into(),
            id: id.to_owned().into(),
        })
    };
    text.split(',').map(entry).collect()
}
