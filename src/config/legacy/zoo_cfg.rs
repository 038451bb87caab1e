//! `zoo.cfg` of ZooKeeper 3.4.5, and what later versions added that means something here.
//!
//! ZooKeeper takes numbers that mean nothing here (a tick of 10 ms, a limit of 2,147,483,647): the nearest that is
//! permitted holds, and the log says so. What it can do for security and this server cannot stops the start. So
//! does everything that leaves it open who the other servers are (`zoo_servers`): a tree of its own here would be a second
//! one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::ini::{self, Entry};
use super::{Becomes, Reading, Row, Written, expression, hint};
use crate::config::checked::Machine;
use crate::config::explain as key;
use crate::config::file::shortened;
use crate::config::key::Value;
use crate::config::mistake::Place;

const OWN_WAYS: &str = "how servers work together cannot be set here";
const OWN_TIMES: &str = "how long servers wait for each other cannot be set here";
const LISTED: &str = "a server that lists no other is alone, and one that does is not";
const NO_RECONFIG: &str =
    "clients cannot change the list of servers: it is in the files of all of them";
const VOTES: &str = "weighted quorums are not supported yet, and each server would have one vote";
const LINES_SAY: &str = "which servers are observers, their lines server.N say, by :observer";
const NO_TLS_AMONG_SERVERS: &str = "its stores are not read, and the servers would talk in the clear (in a server.toml there is cluster.certificates)";
const NO_ENFORCING_AMONG_SERVERS: &str =
    "servers cannot be made to authenticate yet, and everybody could be one";
const ALWAYS_SYNCED: &str = "every write is on disk before it is acknowledged, always";
const OWN_FILES: &str = "the journal and the snapshots look after themselves";
const OWN_DATA_BUT_MYID: &str = "this server keeps its data in its own folder, and of ZooKeeper's it reads myid alone, where there are several servers";
const OWN_DATA: &str = "this server keeps its data in its own folder and does not read ZooKeeper's";
const NOT_YET: &str = "this version does not have it";
const DIGEST_ALONE: &str =
    "clients authenticate by digest alone here, and ACLs of other schemes are refused";
const NO_TLS: &str = "there is no TLS for clients yet, and they would be served in the clear";
const NO_ENFORCING: &str =
    "clients cannot be made to authenticate yet, and everybody would be let in";

/// The file and what it refers to.
#[derive(Clone, Debug)]
pub struct ZooCfg {
    text: Vec<u8>,
    /// The file that its `dynamicConfigFile` names, where it names one.
    pub dynamic: Option<Dynamic>,
    /// The files `myid` that are there: the one in its `dataDir`, the one beside it.
    pub myid: Vec<MyId>,
}

/// A file that says which of the servers this one is.
#[derive(Clone, Debug)]
pub struct MyId {
    /// Its name, as an operator would name it.
    pub path: PathBuf,
    /// What it says, or why it cannot be read.
    pub text: Result<Vec<u8>, String>,
}

/// A file that lists an ensemble's servers.
#[derive(Clone, Debug)]
pub struct Dynamic {
    /// Its name as it was written.
    pub path: PathBuf,
    /// What it says, or why it cannot be read.
    pub text: Result<Vec<u8>, String>,
}

impl ZooCfg {
    /// The file with this content; what it refers to was not read yet.
    pub fn new(text: Vec<u8>) -> ZooCfg {
        ZooCfg {
            text,
            dynamic: None,
            myid: Vec::new(),
        }
    }

    /// The file that lists the servers, if it names one.
    pub fn dynamic_path(&self) -> Option<PathBuf> {
        self.path(DYNAMIC_FILE)
    }

    /// ZooKeeper's folder for data, if it names one.
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.path("dataDir")
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let entries = last_of_each(&super::text(&self.text));
        let named = entries.into_iter().find(|it| it.key == key)?;
        let path = named.value.trim();
        (!path.is_empty()).then(|| PathBuf::from(path))
    }
}

const DYNAMIC_FILE: &str = "dynamicConfigFile";

/// The keys of `zoo.cfg`. Each may have `zookeeper.` in front: that is its name as a system property.
pub(super) static ROWS: &[Row] = &[
    Row::key("clientPort", &key::COORDINATOR_PORT),
    Row::key("clientPortAddress", &key::COORDINATOR_LISTEN),
    Row::nearest("tickTime", &key::COORDINATOR_TICK_TIME_MS),
    Row::nearest(
        "minSessionTimeout",
        &key::COORDINATOR_SESSION_TIMEOUT_MIN_MS,
    ),
    Row::nearest(
        "maxSessionTimeout",
        &key::COORDINATOR_SESSION_TIMEOUT_MAX_MS,
    ),
    Row::nearest(
        "maxClientCnxns",
        &key::COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX,
    ),
    Row::nearest("maxCnxns", &key::NETWORK_CONNECTIONS_MAX),
    Row::nearest(
        "globalOutstandingLimit",
        &key::COORDINATOR_OUTSTANDING_REQUESTS_MAX,
    ),
    Row::nearest("snapCount", &key::COORDINATOR_SNAPSHOT_EVERY_ENTRIES),
    Row::nearest("jute.maxbuffer", &key::COORDINATOR_REQUEST_BYTES_MAX),
    Row::key("skipACL", &key::COORDINATOR_SKIP_ACL),
    Row::key("readonlymode.enabled", &key::COORDINATOR_READ_ONLY),
    Row::key(
        "4lw.commands.whitelist",
        &key::COORDINATOR_FOUR_LETTER_WORDS,
    ),
    Row::key(
        "DigestAuthenticationProvider.superDigest",
        &key::COORDINATOR_SUPER_DIGEST,
    ),
    Row::refused("secureClientPort", |value| value != "0", NO_TLS),
    Row::refused("ssl.clientAuth", |value| value != "none", NO_TLS),
    Row::refused("sessionRequireClientSASLAuth", is_true, NO_ENFORCING),
    Row::refused("enforce.auth.enabled", is_true, NO_ENFORCING),
    Row::refused("requireClientAuthScheme", |_| true, NO_ENFORCING),
    Row::nothing("dataDir", OWN_DATA_BUT_MYID),
    Row::nothing("dataLogDir", OWN_DATA),
    Row::nothing("forceSync", ALWAYS_SYNCED),
    Row::nothing("preAllocSize", OWN_FILES),
    Row::nothing("fsync.warningthresholdms", OWN_FILES),
    Row::nothing("autopurge.", OWN_FILES),
    Row::nothing("initLimit", OWN_TIMES),
    Row::nothing("syncLimit", OWN_TIMES),
    Row::nothing("electionAlg", OWN_WAYS),
    Row::nothing("leaderServes", OWN_WAYS),
    Row::nothing("peerType", LINES_SAY),
    Row::nothing("cnxTimeout", OWN_TIMES),
    Row::key("quorumListenOnAllIPs", &key::CLUSTER_LISTEN),
    Row::nothing("syncEnabled", OWN_WAYS),
    Row::nothing("standaloneEnabled", LISTED),
    Row::nothing("reconfigEnabled", NO_RECONFIG),
    Row::refused_with_others("group.", |_| true, VOTES),
    Row::refused_with_others("weight.", |_| true, VOTES),
    Row::refused_with_others("quorum.auth.", is_true, NO_ENFORCING_AMONG_SERVERS),
    Row::nothing("quorum.", OWN_WAYS),
    Row::refused_with_others("sslQuorum", is_true, NO_TLS_AMONG_SERVERS),
    Row::nothing("portUnification", OWN_WAYS),
    Row::nothing("observerMasterPort", OWN_WAYS),
    Row::nothing("multiAddress.", OWN_WAYS),
    Row::nothing("commitLogCount", OWN_WAYS),
    Row::nothing("snapshot.", OWN_FILES),
    Row::nothing("snapSizeLimitInKb", OWN_FILES),
    Row::nothing("txnLogSizeLimitInKb", OWN_FILES),
    Row::nothing("authProvider.", DIGEST_ALONE),
    Row::nothing("enforce.auth.", DIGEST_ALONE),
    Row::nothing("superUser", DIGEST_ALONE),
    Row::nothing("X509AuthenticationProvider.", DIGEST_ALONE),
    Row::nothing(
        "DigestAuthenticationProvider.",
        "a digest is SHA-1 here, always",
    ),
    Row::nothing("jaasLoginRenew", DIGEST_ALONE),
    Row::nothing("kerberos.", DIGEST_ALONE),
    Row::nothing("sasl.", DIGEST_ALONE),
    Row::nothing("traceFile", NOT_YET),
    Row::nothing("audit.enable", NOT_YET),
    Row::nothing("enforceQuota", NOT_YET),
    Row::nothing("secureClientPortAddress", NOT_YET),
    Row::nothing("client.portUnification", NOT_YET),
    Row::nothing("ssl.", NOT_YET),
    Row::nothing(
        "admin.",
        "the web port has `/health`, `/ready` and `/metrics`: web.listen and web.port",
    ),
    Row::nothing("serverCnxnFactory", NOT_YET),
    Row::nothing("metricsProvider.", NOT_YET),
    Row::nothing("extendedTypesEnabled", NOT_YET),
    Row::nothing("localSessionsEnabled", NOT_YET),
    Row::nothing("localSessionsUpgradingEnabled", NOT_YET),
];

/// ZooKeeper's own tick where none is written, which is not ours.
const TICK_TIME_MS: i64 = 3000;
/// What stands before a key that only this server has.
const OWN_PREFIX: &str = "chrysalis.";

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// The entries of a properties file: of two with one name the last counts.
fn last_of_each(text: &str) -> Vec<Entry> {
    let entries = ini::read_properties(text).entries;
    let last: BTreeMap<String, usize> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| (entry.key.clone(), at))
        .collect();
    let numbered = entries.into_iter().enumerate();
    numbered
        .filter(|(at, entry)| last[&entry.key] == *at)
        .map(|(_, entry)| entry)
        .collect()
}

/// Reads the file's text.
pub(super) fn read(reading: &mut Reading, path: &Path, file: &ZooCfg, machine: &Machine) {
    let mut reader = Reader {
        reading: &mut *reading,
        path,
        machine,
        client: None,
        refused_with_others: Vec::new(),
    };
    let mut listed = Listed::default();
    for entry in last_of_each(&super::text(&file.text)) {
        match entry.key.starts_with("server.") {
            true => listed.here.push((Place::new(path, entry.line), entry)),
            false => reader.entry(&entry, file.dynamic.as_ref(), &mut listed),
        }
    }
    let knows_its_line = reader.servers(&listed, &file.myid);
    let port = &key::COORDINATOR_PORT;
    if knows_its_line && reading.file.setting(port.section, port.name).is_none() {
        let text = "clientPort is missing: it must be set";
        reading.mistakes.add(Place::new(path, 0), text);
    }
    reading.imply(&key::COORDINATOR_TICK_TIME_MS, Value::Integer(TICK_TIME_MS));
    reading.imply(&key::COORDINATOR_LISTEN, Value::Text("0.0.0.0".to_owned()));
}

/// The lines that list servers.
#[derive(Default)]
pub(super) struct Listed {
    /// In `zoo.cfg`.
    pub(super) here: Vec<(Place, Entry)>,
    /// In the file that it names for them.
    pub(super) dynamic: Vec<(Place, Entry)>,
}

/// Goes through the entries.
pub(super) struct Reader<'a> {
    pub(super) reading: &'a mut Reading,
    pub(super) path: &'a Path,
    machine: &'a Machine,
    /// What `clientPort` says, where it says something.
    client: Option<String>,
    /// What asks for something that is not there for several servers.
    pub(super) refused_with_others: Vec<RefusedWithOthers>,
}

/// A key that stops the start where there are other servers.
pub(super) struct RefusedWithOthers {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) why: &'static str,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Entry, dynamic: Option<&Dynamic>, listed: &mut Listed) {
        let name = entry.key.strip_prefix("zookeeper.").unwrap_or(&entry.key);
        let value = entry.value.trim();
        let written = Written {
            shown_key: shortened(&entry.key),
            value,
            place: Place::new(self.path, entry.line),
        };
        if let Some(own) = entry.key.strip_prefix(OWN_PREFIX) {
            return self.reading.set_own(own, written);
        }
        match name {
            DYNAMIC_FILE => self.dynamic(dynamic, &written, listed),
            "clientPortAddress" => self.listen(value, &written),
            "4lw.commands.whitelist" => self.whitelist(&written),
            "skipACL" => self.skip_acl(&written),
            "readonlymode.enabled" => self.read_only_mode(&written),
            "quorumListenOnAllIPs" => self.listen_for_servers(&written),
            _ => self.row(name, written),
        }
    }

    /// A key that is nothing but a row of the table.
    fn row(&mut self, name: &str, written: Written<'_>) {
        let Some(row) = ROWS.iter().find(|row| row.is(name)) else {
            let hint = hint(name, ROWS.iter().map(|row| row.name));
            let becomes = format!("is not known and has no effect{hint}");
            return self
                .reading
                .note(written.place, written.shown_key, name, becomes);
        };
        match row.becomes {
            Becomes::Refused { asks, why } if asks(written.value) && !written.value.is_empty() => {
                let text = format!(
                    "{} = {}: {why}; take the line out to start all the same",
                    written.shown_key,
                    shortened(written.value)
                );
                self.reading.mistakes.add(written.place, text);
            }
            Becomes::RefusedWithOthers { asks, why }
                if asks(written.value) && !written.value.is_empty() =>
            {
                self.refused_with_others.push(RefusedWithOthers {
                    place: written.place,
                    key: written.shown_key,
                    value: shortened(written.value),
                    why,
                });
            }
            Becomes::Refused { .. } | Becomes::RefusedWithOthers { .. } => {}
            Becomes::Nothing(why) => {
                let becomes = format!("has no effect: {why}");
                let key = written.shown_key.clone();
                self.reading
                    .note(written.place, written.shown_key, &key, becomes);
            }
            Becomes::Key(known) => {
                if name == "clientPort" && !written.value.is_empty() {
                    self.client = Some(written.value.to_owned());
                }
                self.reading.set(known, None, &written);
            }
            Becomes::Nearest(known) => match self.meant(name, &written) {
                Some(value) => {
                    let written = Written { value, ..written };
                    self.reading.set_nearest(known, &written);
                }
                // A mistake to ZooKeeper as well.
                None => self.reading.set(known, None, &written),
            },
        }
    }

    /// A number in our words, where ZooKeeper has another meaning for it; none where it is none to ZooKeeper.
    fn meant<'v>(&mut self, name: &str, written: &Written<'v>) -> Option<&'v str> {
        let number = expression::integer(written.value);
        match (name, number) {
            ("tickTime", Some(..=0)) => None,
            ("minSessionTimeout" | "maxSessionTimeout", Some(-1)) => Some(""),
            ("maxClientCnxns", Some(..=0)) => Some("0"),
            ("maxCnxns", Some(..=0)) => {
                let becomes =
                    "is no limit to ZooKeeper; the default of network.connections_max holds";
                self.reading.note(
                    written.place.clone(),
                    format!("{} = {}", written.shown_key, written.value),
                    name,
                    becomes.to_owned(),
                );
                Some("")
            }
            _ => Some(written.value),
        }
    }

    /// ACLs are passed over at `yes` and at nothing else.
    fn skip_acl(&mut self, written: &Written<'_>) {
        let shown = format!("{} = {}", written.shown_key, shortened(written.value));
        let place = written.place.clone();
        match written.value {
            "yes" => {
                let known = &key::COORDINATOR_SKIP_ACL;
                self.reading
                    .push(known, None, Value::Boolean(true), shown, place);
            }
            "no" | "" => {}
            _ => {
                let becomes = "is taken as no, as ZooKeeper does: ACLs are skipped at yes alone";
                self.reading
                    .note(place, shown, "skipACL", becomes.to_owned());
            }
        }
    }

    /// Everything but `true` is no to ZooKeeper.
    fn read_only_mode(&mut self, written: &Written<'_>) {
        if is_true(written.value) {
            let shown = format!("{} = {}", written.shown_key, written.value);
            let known = &key::COORDINATOR_READ_ONLY;
            let place = written.place.clone();
            self.reading
                .push(known, None, Value::Boolean(true), shown, place);
        }
    }

    /// The other servers may come to every address.
    fn listen_for_servers(&mut self, written: &Written<'_>) {
        if is_true(written.value) {
            let shown = format!("{} = {}", written.shown_key, written.value);
            let value = Value::Text(Ipv4Addr::UNSPECIFIED.to_string());
            let place = written.place.clone();
            self.reading
                .push(&key::CLUSTER_LISTEN, None, value, shown, place);
        }
    }

    /// ZooKeeper lets words stand here that it does not know.
    fn whitelist(&mut self, written: &Written<'_>) {
        let words = written.value.split(',').map(str::trim);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return;
        }
        let is_known = |word: &&&str| **word == "*" || key::FOUR_LETTER_WORDS.contains(word);
        let unknown: Vec<&str> = words
            .iter()
            .filter(|word| !is_known(word))
            .copied()
            .collect();
        if !unknown.is_empty() {
            let becomes = format!("names what is no command here: {}", unknown.join(", "));
            self.reading.note(
                written.place.clone(),
                written.shown_key.clone(),
                "4lw.commands.whitelist",
                shortened(&becomes),
            );
        }
        let known = words.iter().filter(is_known);
        let known: Vec<Value> = known.map(|word| Value::Text((*word).to_owned())).collect();
        let shown = format!("{} = {}", written.shown_key, shortened(written.value));
        self.reading.push(
            &key::COORDINATOR_FOUR_LETTER_WORDS,
            None,
            Value::List(known),
            shown,
            written.place.clone(),
        );
    }

    /// An address to listen on, which may be a name that this machine knows.
    fn listen(&mut self, host: &str, written: &Written<'_>) {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let known = |name: &str| {
            let mut hosts = self.machine.hosts.iter();
            hosts
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, address)| *address)
        };
        let address: Option<IpAddr> = match host {
            "" => return,
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            _ => host.parse().ok().or_else(|| known(host)),
        };
        match address {
            Some(address) => {
                let shown = format!("{} = {}", written.shown_key, shortened(written.value));
                let value = Value::Text(address.to_string());
                let place = written.place.clone();
                self.reading
                    .push(&key::COORDINATOR_LISTEN, None, value, shown, place);
            }
            None => {
                let text = format!(
                    "{} = {}: must be an IP address, or a name in /etc/hosts",
                    written.shown_key,
                    shortened(written.value)
                );
                self.reading.mistakes.add(written.place.clone(), text);
            }
        }
    }

    /// The file that lists the servers.
    fn dynamic(&mut self, dynamic: Option<&Dynamic>, written: &Written<'_>, listed: &mut Listed) {
        let Some(dynamic) = dynamic else {
            return;
        };
        match &dynamic.text {
            Ok(bytes) => {
                for entry in last_of_each(&super::text(bytes)) {
                    let place = Place::new(&dynamic.path, entry.line);
                    self.dynamic_entry(place, entry, listed);
                }
            }
            Err(why) => {
                let text = format!(
                    "{} = {}: {why}; who else belongs to this ensemble is not known, and a tree of its own here would be \
                     a second one: put the file into conf/, or take the line out where this server was alone",
                    written.shown_key,
                    shortened(written.value)
                );
                self.reading.mistakes.add(written.place.clone(), text);
            }
        }
    }

    /// A line of the file that lists the servers. It says how their votes count, and nothing else that matters here.
    fn dynamic_entry(&mut self, place: Place, entry: Entry, listed: &mut Listed) {
        if entry.key.starts_with("server.") {
            return listed.dynamic.push((place, entry));
        }
        if entry.key.starts_with("group.") || entry.key.starts_with("weight.") {
            let written = Written {
                shown_key: shortened(&entry.key),
                value: entry.value.trim(),
                place,
            };
            self.row(&entry.key, written);
        }
    }

    /// This server's `HOST:PORT:PORT[:ROLE][;[[HOST:]CLIENT PORT][;[HOST:]TLS PORT]]`: where its clients come.
    pub(super) fn own_server(&mut self, place: &Place, entry: &Entry) {
        let mut parts = entry.value.split(';').map(str::trim);
        let (_quorum, client, secure) = (parts.next(), parts.next(), parts.next());
        if secure.is_some_and(|port| !port.is_empty()) {
            let text = format!(
                "{} = {}: {NO_TLS}; take the port behind the second ';' out to start all the same",
                entry.key,
                shortened(&entry.value)
            );
            self.reading.mistakes.add(place.clone(), text);
        }
        let Some(client) = client.filter(|client| !client.is_empty()) else {
            return;
        };
        let (host, port) = client.rsplit_once(':').unwrap_or(("", client));
        if let Some(other) = self.client.as_deref().filter(|other| *other != port) {
            let text = format!(
                "{} says that clients come to port {port}, and clientPort says {other}: they must be the same",
                entry.key
            );
            return self.reading.mistakes.add(place.clone(), text);
        }
        let written = |value| Written {
            shown_key: entry.key.clone(),
            value,
            place: place.clone(),
        };
        self.reading
            .set(&key::COORDINATOR_PORT, None, &written(port));
        self.listen(host, &written(entry.value.as_str()));
    }
}
