//! How what was written becomes what is used, and what must be consistent with what.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster;
use super::reader::Reader;
use super::{
    Broker, Cluster, Config, Coordinator, Disk, Journal, Log, Network, Source, Web, Zookeeper,
    ZookeeperAt,
};
use crate::config::explain as key;
use crate::config::file::File;
use crate::config::key::{Section, Value};
use crate::config::mistake::{Mistakes, Place};
use crate::config::topic::{OwnTopicSettings, Topic, TopicSettings};
use crate::config::words::{connect_string, host_and_port};
use crate::units::ServerId;

/// What the configuration asks of the machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Its first address that is not loopback.
    pub first_address: Option<Ipv4Addr>,
    /// The home folder of the user that runs the server.
    pub home: Option<PathBuf>,
    /// The names it knows by itself, each with its address.
    pub hosts: Vec<(String, IpAddr)>,
}

/// The configuration that `file` means for the server in the folder `root`.
///
/// # Errors
/// Every mistake of the file that concerns a value.
pub fn check(
    file: &File,
    root: &Path,
    machine: &Machine,
    mut mistakes: Mistakes,
) -> Result<Config, Mistakes> {
    let mut reader = Reader {
        file,
        mistakes: &mut mistakes,
        effective: Vec::new(),
        notes: Vec::new(),
    };
    let config = read(&mut reader, root, machine);
    mistakes.or(config)
}

fn read(reader: &mut Reader<'_>, root: &Path, machine: &Machine) -> Config {
    let id = reader.get(&key::SERVER_ID);
    let listen = reader.get(&key::SERVER_LISTEN);
    let coordinator = read_coordinator(reader, listen, id);
    let cluster = cluster::read(reader, id, coordinator.is_some());
    let broker = read_broker(reader, root, machine, listen, coordinator.as_ref());
    if coordinator.is_none() && broker.is_none() {
        let place = reader.place(&key::BROKER_ENABLED);
        reader.mistakes.add(
            place,
            "coordinator.enabled and broker.enabled are both false: one of them must be true",
        );
    }
    let network = read_network(reader, coordinator.as_ref(), broker.as_ref());
    let journal = read_journal(
        reader,
        cluster.is_some(),
        coordinator.as_ref(),
        broker.as_ref(),
    );
    let disk = Disk {
        backend: reader.get(&key::DISK_BACKEND),
        reserve_bytes: reader.get(&key::DISK_RESERVE_BYTES),
        refuse_below_bytes: reader.get(&key::DISK_REFUSE_BELOW_BYTES),
    };
    let web_enabled = reader.get(&key::WEB_ENABLED);
    let web = Web {
        listen: reader.get(&key::WEB_LISTEN),
        port: reader.get(&key::WEB_PORT),
    };
    let web = web_enabled.then_some(web);
    let certificates_required = reader.get(&key::CLUSTER_CERTIFICATES_REQUIRED);
    let certificates = Some(reader.get(&key::CLUSTER_CERTIFICATES))
        .filter(|path| !path.is_empty())
        .map(|path| root.join(path));
    let log = Log {
        level: reader.get(&key::LOG_LEVEL),
        format: reader.get(&key::LOG_FORMAT),
        file: Some(reader.get(&key::LOG_FILE))
            .filter(|path| !path.is_empty())
            .map(|path| root.join(path)),
    };
    let ports = [
        cluster.as_ref().map(|it| cluster_port(reader, it)),
        coordinator.as_ref().map(|it| coordinator_port(reader, it)),
        broker.as_ref().map(|it| broker_port(reader, it)),
        web.as_ref().map(|it| web_port(reader, it)),
    ];
    check_ports(reader, ports.into_iter().flatten().collect());
    let source = Source {
        effective: std::mem::take(&mut reader.effective),
        words: reader.words(),
        notes: std::mem::take(&mut reader.notes),
        ..Source::default()
    };
    Config {
        id: ServerId(id),
        cluster,
        certificates,
        certificates_required,
        coordinator,
        broker,
        network,
        journal,
        disk,
        web,
        log,
        source,
    }
}

/// A coordinator's number is one byte of the session ids it gives out.
pub const COORDINATOR_ID_MAX: u16 = 254;

fn read_coordinator(reader: &mut Reader<'_>, listen: IpAddr, id: u16) -> Option<Coordinator> {
    let enabled = reader.get(&key::COORDINATOR_ENABLED);
    let tick_time_ms = reader.get(&key::COORDINATOR_TICK_TIME_MS);
    let timeout_min_ms = reader.get_or(&key::COORDINATOR_SESSION_TIMEOUT_MIN_MS, 2 * tick_time_ms);
    let timeout_max_ms = reader.get_or(&key::COORDINATOR_SESSION_TIMEOUT_MAX_MS, 20 * tick_time_ms);
    let coordinator = Coordinator {
        listen: reader.get_or(&key::COORDINATOR_LISTEN, listen),
        port: reader.get(&key::COORDINATOR_PORT),
        tick_time: milliseconds(tick_time_ms),
        session_timeout_min: milliseconds(timeout_min_ms),
        session_timeout_max: milliseconds(timeout_max_ms),
        connections_per_address_max: Some(
            reader.get(&key::COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX),
        )
        .filter(|max| *max > 0),
        request_bytes_max: reader.get(&key::COORDINATOR_REQUEST_BYTES_MAX),
        outstanding_requests_max: reader.get(&key::COORDINATOR_OUTSTANDING_REQUESTS_MAX),
        watch_bytes_per_connection_max: reader
            .get(&key::COORDINATOR_WATCH_BYTES_PER_CONNECTION_MAX),
        watch_bytes_max: reader.get(&key::COORDINATOR_WATCH_BYTES_MAX),
        sessions_max: reader.get(&key::COORDINATOR_SESSIONS_MAX),
        sessions_per_address_max: reader.get(&key::COORDINATOR_SESSIONS_PER_ADDRESS_MAX),
        tree_bytes_max: reader.get(&key::COORDINATOR_TREE_BYTES_MAX),
        super_digest: Some(reader.get(&key::COORDINATOR_SUPER_DIGEST))
            .filter(|digest| !digest.is_empty()),
        skip_acl: reader.get(&key::COORDINATOR_SKIP_ACL),
        read_only: reader.get(&key::COORDINATOR_READ_ONLY),
        four_letter_words: reader.get(&key::COORDINATOR_FOUR_LETTER_WORDS),
        snapshot_every_entries: reader.get(&key::COORDINATOR_SNAPSHOT_EVERY_ENTRIES),
    };
    if !enabled {
        return None;
    }
    if timeout_min_ms > timeout_max_ms {
        let place = reader.place(&key::COORDINATOR_SESSION_TIMEOUT_MAX_MS);
        let text = format!(
            "[coordinator] session_timeout_max_ms is {timeout_max_ms}, less than session_timeout_min_ms, which is \
             {timeout_min_ms}"
        );
        reader.mistakes.add(place, text);
    }
    if id > COORDINATOR_ID_MAX {
        let place = reader.place(&key::SERVER_ID);
        let text = format!(
            "[server] id is {id}: a coordinator's must be a whole number from 0 to {COORDINATOR_ID_MAX}"
        );
        reader.mistakes.add(place, text);
    }
    Some(coordinator)
}

fn read_broker(
    reader: &mut Reader<'_>,
    root: &Path,
    machine: &Machine,
    listen: IpAddr,
    coordinator: Option<&Coordinator>,
) -> Option<Broker> {
    let enabled = reader.get(&key::BROKER_ENABLED);
    let listen = reader.get_or(&key::BROKER_LISTEN, listen);
    let topic_defaults = TopicSettings {
        num_partitions: reader.get(&key::BROKER_NUM_PARTITIONS),
        delete_policy: reader.get(&key::BROKER_DELETE_POLICY),
        delete_when: reader.get(&key::BROKER_DELETE_WHEN),
        accept_publish: reader.get(&key::BROKER_ACCEPT_PUBLISH),
        accept_subscribe: reader.get(&key::BROKER_ACCEPT_SUBSCRIBE),
        statistics: reader.get(&key::BROKER_STATISTICS),
        folder: root.join(reader.get(&key::BROKER_TOPICS_FOLDER)),
    };
    let topics = read_topics(reader, root, &topic_defaults);
    let hold_gets = reader.get(&key::BROKER_HOLD_GETS);
    let hold_max = milliseconds(reader.get(&key::BROKER_HOLD_MAX_MS));
    let message_bytes_max = reader.get(&key::BROKER_MESSAGE_BYTES_MAX);
    let transfer_bytes_max = read_transfer_bytes_max(reader, message_bytes_max);
    let broker = Broker {
        listen,
        port: reader.get(&key::BROKER_PORT),
        advertised_host: read_host_name(reader, listen, machine),
        topic_defaults,
        topics,
        segment_bytes: reader.get(&key::BROKER_SEGMENT_BYTES),
        message_bytes_max,
        transfer_bytes_max,
        update_consumer_offsets: reader.get(&key::BROKER_UPDATE_CONSUMER_OFFSETS),
        hold_max: hold_gets.then_some(hold_max),
        turns: reader.get(&key::BROKER_TURNS),
        turns_without_positions: reader.get(&key::BROKER_TURNS_WITHOUT_POSITIONS),
        held_gets_max: reader.get(&key::BROKER_HELD_GETS_MAX),
        zookeeper: read_zookeeper(reader, enabled, coordinator),
    };
    enabled.then_some(broker)
}

/// The bytes of a message's header.
const HEADER_BYTES: u32 = 20;

/// The most that one get returns: room for the largest message, at least.
fn read_transfer_bytes_max(reader: &mut Reader<'_>, message_bytes_max: u32) -> u32 {
    let key = &key::BROKER_TRANSFER_BYTES_MAX;
    let least = message_bytes_max.saturating_add(HEADER_BYTES);
    let written = reader.get_or(key, least);
    if written >= least {
        return written;
    }
    reader.hold(key, &least);
    // Whoever names the size of a message means one message, and its header is no news to anybody.
    if written < message_bytes_max && !is_samples_transfer_size(reader, written) {
        let text = format!(
            "is taken as {least}: the largest message (broker.message_bytes_max) and its header have to fit"
        );
        reader.note(key, &text);
    }
    least
}

/// Whether the bytes that a get returns are those of the original's sample. Each `server.ini` has to say something, and
/// nearly all say this: nobody chose it, unless he chose the size of a message as well.
fn is_samples_transfer_size(reader: &Reader<'_>, written: u32) -> bool {
    const SAMPLES: u32 = 1024 * 1024;
    let (bytes, message) = (
        &key::BROKER_TRANSFER_BYTES_MAX,
        &key::BROKER_MESSAGE_BYTES_MAX,
    );
    let of_original = |place: &Place| place.file.ends_with("server.ini");
    written == SAMPLES
        && of_original(&reader.place(bytes))
        && reader.file.setting(message.section, message.name).is_none()
}

/// What clients are told to connect to: what the operator says, or what can be guessed.
fn read_host_name(reader: &mut Reader<'_>, listen: IpAddr, machine: &Machine) -> String {
    let guess = match machine.first_address {
        _ if !listen.is_unspecified() => listen.to_string(),
        Some(address) => address.to_string(),
        None => Ipv4Addr::LOCALHOST.to_string(),
    };
    reader.get_or(&key::SERVER_HOST_NAME, guess)
}

fn read_zookeeper(
    reader: &mut Reader<'_>,
    broker_enabled: bool,
    coordinator: Option<&Coordinator>,
) -> Zookeeper {
    let connect = connect_string(&reader.get(&key::ZOOKEEPER_CONNECT)).unwrap_or_default();
    let register = reader.get(&key::ZOOKEEPER_REGISTER);
    let known = &key::ZOOKEEPER_CONNECT;
    let written = reader.file.setting(known.section, known.name);
    // One that is mistaken was told already.
    let is_blank = written.is_none_or(|it| it.value == Value::Text(String::new()));
    if is_blank && broker_enabled && register && coordinator.is_none() {
        let place = reader.place(known);
        let text = "[zookeeper] connect is empty, but this server has no coordinator of its own: name a ZooKeeper, or set \
                    coordinator.enabled or zookeeper.register otherwise";
        reader.mistakes.add(place, text);
    }
    Zookeeper {
        at: match connect.is_empty() || leads_to(&connect, coordinator) {
            true => ZookeeperAt::BuiltIn,
            false => ZookeeperAt::External(connect),
        },
        root: reader.get(&key::ZOOKEEPER_ROOT),
        register,
        session_timeout: milliseconds(reader.get(&key::ZOOKEEPER_SESSION_TIMEOUT_MS)),
        drain: milliseconds(reader.get(&key::ZOOKEEPER_DRAIN_MS)),
    }
}

/// Whether a connect string names this server's own coordinator and nothing else, as the originals'
/// files do where both halves are on one machine.
fn leads_to(connect: &str, coordinator: Option<&Coordinator>) -> bool {
    let Some((coordinator, (host, port))) = coordinator.zip(host_and_port(connect)) else {
        return false;
    };
    let names_this_machine = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == coordinator.listen,
        Err(_) => host == "localhost",
    };
    names_this_machine && port == coordinator.port
}

fn read_topics(reader: &mut Reader<'_>, root: &Path, defaults: &TopicSettings) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    for section in &reader.file.topics {
        let name = section.name.as_str();
        if topics.iter().any(|topic| topic.name == name) {
            continue;
        }
        let own = OwnTopicSettings {
            num_partitions: reader.of_topic(name, &key::TOPIC_NUM_PARTITIONS),
            delete_policy: reader.of_topic(name, &key::TOPIC_DELETE_POLICY),
            delete_when: reader.of_topic(name, &key::TOPIC_DELETE_WHEN),
            accept_publish: reader.of_topic(name, &key::TOPIC_ACCEPT_PUBLISH),
            accept_subscribe: reader.of_topic(name, &key::TOPIC_ACCEPT_SUBSCRIBE),
            statistics: reader.of_topic(name, &key::TOPIC_STATISTICS),
            folder: reader
                .of_topic(name, &key::TOPIC_FOLDER)
                .map(|path| root.join(path)),
        };
        topics.push(Topic {
            name: name.to_owned(),
            settings: own.over(defaults),
            own,
        });
    }
    topics
}

fn read_network(
    reader: &mut Reader<'_>,
    coordinator: Option<&Coordinator>,
    broker: Option<&Broker>,
) -> Network {
    // What surrounds a message or a request: the header line, the frame, the reply in the making.
    const MARGIN: u32 = 16 * 1024;
    // What holds where nothing else is said and no write is larger.
    const CONNECTION_BYTES: u32 = 8 * 1024 * 1024;
    const ALL_CONNECTIONS_BYTES: u64 = 256 * 1024 * 1024;
    let largest = largest_write(coordinator, broker);
    let least = largest.saturating_add(MARGIN);
    let connection_default = least.max(CONNECTION_BYTES);
    let connection_bytes_max =
        reader.get_or(&key::NETWORK_CONNECTION_BYTES_MAX, connection_default);
    let all_connections_default = ALL_CONNECTIONS_BYTES.max(u64::from(connection_bytes_max));
    let network = Network {
        connections_max: reader.get(&key::NETWORK_CONNECTIONS_MAX),
        connection_bytes_max,
        all_connections_bytes_max: reader.get_or(
            &key::NETWORK_ALL_CONNECTIONS_BYTES_MAX,
            all_connections_default,
        ),
    };
    if network.connection_bytes_max < least {
        let place = reader.place(&key::NETWORK_CONNECTION_BYTES_MAX);
        let text = format!(
            "[network] connection_bytes_max is {}: must be at least {least}, to have room for a write of {largest} bytes \
             (broker.message_bytes_max or coordinator.request_bytes_max)",
            network.connection_bytes_max
        );
        reader.mistakes.add(place, text);
    }
    if network.all_connections_bytes_max < u64::from(network.connection_bytes_max) {
        let place = reader.place(&key::NETWORK_ALL_CONNECTIONS_BYTES_MAX);
        let text = format!(
            "[network] all_connections_bytes_max is {}: must be at least connection_bytes_max, which is {}",
            network.all_connections_bytes_max, network.connection_bytes_max
        );
        reader.mistakes.add(place, text);
    }
    network
}

fn read_journal(
    reader: &mut Reader<'_>,
    has_others: bool,
    coordinator: Option<&Coordinator>,
    broker: Option<&Broker>,
) -> Journal {
    const BLOCK_BYTES: u64 = 4096;
    let journal = Journal {
        file_bytes: reader.get(&key::JOURNAL_FILE_BYTES),
        files_max: reader.get(&key::JOURNAL_FILES_MAX),
    };
    if !journal.file_bytes.is_multiple_of(BLOCK_BYTES) {
        let place = reader.place(&key::JOURNAL_FILE_BYTES);
        let text = format!(
            "[journal] file_bytes is {}: must be a multiple of {BLOCK_BYTES}",
            journal.file_bytes
        );
        reader.mistakes.add(place, text);
    }
    let largest = u64::from(largest_write(coordinator, broker));
    if journal.file_bytes / 2 < largest {
        let place = reader.place(&key::JOURNAL_FILE_BYTES);
        let text = format!(
            "[journal] file_bytes is {}: must be at least twice the largest write, which is {largest} bytes \
             (broker.message_bytes_max or coordinator.request_bytes_max)",
            journal.file_bytes
        );
        reader.mistakes.add(place, text);
    }
    // What its clients may write is each server's own affair, and every journal has to take it.
    let of_others = u64::from(key::COORDINATOR_REQUEST_BYTES_MAX.permitted.max);
    if has_others && journal.file_bytes / 2 < of_others {
        let place = reader.place(&key::JOURNAL_FILE_BYTES);
        let text = format!(
            "[journal] file_bytes is {}: must be at least {} beside cluster.servers, because the others may take writes \
             of {of_others} bytes (coordinator.request_bytes_max there)",
            journal.file_bytes,
            2 * of_others
        );
        reader.mistakes.add(place, text);
    }
    journal
}

/// The most bytes that one client can have written at once.
fn largest_write(coordinator: Option<&Coordinator>, broker: Option<&Broker>) -> u32 {
    let request = coordinator.map_or(0, |coordinator| coordinator.request_bytes_max);
    let message = broker.map_or(0, |broker| broker.message_bytes_max);
    request.max(message)
}

/// A port that this server listens on.
struct Port {
    section: Section,
    place: Place,
    listen: IpAddr,
    number: u16,
}

fn cluster_port(reader: &Reader<'_>, cluster: &Cluster) -> Port {
    Port {
        section: Section::Cluster,
        place: reader.place(&key::CLUSTER_SERVERS),
        listen: cluster.listen,
        number: cluster.port,
    }
}

fn coordinator_port(reader: &Reader<'_>, coordinator: &Coordinator) -> Port {
    Port {
        section: Section::Coordinator,
        place: reader.place(&key::COORDINATOR_PORT),
        listen: coordinator.listen,
        number: coordinator.port,
    }
}

fn broker_port(reader: &Reader<'_>, broker: &Broker) -> Port {
    Port {
        section: Section::Broker,
        place: reader.place(&key::BROKER_PORT),
        listen: broker.listen,
        number: broker.port,
    }
}

fn web_port(reader: &Reader<'_>, web: &Web) -> Port {
    Port {
        section: Section::Web,
        place: reader.place(&key::WEB_PORT),
        listen: web.listen,
        number: web.port,
    }
}

fn check_ports(reader: &mut Reader<'_>, taken: Vec<Port>) {
    for (index, first) in taken.iter().enumerate() {
        for second in &taken[index + 1..] {
            let meet = first.listen == second.listen
                || first.listen.is_unspecified()
                || second.listen.is_unspecified();
            if meet && first.number == second.number && first.number != 0 {
                let text = format!(
                    "[{}] port is {}, and so is that of [{}]: they must differ",
                    second.section, second.number, first.section
                );
                reader.mistakes.add(second.place.clone(), text);
            }
        }
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}
