//! The configuration as each part wants it: every part has options of its own and sees nothing else.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::system::System;
use super::web;
use crate::appliance::standard_error_is_systemds_journal;
use crate::broker::{self, Section, Settings, Topics, WaitingOptions};
use crate::config::{
    self, Backend, Config, DeletePolicy, LogFormat, ServerFolder, TopicSettings, ZookeeperAt,
};
use crate::consensus::Identity;
use crate::coordinator;
use crate::net::listener::{Census, reachable};
use crate::net::zookeeper_connection;
use crate::node::connections::Limits;
use crate::node::coordinator::Leaderless;
use crate::node::coordinator::snapshots::Every;
use crate::node::replica::Others;
use crate::node::space::Space;
use crate::node::{CodecOptions, OwnerNodes};
use crate::report::tracing as log_lines;
use crate::segments::retention::{Action, Policy, When};
use crate::units::ServerId;
use crate::wire::metaq;
use crate::wire::zookeeper::four_letter::{Ensemble, Whitelist, Word};
use crate::{disk, journal, registry};

/// How long a request may take from its first byte to its last.
const FRAME_TIME_MAX: Duration = Duration::from_secs(30);
/// The original closes MetaQ connections that were silent for so long.
const METAQ_SILENCE_MAX: Duration = Duration::from_secs(300);

/// Where lines for people go.
pub fn log(config: &Config) -> log_lines::Options {
    log_lines::Options {
        filter: config.log.level.to_string(),
        json: config.log.format == LogFormat::Json,
        file: config.log.file.clone(),
        syslog: standard_error_is_systemds_journal(),
    }
}

/// How the disk is written.
pub(super) fn disk(config: &Config) -> disk::Options {
    disk::Options {
        backend: match config.disk.backend {
            Backend::Auto => disk::Backend::Auto,
            Backend::Ring => disk::Backend::Ring,
            Backend::Threads => disk::Backend::Threads,
        },
        ..disk::Options::default()
    }
}

/// The journal's layout.
pub(super) fn journal(
    config: &Config,
    folder: &ServerFolder,
    accept_loss: bool,
) -> journal::Options {
    journal::Options {
        file_bytes: config.journal.file_bytes,
        files_max: usize::try_from(config.journal.files_max).unwrap_or(usize::MAX),
        accept_loss,
        ..journal::Options::new(folder.journal())
    }
}

/// What the free room of the disk is measured by.
pub(super) fn space(config: &Config, folder: &ServerFolder) -> Space {
    Space::new(
        folder.data(),
        config.disk.refuse_below_bytes,
        config.disk.reserve_bytes,
    )
}

/// What connections may cost.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        connection_bytes_max: u64::from(config.network.connection_bytes_max),
        unread_bytes_max: unread_bytes_max(config),
        all_bytes_max: config.network.all_connections_bytes_max,
        frame_time_max: FRAME_TIME_MAX,
        metaq_silence_max: METAQ_SILENCE_MAX,
    }
}

/// A port to listen on, and how many may come.
#[derive(Debug)]
pub(super) struct Listening {
    /// The key of the port, for messages.
    pub(super) key: &'static str,
    pub(super) address: SocketAddr,
    pub(super) census: Census,
}

fn listening(key: &'static str, ip: IpAddr, port: u16, census: Census) -> Listening {
    Listening {
        key,
        address: SocketAddr::new(ip, port),
        census,
    }
}

/// The coordinator's port, for at most so many connections.
pub(super) fn coordinator_port(config: &Config, connections_max: usize) -> Option<Listening> {
    let own = config.coordinator.as_ref()?;
    let from_one = own.connections_per_address_max;
    let from_one = from_one.map_or(0, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let census = Census::new(connections_max, from_one);
    Some(listening("coordinator.port", own.listen, own.port, census))
}

/// The broker's port, for at most so many connections.
pub(super) fn broker_port(config: &Config, connections_max: usize) -> Option<Listening> {
    let own = config.broker.as_ref()?;
    let census = Census::new(connections_max, 0);
    Some(listening("broker.port", own.listen, own.port, census))
}

/// The web port.
pub(super) fn web_port(config: &Config) -> Option<Listening> {
    let own = config.web?;
    let census = Census::new(web::CONNECTIONS_MAX, 0);
    Some(listening("web.port", own.listen, own.port, census))
}

/// The port for other servers.
pub(super) fn peers_port(config: &Config) -> Option<Listening> {
    let own = config.cluster.as_ref()?;
    // Each other server once, and again while an older connection of its is not known to be gone; and beside them those who
    // have to show first who they are.
    let kinds = if config.certificates.is_some() { 2 } else { 1 };
    let census = Census::new(4 * own.servers.len() * kinds, 0);
    Some(listening("cluster.servers", own.listen, own.port, census))
}

/// The servers that this one connects to: of two the one with the lower number does.
pub(super) fn dialed(config: &Config) -> Vec<config::ClusterServer> {
    let servers = config.cluster.iter().flat_map(|cluster| &cluster.servers);
    servers
        .filter(|server| server.id > config.id)
        .cloned()
        .collect()
}

/// What `conf` says of an ensemble. Nothing here waits for so many ticks; these are the originals' usual ones, and both ports
/// are one.
pub(super) fn ensemble(own: &config::Cluster, server: ServerId) -> Ensemble {
    Ensemble {
        init_limit: 10,
        sync_limit: 5,
        election_port: own.port,
        quorum_port: own.port,
        observer: own.observers().contains(&server),
    }
}

/// The other servers of the coordinator's group.
pub(super) fn others(config: &Config, journal: u128, forgot: bool) -> Option<Others> {
    let cluster = config.cluster.as_ref()?;
    Some(Others {
        identity: Identity {
            server: config.id,
            journal,
        },
        servers: cluster.servers.iter().map(|server| server.id).collect(),
        observers: cluster.observers(),
        forgot,
        window_bytes: usize::try_from(cluster.window_bytes).unwrap_or(usize::MAX),
    })
}

/// A read-only server waits for a leader for so long at least: an election is over by then. As ZooKeeper does.
const READ_ONLY_AFTER_MIN: Duration = Duration::from_secs(2);

/// What becomes of clients where no server leads: they may stay for well below the shortest session, so that they can go on
/// elsewhere.
pub(super) fn leaderless(own: &config::Coordinator) -> Leaderless {
    let read_only_after = own.tick_time.max(READ_ONLY_AFTER_MIN);
    Leaderless {
        patience: own.session_timeout_min / 2,
        read_only_after: own.read_only.then_some(read_only_after),
    }
}

/// How the broker registers, if it does; `coordinator` is where this server's own one listens.
pub(super) fn registry(
    own: &config::Broker,
    coordinator: Option<SocketAddr>,
) -> Option<registry::Options> {
    if !own.zookeeper.register {
        return None;
    }
    Some(registry::Options {
        servers: match &own.zookeeper.at {
            ZookeeperAt::External(servers) => servers.clone(),
            ZookeeperAt::BuiltIn => reachable(coordinator?).to_string(),
        },
        root: own.zookeeper.root.clone(),
        session_timeout: own.zookeeper.session_timeout,
    })
}

/// How long clients may go on after the broker has left ZooKeeper. With the coordinator in this same
/// process and nobody else to go to, waiting serves nobody.
pub(super) fn drain(config: &Config) -> Duration {
    match &config.broker {
        Some(own) if matches!(own.zookeeper.at, ZookeeperAt::External(_)) => own.zookeeper.drain,
        _ => Duration::ZERO,
    }
}

/// After how many entries the coordinator takes a snapshot.
pub(super) fn snapshot_every(config: &Config, own: &config::Coordinator) -> Every {
    Every {
        entries: u64::from(own.snapshot_every_entries),
        bytes: config.journal.file_bytes,
    }
}

/// The coordinator's options.
pub(super) fn coordinator(config: &Config, own: &config::Coordinator) -> coordinator::Options {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let outstanding = count(own.outstanding_requests_max);
    let defaults = coordinator::Options::default();
    coordinator::Options {
        server: config.id,
        tick: own.tick_time,
        session_timeout_min: own.session_timeout_min,
        session_timeout_max: own.session_timeout_max,
        skip_acl: own.skip_acl,
        super_digest: own.super_digest.clone(),
        connection_outstanding_max: outstanding.min(defaults.connection_outstanding_max),
        outstanding_max: outstanding,
        watch_bytes_per_connection_max: bytes(own.watch_bytes_per_connection_max),
        watch_bytes_max: bytes(own.watch_bytes_max),
        sessions_max: count(own.sessions_max),
        sessions_per_address_max: count(own.sessions_per_address_max),
        tree_bytes_max: own.tree_bytes_max,
        ..defaults
    }
}

/// Answers that may pile up for one client, however soon it will read them.
pub(super) fn unread_bytes_max(config: &Config) -> u64 {
    let configured = u64::from(config.network.connection_bytes_max);
    configured.max(zookeeper_connection::UNREAD_BYTES_MAX_DEFAULT)
}

/// How connections are read.
pub(super) fn codecs(config: &Config) -> CodecOptions {
    CodecOptions {
        zookeeper: zookeeper_codec(config),
        metaq: metaq_codec(config),
    }
}

/// Where consumers register.
pub(super) fn owner_nodes(config: &Config) -> OwnerNodes {
    let broker = config.broker.as_ref();
    broker.map_or_else(OwnerNodes::default, |broker| OwnerNodes {
        root: broker.zookeeper.root.clone(),
        elsewhere: broker.zookeeper.at != ZookeeperAt::BuiltIn,
    })
}

/// How clients are told to connect to a broker.
pub(super) fn broker_url(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("meta://[{host}]:{port}"),
        false => format!("meta://{host}:{port}"),
    }
}

fn zookeeper_codec(config: &Config) -> zookeeper_connection::Options {
    match &config.coordinator {
        Some(own) => zookeeper_connection::Options {
            payload_bytes_max: usize::try_from(own.request_bytes_max).unwrap_or(usize::MAX),
            whitelist: whitelist(own),
            unread_bytes_max: unread_bytes_max(config),
        },
        None => zookeeper_connection::Options::default(),
    }
}

/// Clients of a read-only server ask with `isro` for one that writes, so that word goes with it, as in ZooKeeper.
fn whitelist(own: &config::Coordinator) -> Whitelist {
    let whitelist = Whitelist::parse(&own.four_letter_words.join(","));
    match own.read_only {
        true => whitelist.with(Word::Isro),
        false => whitelist,
    }
}

fn metaq_codec(config: &Config) -> metaq::Limits {
    let defaults = metaq::Limits::default();
    match &config.broker {
        Some(own) => metaq::Limits {
            body_bytes: usize::try_from(own.message_bytes_max).unwrap_or(defaults.body_bytes),
            ..defaults
        },
        None => defaults,
    }
}

/// The folders that topics lie in; the broker numbers them by their place here.
pub(super) fn data_folders(own: &config::Broker) -> Vec<PathBuf> {
    let mut folders = vec![own.topic_defaults.folder.clone()];
    for topic in &own.topics {
        if !folders.contains(&topic.settings.folder) {
            folders.push(topic.settings.folder.clone());
        }
    }
    folders
}

/// The broker's options; `port` is where it really listens.
pub(super) fn broker(
    config: &Config,
    own: &config::Broker,
    port: u16,
    data_folders: &[PathBuf],
    system: &System,
) -> broker::Options {
    let url = broker_url(&own.advertised_host, port);
    let topics = topics(config, own, data_folders);
    let mut options = broker::Options::new(config.id, url, port, topics);
    options.pid = system.pid;
    options.segment_bytes_max = u64::from(own.segment_bytes);
    options.transfer_bytes_max = own.transfer_bytes_max;
    options.message_bytes_max = usize::try_from(own.message_bytes_max).unwrap_or(usize::MAX);
    options.update_consumer_offsets = own.update_consumer_offsets;
    let waiting = WaitingOptions::default();
    options.waiting = WaitingOptions {
        enabled: own.hold_max.is_some(),
        hold_max: own.hold_max.unwrap_or(waiting.hold_max),
        turns: own.turns,
        turns_without_positions: own.turns_without_positions.clone(),
        held_max: usize::try_from(own.held_gets_max).unwrap_or(usize::MAX),
        ..waiting
    };
    options
}

/// The topics as the broker wants them.
pub(super) fn topics(config: &Config, own: &config::Broker, data_folders: &[PathBuf]) -> Topics {
    let sections = own.topics.iter().map(|topic| Section {
        pattern: topic.name.clone(),
        settings: topic_settings(&topic.settings, data_folders),
    });
    Topics {
        sections: sections.collect(),
        defaults: topic_settings(&own.topic_defaults, data_folders),
        config_text: Bytes::from(config.source.stats_config.clone()),
        config_checksum: config.source.checksum,
    }
}

fn topic_settings(own: &TopicSettings, data_folders: &[PathBuf]) -> Settings {
    // A folder that a reload brings is not there before the next start; the topic stays in the first one.
    let place = data_folders
        .iter()
        .position(|folder| *folder == own.folder)
        .unwrap_or(0);
    let when = own.delete_when.to_string();
    Settings {
        partitions: i32::try_from(own.num_partitions).unwrap_or(i32::MAX),
        accept_publish: own.accept_publish,
        accept_subscribe: own.accept_subscribe,
        stat: own.statistics,
        retention: Policy {
            action: match own.delete_policy {
                DeletePolicy::Delete { .. } => Action::Delete,
                DeletePolicy::Archive { compress, .. } => Action::Archive { compress },
            },
            age_max: own.delete_policy.older_than(),
            partition_bytes_max: None,
            when: When::parse(&when).expect("the configuration has parsed it as a schedule"),
        },
        data_folder: u32::try_from(place).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
