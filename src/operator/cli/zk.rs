//! `chrysalis zk`: looks at and changes the znodes of a coordinator, ours or any ZooKeeper.

use std::io::{self, IsTerminal, Read, Write};

use bytes::Bytes;
use clap::Subcommand;

use crate::client::zookeeper::{Client, Error};
use crate::coordinator::{
    Acl, Create, CreateMode, Refusal, Reply, Request, SetData, Stat, WatchEventKind,
};
use crate::operator::cli::interrupt::{Interrupt, interrupted};
use crate::operator::escaped;
use crate::report::{self, Code};
use crate::wire::zookeeper::error_code;

mod answer;
mod delete;
mod server;
mod shell;

pub(super) use server::{CoordinatorArgument, runtime};

use answer::{data_line, json_line, stat_lines};
use delete::{Delete, From};
use server::{Server, explain, explain_read};

/// Look at and change the znodes of a coordinator
///
/// Works with any ZooKeeper from 3.4 on. A path begins with `/`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis zk ls /meta/brokers/ids\n  \
    chrysalis zk get /meta/brokers/ids/1/master\n  \
    chrysalis zk create --parents /config/limit 100\n  \
    chrysalis zk watch /config/limit\n  \
    chrysalis zk --server zk1.example:2181 stat /")]
pub(super) struct Zk {
    #[command(flatten)]
    server: CoordinatorArgument,
    /// Show who you are first, as in digest:USER:PASSWORD; may be given again
    #[arg(long = "auth", value_name = "SCHEME:DATA", value_parser = parse_auth, global = true)]
    auth: Vec<Identity>,
    /// Answer in JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// A scheme and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    scheme: String,
    data: String,
}

fn parse_auth(text: &str) -> Result<Identity, String> {
    match text.split_once(':') {
        Some((scheme, data)) if !scheme.is_empty() => Ok(Identity {
            scheme: scheme.to_owned(),
            data: data.to_owned(),
        }),
        _ => Err("expected SCHEME:DATA, as in digest:USER:PASSWORD".to_owned()),
    }
}

fn parse_path(text: &str) -> Result<Bytes, String> {
    match text {
        "/" => Ok(text.to_owned().into()),
        _ if !text.starts_with('/') => Err(format!("a path begins with /: /{text}?")),
        _ if text.contains("//") => Err("a path has no empty names: //".to_owned()),
        _ => Ok(text.to_owned().into()),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the names of a znode's children, sorted
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk ls /meta/brokers/ids\n  \
        chrysalis zk ls -R /meta")]
    Ls {
        /// The znode
        #[arg(value_parser = parse_path, default_value = "/")]
        path: Bytes,
        /// Everything below it as well, as paths
        #[arg(long, short = 'R')]
        recursive: bool,
    },
    /// Print a znode's data
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk get /meta/brokers/ids/1/master\n  \
        chrysalis zk get --json /config/limit | jq .stat.version")]
    Get {
        /// The znode
        #[arg(value_parser = parse_path)]
        path: Bytes,
        /// Exactly the bytes, without a line feed after them
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Replace a znode's data
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk set /config/limit 200\n  \
        chrysalis zk set /config/limit 200 --version 3\n  \
        date | chrysalis zk set /config/when -")]
    Set {
        /// The znode
        #[arg(value_parser = parse_path)]
        path: Bytes,
        /// The data; `-` takes it from standard input
        #[arg(allow_negative_numbers = true)]
        data: String,
        /// Only if the data has this version (`dataVersion` of `zk stat`)
        #[arg(long, value_name = "N", default_value_t = -1, hide_default_value = true)]
        version: i32,
    },
    /// Make a znode, and print its path
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk create --parents /config/limit 100\n  \
        chrysalis zk create --sequential /queue/item- hello")]
    Create {
        /// The znode
        #[arg(value_parser = parse_path)]
        path: Bytes,
        /// Its data; `-` takes it from standard input
        #[arg(
            default_value = "",
            hide_default_value = true,
            allow_negative_numbers = true
        )]
        data: String,
        /// Append a number to the name: how often the parent's children have changed, so that it can skip numbers
        #[arg(long)]
        sequential: bool,
        /// Make the znodes above it that are missing
        #[arg(long, short = 'p')]
        parents: bool,
    },
    /// Delete a znode
    ///
    /// With -R it says how many went, whatever comes in between. `/` and `/zookeeper` are never deleted.
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk delete /config/limit\n  \
        chrysalis zk delete -R /config\n  \
        chrysalis zk delete -R /meta/consumers/billing --yes")]
    Delete {
        /// The znode
        #[arg(value_parser = parse_path)]
        path: Bytes,
        /// Only if the data has this version (`dataVersion` of `zk stat`)
        #[arg(long, value_name = "N", default_value_t = -1, hide_default_value = true)]
        version: i32,
        /// Everything below it first
        #[arg(long, short = 'R', conflicts_with = "version")]
        recursive: bool,
        /// With -R: also where it is more than 100 znodes, or where brokers and consumer groups keep theirs
        #[arg(long, requires = "recursive")]
        yes: bool,
    },
    /// Show what is known of a znode beside its data
    #[command(after_long_help = "Example:\n  \
        chrysalis zk stat /config/limit")]
    Stat {
        /// The znode
        #[arg(value_parser = parse_path)]
        path: Bytes,
    },
    /// Tell each change of a znode and of its children's names, until Ctrl-C
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk watch /config/limit\n  \
        chrysalis zk watch /config --count 1 && echo changed")]
    Watch {
        /// The znode; it need not exist yet
        #[arg(value_parser = parse_path)]
        path: Bytes,
        /// End after so many changes
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// ZooKeeper's own shell: zkCli.sh's commands and answers, in one session
    ///
    /// Does the command it is given, or each line of standard input. Ephemeral znodes and watches last as long
    /// as it does. `help` lists the commands.
    #[command(after_long_help = "Examples:\n  \
        chrysalis zk shell\n  \
        chrysalis zk shell getAcl /config\n  \
        printf 'create /a x\\nsetquota -n 10 /a\\n' | chrysalis zk shell --server zk1.example:2181")]
    Shell {
        /// A command of zkCli.sh
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "COMMAND"
        )]
        words: Vec<String>,
    },
}

impl Zk {
    /// Does what was asked.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let given = self.command.given()?;
        runtime()?.block_on(self.run_async(given, out))
    }

    async fn run_async(self, given: Option<Bytes>, out: &mut dyn Write) -> anyhow::Result<()> {
        if let Command::Shell { words } = self.command {
            return shell::run(&self.server, &self.auth, words, out).await;
        }
        let mut interrupt = Interrupt::listen()?;
        let stopped = || interrupted("ask the coordinator");
        let connected = interrupt.or(self.server.connect()).await;
        let (mut client, server) = connected.ok_or_else(stopped)??;
        let goes_on = matches!(self.command, Command::Watch { .. });
        let asked = interrupt
            .or(self.ask(&mut client, &server, given, out))
            .await;
        // The session is empty; if its end is lost it ends by itself.
        let _ended = client.close().await;
        match asked {
            Some(asked) => asked,
            // That is how one ends what goes on and on.
            None if goes_on => Ok(()),
            None => Err(stopped()
                .means("It is not known whether it was done.")
                .into()),
        }
    }

    async fn ask(
        self,
        client: &mut Client,
        server: &Server,
        given: Option<Bytes>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        authenticate(client, server, &self.auth).await?;
        let reads = self.command.only_reads();
        let from = From {
            server,
            flags: server.options(),
        };
        let (what, done) = self.command.run(client, &from, self.json, given, out).await;
        done.map_err(|error| match error.downcast::<Error>() {
            Ok(error) if reads => explain_read(error, server, &what).into(),
            Ok(error) => explain(error, server, &what).into(),
            Err(error) => error,
        })
    }
}

impl Command {
    /// Data of the command line, or of standard input; read before anything else, because that may take long.
    fn given(&self) -> Result<Option<Bytes>, report::Error> {
        match self {
            Command::Set { data, .. } | Command::Create { data, .. } if data == "-" => {
                standard_input().map(Some)
            }
            Command::Set { data, .. } | Command::Create { data, .. } => {
                Ok(Some(data.clone().into()))
            }
            _ => Ok(None),
        }
    }

    fn only_reads(&self) -> bool {
        match self {
            Command::Ls { .. } | Command::Get { .. } | Command::Stat { .. } => true,
            Command::Watch { .. } => true,
            Command::Set { .. } | Command::Create { .. } | Command::Delete { .. } => false,
            Command::Shell { .. } => false,
        }
    }

    /// What was tried, for the message if it went wrong, and how it went.
    async fn run(
        self,
        client: &mut Client,
        from: &From<'_>,
        json: bool,
        given: Option<Bytes>,
        out: &mut dyn Write,
    ) -> (String, anyhow::Result<()>) {
        let data = given.unwrap_or_default();
        let what = |verb: &str, path: &Bytes| format!("{verb} {}", String::from_utf8_lossy(path));
        match self {
            Command::Ls { path, recursive } => (
                what("list", &path),
                ls(client, path, recursive, json, out).await,
            ),
            Command::Get { path, raw } => {
                (what("get", &path), get(client, path, raw, json, out).await)
            }
            Command::Set { path, version, .. } => (
                what("set", &path),
                set(client, path, data, version, json, out).await,
            ),
            Command::Create {
                path,
                sequential,
                parents,
                ..
            } => {
                let tried = what("create", &path);
                let mode = match sequential {
                    true => CreateMode::PersistentSequential,
                    false => CreateMode::Persistent,
                };
                let new = New {
                    path,
                    data,
                    mode,
                    parents,
                };
                (tried, create(client, from, new, json, out).await)
            }
            Command::Delete {
                path,
                version,
                recursive,
                yes,
            } => {
                let tried = what("delete", &path);
                let delete = Delete {
                    path,
                    version,
                    recursive,
                    yes,
                };
                (tried, delete.run(client, from, json, out).await)
            }
            Command::Stat { path } => (what("look at", &path), stat(client, path, json, out).await),
            Command::Watch { path, count } => (
                what("watch", &path),
                watch(client, path, count, json, out).await,
            ),
            Command::Shell { .. } => unreachable!("the shell has a session of its own"),
        }
    }
}

async fn ls(
    client: &mut Client,
    path: Bytes,
    recursive: bool,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if recursive {
        for path in below(client, &path).await? {
            match json {
                true => json_line(out, &serde_json::json!({ "path": text(&path) }))?,
                false => data_line(out, &path)?,
            }
        }
        return Ok(());
    }
    let request = Request::GetChildren {
        path: path.clone(),
        watch: false,
    };
    let Reply::Children(names) = client.call(&request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    // Other servers give them in any order.
    let mut names: Vec<&[u8]> = names.iter().collect();
    names.sort_unstable();
    if json {
        let names: Vec<_> = names.into_iter().map(text).collect();
        let object = serde_json::json!({ "path": text(&path), "children": names });
        return Ok(json_line(out, &object)?);
    }
    for name in names {
        data_line(out, name)?;
    }
    Ok(())
}

/// All znodes below `path`, each before those below it.
async fn below(client: &mut Client, path: &Bytes) -> anyhow::Result<Vec<Bytes>> {
    let mut found: Vec<Bytes> = Vec::new();
    let mut level = vec![path.clone()];
    while !level.is_empty() {
        let requests: Vec<Request> = level
            .iter()
            .map(|path| Request::GetChildren {
                path: path.clone(),
                watch: false,
            })
            .collect();
        let mut next = Vec::new();
        let answers = client.call_all(&requests).await?;
        for (parent, answer) in level.iter().zip(answers) {
            match answer {
                Ok(Reply::Children(names)) => {
                    next.extend(names.iter().map(|name| child(parent, name)));
                }
                // Deleted by somebody else since it was listed.
                Err(refused) if is(refused.number, Refusal::NoNode) && parent != path => {}
                Err(refused) => return Err(Error::Refused(refused).into()),
                Ok(_) => unreachable!("the reply is decoded as what answers the request"),
            }
        }
        next.sort_unstable();
        found.extend_from_slice(&next);
        level = next;
    }
    Ok(found)
}

fn child(parent: &[u8], name: &[u8]) -> Bytes {
    let parent = parent.strip_suffix(b"/").unwrap_or(parent);
    [parent, b"/", name].concat().into()
}

async fn get(
    client: &mut Client,
    path: Bytes,
    raw: bool,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = Request::GetData {
        path: path.clone(),
        watch: false,
    };
    let Reply::Data { data, stat } = client.call(&request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    if json {
        return Ok(json_line(
            out,
            &answer::data(&path, data.as_deref(), &stat),
        )?);
    }
    let data = data.as_deref().unwrap_or_default();
    match raw {
        true => out.write_all(data)?,
        // What is in a znode must not steer a terminal.
        false if io::stdout().is_terminal() => {
            data_line(out, escaped::on_a_terminal(data).as_bytes())?;
        }
        false => data_line(out, data)?,
    }
    Ok(())
}

async fn set(
    client: &mut Client,
    path: Bytes,
    data: Bytes,
    version: i32,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = Request::SetData(SetData {
        path: path.clone(),
        data: Some(data),
        version,
    });
    let Reply::Stat(stat) = client.call(&request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    if json {
        json_line(out, &answer::stat(&path, &stat))?;
    }
    Ok(())
}

/// A znode to be made.
struct New {
    path: Bytes,
    data: Bytes,
    mode: CreateMode,
    /// Those above it as well.
    parents: bool,
}

async fn create(
    client: &mut Client,
    from: &From<'_>,
    new: New,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let data = new.data;
    let create = |path: Bytes, data: Bytes, mode: CreateMode| {
        Request::Create(Create {
            path,
            data: Some(data),
            acl: vec![Acl::open()],
            mode,
        })
    };
    let path = new.path;
    let mut above: Vec<Bytes> = Vec::new();
    if new.parents {
        let ends = path.iter().enumerate().skip(1);
        let ends = ends.filter(|(_, byte)| **byte == b'/');
        above.extend(ends.map(|(end, _)| path.slice(..end)));
    }
    let missing = above.iter().cloned();
    let missing = missing.map(|path| create(path, Bytes::new(), CreateMode::Persistent));
    let mut answers = Vec::new();
    let asked = client
        .call_each(&missing.collect::<Vec<_>>(), &mut answers)
        .await;
    let made = above
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.is_ok());
    let made: Vec<_> = made.map(|(path, _)| text(path).into_owned()).collect();
    let mut refused = answers.into_iter().filter_map(Result::err);
    let refused = refused.find(|refused| !is(refused.number, Refusal::NodeExists));
    let created = match (asked, refused) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(refused)) => Err(Error::Refused(refused)),
        (Ok(()), None) => client.call(&create(path.clone(), data, new.mode)).await,
    };
    let Reply::Created { path } =
        created.map_err(|error| half_created(error, from, &path, &made))?
    else {
        unreachable!("the reply is decoded as what answers the request");
    };
    match json {
        true => json_line(out, &serde_json::json!({ "path": text(&path) }))?,
        false => data_line(out, &path)?,
    }
    Ok(())
}

/// What is told when a znode could not be made, and those above it were.
fn half_created(error: Error, from: &From<'_>, path: &Bytes, made: &[String]) -> anyhow::Error {
    let what = format!("create {}", text(path));
    if let Error::Refused(refused) = &error
        && is(refused.number, Refusal::NoNode)
        && made.is_empty()
    {
        let explained = explain(error, from.server, &what);
        return explained
            .cure("Znodes above it are missing; create --parents makes them, too.")
            .into();
    }
    if made.is_empty() {
        return error.into();
    }
    let was_refused = matches!(error, Error::Refused(_));
    let explained = explain(error, from.server, &what);
    let made = made.join(", ");
    let means = match was_refused {
        true => format!("It was not made; what was made above it is there: {made}."),
        false => {
            format!("Whether it was made is not known; what was made above it is there: {made}.")
        }
    };
    explained.means(means).into()
}

async fn stat(
    client: &mut Client,
    path: Bytes,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = Request::Exists {
        path: path.clone(),
        watch: false,
    };
    let Reply::Stat(stat) = client.call(&request).await? else {
        unreachable!("the reply is decoded as what answers the request");
    };
    match json {
        true => json_line(out, &answer::stat(&path, &stat))?,
        false => stat_lines(out, &stat)?,
    }
    Ok(())
}

async fn watch(
    client: &mut Client,
    path: Bytes,
    count: Option<u64>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut stat = set_watches(client, &path).await?;
    if io::stderr().is_terminal() {
        let exists = if stat.is_some() {
            ""
        } else {
            ", which does not exist yet"
        };
        let path = text(&path);
        // Who has closed standard error still wants what is watched.
        let _told = writeln!(io::stderr(), "watching {path}{exists}; Ctrl-C ends it");
    }
    let mut told = 0;
    while count.is_none_or(|count| told < count) {
        let event = client.next_event().await?;
        // Set again before it is told: whoever acts on the line misses nothing after it.
        stat = set_watches(client, &path).await?;
        let kind = match event.kind {
            WatchEventKind::Created => "created",
            WatchEventKind::Deleted => "deleted",
            WatchEventKind::DataChanged => "data-changed",
            WatchEventKind::ChildrenChanged => "children-changed",
        };
        if json {
            let mut object = serde_json::json!({ "event": kind, "path": text(&event.path) });
            if let Some(stat) = &stat {
                object["stat"] = answer::stat_object(stat);
            }
            json_line(out, &object)?;
        } else {
            data_line(out, &[kind.as_bytes(), b" ", &event.path].concat())?;
        }
        out.flush()?;
        told += 1;
    }
    Ok(())
}

/// Watches a znode, whether it exists or not, and its children if it does.
async fn set_watches(client: &mut Client, path: &Bytes) -> Result<Option<Stat>, Error> {
    let requests = [
        Request::Exists {
            path: path.clone(),
            watch: true,
        },
        Request::GetChildren {
            path: path.clone(),
            watch: true,
        },
    ];
    let mut stat = None;
    for answer in client.call_all(&requests).await? {
        match answer {
            Ok(Reply::Stat(found)) => stat = Some(found),
            Err(refused) if !is(refused.number, Refusal::NoNode) => return Err(refused.into()),
            _ => {}
        }
    }
    Ok(stat)
}

fn standard_input() -> Result<Bytes, report::Error> {
    if io::stdin().is_terminal() {
        let _told = writeln!(
            io::stderr(),
            "reading the terminal: Ctrl-D on an empty line ends the data"
        );
    }
    let mut bytes = Vec::new();
    match io::stdin().read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(error) => Err(report::Error::new(Code::E0407, "read standard input")
            .because(error)
            .means("Nothing was done.")),
    }
}

/// Tells the coordinator who this session is.
async fn authenticate(
    client: &mut Client,
    server: &Server,
    identities: &[Identity],
) -> Result<(), report::Error> {
    for identity in identities {
        let request = Request::Auth {
            scheme: identity.scheme.clone().into(),
            data: identity.data.clone().into(),
        };
        let what = format!("authenticate by {}", identity.scheme);
        let answer = client.call(&request).await;
        answer.map_err(|error| explain(error, server, &what))?;
    }
    Ok(())
}

fn is(number: i32, refusal: Refusal) -> bool {
    number == error_code::number(refusal)
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests;
