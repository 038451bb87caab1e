//! The lines `server.N` of `zoo.cfg` and of the file that `dynamicConfigFile` names, and the file `myid`.
//!
//! One server is alone, whatever its line says. Several are a cluster, and then everything has to be clear: who they
//! are, and which of them is this one. Where it is not, the server does not start: a tree of its own would be a second one.

use std::path::PathBuf;

use super::ini::Entry;
use super::zoo_cfg::{Listed, MyId, Reader};
use crate::config::checked::{ClusterServer, server_id, server_port};
use crate::config::explain as key;
use crate::config::file::shortened;
use crate::config::key::{Value, quote};
use crate::config::mistake::Place;
use crate::config::words::leading_host;
use crate::units::ServerId;

const FORM: &str = "must be HOST:PORT:ELECTION PORT, such as 10.0.0.1:2888:3888; behind it may stand :participant or :observer, and ;CLIENT PORT";
const ADDRESSES: &str = "several addresses of one server are not supported yet: name one of them";
const ALONE: &str = "has no effect: it concerns several servers, and this one is alone";
const ONE_PORT: &str = "has no effect: the servers use the port before it for everything";

impl Reader<'_> {
    /// What the lines of servers mean. False if it is not known which of them is this server's.
    pub(super) fn servers(&mut self, listed: &Listed, myid: &[MyId]) -> bool {
        let all: Vec<&(Place, Entry)> = listed.here.iter().chain(&listed.dynamic).collect();
        let others = |key: &str| all.iter().any(|(_, other)| other.key != key);
        match all.last() {
            Some((_, entry)) if others(&entry.key) => self.several(listed, myid),
            last => {
                match self.has_own_list() {
                    true => self.refuse_with_others(),
                    false => self.alone(),
                }
                if let Some((place, entry)) = last {
                    self.own_server(place, entry);
                }
                true
            }
        }
    }

    fn alone(&mut self) {
        for it in std::mem::take(&mut self.refused_with_others) {
            self.reading
                .note(it.place, it.key.clone(), &it.key, ALONE.to_owned());
        }
    }

    /// Whether the servers are listed in this server's own words.
    fn has_own_list(&self) -> bool {
        let known = &key::CLUSTER_SERVERS;
        let list = self.reading.file.setting(known.section, known.name);
        list.is_some_and(|list| matches!(&list.value, Value::List(servers) if servers.len() > 1))
    }

    fn refuse_with_others(&mut self) {
        for it in std::mem::take(&mut self.refused_with_others) {
            let text = format!(
                "{} = {}: {}; take the line out to start all the same",
                it.key, it.value, it.why
            );
            self.reading.mistakes.add(it.place, text);
        }
    }

    fn several(&mut self, listed: &Listed, myid: &[MyId]) -> bool {
        self.refuse_with_others();
        let here = self.read_lines(&listed.here);
        let dynamic = self.read_lines(&listed.dynamic);
        let lines = match (&listed.here[..], &listed.dynamic[..]) {
            (lines, []) | ([], lines) => lines,
            ([(place, first), ..], dynamic_lines) => {
                if here != dynamic {
                    let file = dynamic_lines[0].0.file.display();
                    let text = format!(
                        "{}: the servers here are not those in {file}: take these lines out if those are right",
                        first.key
                    );
                    self.reading.mistakes.add(place.clone(), text);
                }
                dynamic_lines
            }
        };
        let id = self.own_id(myid);
        let read = if listed.dynamic.is_empty() {
            here
        } else {
            dynamic
        };
        if let Some((servers, _)) = read.zip(id) {
            self.set_servers(lines, &servers);
        }
        let own = lines
            .iter()
            .find(|(_, entry)| id.is_some() && listed_id(entry).ok() == id);
        if let Some((place, entry)) = own {
            self.own_server(place, entry);
        }
        own.is_some()
    }

    /// What the lines say, or nothing if one cannot be read.
    fn read_lines(&mut self, lines: &[(Place, Entry)]) -> Option<Vec<ClusterServer>> {
        let mut servers = Vec::new();
        for (place, entry) in lines {
            match read_line(entry) {
                Ok(server) => servers.push(server),
                Err(why) => {
                    let (key, value) = (shortened(&entry.key), shortened(&entry.value));
                    let text = format!("{key} = {value}: {why}");
                    self.reading.mistakes.add(place.clone(), text);
                }
            }
        }
        servers.sort_by_key(|server| server.id);
        (servers.len() == lines.len()).then_some(servers)
    }

    fn set_servers(&mut self, lines: &[(Place, Entry)], servers: &[ClusterServer]) {
        let Some((place, _)) = lines.first() else {
            return;
        };
        let known = &key::CLUSTER_SERVERS;
        if let Some(other) = self.reading.file.setting(known.section, known.name) {
            let key = other.shown.split(" = ").next().unwrap_or_default();
            let text = format!(
                "{key} in {} names the servers, too: take one of the two lists out",
                other.place
            );
            return self.reading.mistakes.add(place.clone(), text);
        }
        for (place, entry) in lines.iter().filter(|(_, entry)| has_election_port(entry)) {
            let shown = format!("the election port of {}", shortened(&entry.key));
            self.reading
                .note(place.clone(), shown, "election port", ONE_PORT.to_owned());
        }
        let texts: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let shown = format!("server.N = {}", shortened(&texts.join(", ")));
        let value = Value::List(texts.into_iter().map(Value::Text).collect());
        self.reading.push(known, None, value, shown, place.clone());
    }

    /// Which of the servers this one is: what `myid` says, and nothing that says another number.
    fn own_id(&mut self, files: &[MyId]) -> Option<ServerId> {
        let (place, number) = match self.read_myid(files) {
            Ok((path, number)) => (Place::new(&path, 1), number),
            Err((place, text)) => {
                self.reading.mistakes.add(place, text);
                return None;
            }
        };
        let id = match server_id(&number) {
            Ok(id) => id,
            Err(why) => {
                let text = format!("myid is {}: {why}", quote(&shortened(&number)));
                self.reading.mistakes.add(place, text);
                return None;
            }
        };
        let known = &key::SERVER_ID;
        let value = Value::Integer(i64::from(id.0));
        match self.reading.file.setting(known.section, known.name) {
            Some(other) if other.value != value => {
                let text = format!(
                    "myid is {id}, and {} in {}: a server has one number here, which must be the same in both",
                    other.shown, other.place
                );
                self.reading.mistakes.add(place, text);
                return None;
            }
            Some(_) => {}
            None => self
                .reading
                .push(known, None, value, format!("myid = {id}"), place),
        }
        Some(id)
    }

    /// The file that counts and what it says, or what is wrong with all of them.
    fn read_myid(&self, files: &[MyId]) -> Result<(PathBuf, String), (Place, String)> {
        const CURE: &str = "write the number of this server, the N of its server.N, into conf/myid, and nothing else";
        let mut readable = files.iter().filter_map(|file| {
            let text = super::text(file.text.as_ref().ok()?);
            let number = text.lines().next().unwrap_or_default().trim().to_owned();
            Some((file.path.clone(), number))
        });
        let Some((path, number)) = readable.next() else {
            let unreadable = files.first().map(|file| (&file.path, &file.text));
            return Err(match unreadable {
                Some((path, Err(why))) => (
                    Place::new(path, 0),
                    format!("cannot be read: {why}; {CURE}"),
                ),
                _ => {
                    let text = format!(
                        "there are several servers, and no file myid in dataDir or conf/ says which of them this is: {CURE}"
                    );
                    (Place::new(self.path, 0), text)
                }
            });
        };
        match readable.find(|(_, other)| *other != number) {
            Some((other_path, other)) => {
                let text = format!(
                    "myid is {}, and {} says {}: remove the wrong one of the two files",
                    shortened(&other),
                    path.display(),
                    shortened(&number)
                );
                Err((Place::new(&other_path, 1), text))
            }
            None => Ok((path, number)),
        }
    }
}

/// The `N` of `server.N`.
fn listed_id(entry: &Entry) -> Result<ServerId, String> {
    server_id(entry.key.strip_prefix("server.").unwrap_or_default())
}

/// What stands before the clients' port, which is for the servers.
fn for_servers(entry: &Entry) -> &str {
    entry.value.split(';').next().unwrap_or_default().trim()
}

fn has_election_port(entry: &Entry) -> bool {
    leading_host(for_servers(entry)).is_some_and(|(_, ports)| ports.contains(':'))
}

/// `server.N=HOST:PORT[:PORT[:ROLE]][;...]`.
fn read_line(entry: &Entry) -> Result<ClusterServer, String> {
    let form = || FORM.to_owned();
    let text = for_servers(entry);
    if text.contains('|') {
        return Err(ADDRESSES.to_owned());
    }
    let id = listed_id(entry)?;
    let (host, behind) = leading_host(text).ok_or_else(form)?;
    let mut parts = behind.split(':').map(str::trim);
    let port = parts.next().unwrap_or_default();
    if port.parse::<i64>().is_err() || parts.next().is_some_and(|it| it.parse::<u16>().is_err()) {
        return Err(form());
    }
    let observer = match parts.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("participant") => false,
        Some("observer") => true,
        Some(_) => return Err(form()),
    };
    match parts.next() {
        None => Ok(ClusterServer {
            id,
            host,
            port: server_port(port)?,
            observer,
        }),
        Some(_) => Err(form()),
    }
}
