//! The servers that work together: one list, which names this server as well.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::reader::Reader;
use super::rules::COORDINATOR_ID_MAX;
use crate::config::explain as key;
use crate::config::file::shortened;
use crate::config::key::quote;
use crate::config::words::leading_host;
use crate::units::{ServerId, counted};

/// How many voters a cluster has at most: each further one makes every write slower.
pub const CLUSTER_SERVERS_MAX: usize = 7;
/// How many observers it has at most: a write waits for none of them, and the leader sends it to all.
const CLUSTER_OBSERVERS_MAX: usize = 16;

/// Several servers, this one among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The address to listen on for the others.
    pub listen: IpAddr,
    /// The port to listen on, which is that of this server's entry.
    pub port: u16,
    /// All servers by their ids: at least two, this one among them, each with an id and an address of its own.
    pub servers: Vec<ClusterServer>,
    /// Bytes of applied entries that stay in memory for members that are behind.
    pub window_bytes: u32,
}

impl Cluster {
    /// Those that are to have no vote.
    pub fn observers(&self) -> Vec<ServerId> {
        let observers = self.servers.iter().filter(|it| it.observer);
        observers.map(|it| it.id).collect()
    }
}

/// One server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterServer {
    /// Its number.
    pub id: ServerId,
    /// Its name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port for the other servers, never 0.
    pub port: u16,
    /// Whether it is to have no vote.
    pub observer: bool,
}

impl fmt::Display for ClusterServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.observer { OBSERVER } else { "" };
        write!(f, "{}={}{role}", self.id, self.address())
    }
}

/// What stands behind the port of a server without a vote.
const OBSERVER: &str = ":observer";
/// Why a text names no server.
const FORM: &str = "must be \"ID=HOST:PORT\", such as \"1=10.0.0.1:2888\" or \"1=[2001:db8::1]:2888\", or with \":observer\" behind it";

impl ClusterServer {
    /// What `ID=HOST:PORT` or `ID=HOST:PORT:observer` says, or what is wrong with it.
    fn read(text: &str) -> Result<ClusterServer, String> {
        let form = || FORM.to_owned();
        let (id, address) = text.split_once('=').ok_or_else(form)?;
        let (host, port) = leading_host(address).ok_or_else(form)?;
        let (port, observer) = match port.trim_end().strip_suffix(OBSERVER) {
            Some(port) => (port, true),
            None => (port, false),
        };
        if !is_number(id) || !is_number(port) {
            return Err(form());
        }
        Ok(ClusterServer {
            id: server_id(id)?,
            host,
            port: server_port(port)?,
            observer,
        })
    }

    /// `HOST:PORT`, as a connection has it.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The host as an address, if it is one without asking anybody.
    fn ip(&self) -> Option<IpAddr> {
        match self.host.eq_ignore_ascii_case("localhost") {
            true => Some(Ipv4Addr::LOCALHOST.into()),
            false => self.host.parse().ok(),
        }
    }
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number of a coordinator, or what it must be.
pub(in crate::config) fn server_id(text: &str) -> Result<ServerId, String> {
    let id = text.trim().parse().ok();
    let id = id.filter(|id| *id <= COORDINATOR_ID_MAX && is_number(text));
    id.map(ServerId).ok_or_else(|| {
        format!(
            "a server's id must be a whole number from 0 to {COORDINATOR_ID_MAX}, because it is one byte of its sessions' ids"
        )
    })
}

/// A port to connect to, or what it must be.
pub(in crate::config) fn server_port(text: &str) -> Result<u16, String> {
    let port = text.trim().parse().ok();
    port.filter(|port| *port != 0 && is_number(text))
        .ok_or_else(|| {
            "the port must be a whole number from 1 to 65535, because the other servers connect to it"
                .to_owned()
        })
}

/// The cluster, unless this server is alone.
pub(super) fn read(reader: &mut Reader<'_>, id: u16, is_coordinator: bool) -> Option<Cluster> {
    let written = reader.get(&key::CLUSTER_SERVERS);
    let servers = read_servers(reader, &written);
    let own = servers.iter().find(|server| server.id.0 == id).cloned();
    let listen = own.as_ref().and_then(ClusterServer::ip);
    let listen = listen.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let listen = reader.get_or(&key::CLUSTER_LISTEN, listen);
    let window_bytes = reader.get(&key::CLUSTER_WINDOW_BYTES);
    check_twice(reader, &servers);
    // Of entries that cannot be read nobody knows which servers they are.
    if servers.len() == written.len() {
        check_own(reader, &servers, id);
        check_votes(reader, &servers);
    }
    check_number(reader, written.len(), is_coordinator);
    let port = own?.port;
    (servers.len() > 1).then_some(Cluster {
        listen,
        port,
        servers,
        window_bytes,
    })
}

/// Those that can be read, by their ids.
fn read_servers(reader: &mut Reader<'_>, written: &[String]) -> Vec<ClusterServer> {
    let mut servers = Vec::new();
    for text in written {
        match ClusterServer::read(text) {
            Ok(server) => servers.push(server),
            Err(why) => mistake(reader, &format!("{}: {why}", quote(&shortened(text)))),
        }
    }
    servers.sort_by_key(|server| server.id);
    servers
}

fn check_twice(reader: &mut Reader<'_>, servers: &[ClusterServer]) {
    for (index, first) in servers.iter().enumerate() {
        for second in &servers[index + 1..] {
            if first.id == second.id {
                let text = format!(
                    "the id {} stands twice, for {} and {}: each server must have one of its own",
                    first.id,
                    first.address(),
                    second.address()
                );
                mistake(reader, &text);
            } else if first.address().eq_ignore_ascii_case(&second.address()) {
                let text = format!(
                    "{} stands twice, for the ids {} and {}: each server must have an address of its own",
                    first.address(),
                    first.id,
                    second.id
                );
                mistake(reader, &text);
            }
        }
    }
}

/// This server has to be listed, and the others have to be within reach.
fn check_own(reader: &mut Reader<'_>, servers: &[ClusterServer], id: u16) {
    if !servers.is_empty() && servers.iter().all(|server| server.id.0 != id) {
        let setting = (reader.file).setting(key::SERVER_ID.section, key::SERVER_ID.name);
        let said = match setting {
            Some(setting) => format!("{} in {}", setting.shown, setting.place),
            None => "the default of server.id".to_owned(),
        };
        let text = format!(
            "there is no entry for this server, whose id is {id} ({said}): add it, or correct the id"
        );
        mistake(reader, &text);
    }
    for other in servers.iter().filter(|server| server.id.0 != id) {
        if other.ip().is_some_and(|address| address.is_unspecified()) {
            let text = format!(
                "{other} leads to no other server: the host must be that server's name or address"
            );
            mistake(reader, &text);
        }
    }
}

fn check_number(reader: &mut Reader<'_>, count: usize, is_coordinator: bool) {
    if count > 1 && !is_coordinator {
        let place = reader.place(&key::COORDINATOR_ENABLED);
        let text = format!(
            "coordinator.enabled is false, and {} names {}: only coordinators form a cluster; set coordinator.enabled to true, \
             or leave cluster.servers empty",
            list_shown(reader),
            counted(count, "servers")
        );
        reader.mistakes.add(place, text);
    }
}

/// Not too many of either kind, and not one voter with observers: it would decide alone, and nobody who sees the list would
/// think so.
fn check_votes(reader: &mut Reader<'_>, servers: &[ClusterServer]) {
    let observers = servers.iter().filter(|server| server.observer).count();
    let voters = servers.len() - observers;
    for (count, kind, most) in [
        (voters, "voters", CLUSTER_SERVERS_MAX),
        (observers, "observers", CLUSTER_OBSERVERS_MAX),
    ] {
        if count > most {
            let text = format!(
                "there are {}, and there may be {most} at most",
                counted(count, kind)
            );
            mistake(reader, &text);
        }
    }
    if observers > 0 && voters < 2 {
        let text = format!(
            "of these servers {}: at least two have to, and three serve on without one of them",
            if voters == 1 {
                "one alone votes"
            } else {
                "none votes"
            }
        );
        mistake(reader, &text);
    }
}

/// What the list is called where it was written.
fn list_shown(reader: &Reader<'_>) -> String {
    let setting = (reader.file).setting(key::CLUSTER_SERVERS.section, key::CLUSTER_SERVERS.name);
    let shown = setting.and_then(|setting| setting.shown.split_once(" = "));
    shown.map_or("cluster.servers", |(list, _)| list).to_owned()
}

fn mistake(reader: &mut Reader<'_>, text: &str) {
    let place = reader.place(&key::CLUSTER_SERVERS);
    let text = format!("{}: {text}", list_shown(reader));
    reader.mistakes.add(place, text);
}
