//! How the server is doing, for commands, `/health` and `/metrics`: the cores' own numbers, put together.

use super::connections::Port;
use super::event_loop::Shell;
use super::run::Server;
use super::traffic::Dropped;
use super::{Node, broker_side, system};
use crate::appliance::status::{
    BrokerStatus, CoordinatorStatus, DiskStatus, JournalStatus, Owners, Registration, ServerStatus,
    TopicSummary,
};
use crate::config::ZookeeperAt;
use crate::disk::Chosen;
use crate::registry::{Registry, Standing, owners};
use crate::report::lines;
use crate::report::metrics::{self, Scrape};

impl Node {
    fn coordinator_status(&self) -> Option<CoordinatorStatus> {
        let side = self.coordinator.as_ref()?;
        let status = side.core.status();
        Some(CoordinatorStatus {
            role: "standalone".to_owned(),
            zxid: status.zxid.0,
            znodes: status.nodes as u64,
            ephemerals: status.ephemerals,
            watches: status.watches as u64,
            sessions: status.sessions as u64,
            connections: status.connections as u64,
            data_bytes: status.data_bytes,
            requests: side.totals.traffic.received,
        })
    }

    fn journal_status(&self, backend: &str) -> JournalStatus {
        let status = self.journal.status();
        JournalStatus {
            files_max: u32::try_from(status.pressure.files_max).unwrap_or(u32::MAX),
            files_needed: u32::try_from(status.pressure.files_used).unwrap_or(u32::MAX),
            backend: backend.to_owned(),
            batches: status.sequence,
            written_bytes: status.written_bytes,
        }
    }

    /// What an operator should know.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.obstacles();
        let snapshots = self.coordinator.as_ref().map(|side| &side.snapshots);
        if let Some(why) = snapshots.and_then(|snapshots| snapshots.trouble()) {
            warnings.push(format!(
                "no snapshot of the coordinator can be written, so the journal keeps its entries: {why}"
            ));
        }
        warnings.extend(self.space.troubles().cloned());
        if self.connections.is_full() {
            warnings.push(
                "connections hold all the memory they may: some are not read from".to_owned(),
            );
        }
        warnings
    }

    /// The topics, by name.
    pub fn topic_summaries(&self) -> Vec<TopicSummary> {
        self.broker
            .as_ref()
            .map_or_else(Vec::new, broker_side::BrokerSide::topic_summaries)
    }

    fn measure_port(&self, port: Port, scrape: &mut Scrape) {
        let traffic = &self.connections.traffic(port);
        let name = ("port", port.name());
        let count = self.connections.count(port) as u64;
        scrape.set_for(&metrics::CONNECTIONS, &[name], count);
        scrape.set_for(&metrics::CONNECTIONS_ACCEPTED, &[name], traffic.accepted);
        for (limit, count) in [
            ("all", traffic.refused),
            ("address", traffic.refused_address),
        ] {
            let labels = [name, ("limit", limit)];
            scrape.set_for(&metrics::CONNECTIONS_REFUSED, &labels, count);
        }
        for reason in Dropped::ALL {
            let labels = [name, ("reason", reason.name())];
            let count = traffic.dropped[reason as usize];
            scrape.set_for(&metrics::CONNECTIONS_DROPPED, &labels, count);
        }
        scrape.set_for(&metrics::RECEIVED_BYTES, &[name], traffic.received_bytes);
        scrape.set_for(&metrics::SENT_BYTES, &[name], traffic.sent_bytes);
    }

    /// Puts the node's numbers into a scrape.
    fn measure(&self, scrape: &mut Scrape) {
        for port in Port::ALL {
            self.measure_port(port, scrape);
        }
        scrape.set(
            &metrics::CONNECTION_MEMORY_BYTES,
            self.connections.held_bytes(),
        );
        if let Some(status) = self.coordinator_status() {
            scrape.set(&metrics::COORDINATOR_REQUESTS, status.requests);
            scrape.set(&metrics::COORDINATOR_SESSIONS, status.sessions);
            scrape.set(&metrics::COORDINATOR_ZNODES, status.znodes);
            scrape.set(&metrics::COORDINATOR_EPHEMERALS, status.ephemerals);
            scrape.set(&metrics::COORDINATOR_WATCHES, status.watches);
            scrape.set(&metrics::COORDINATOR_DATA_BYTES, status.data_bytes);
            scrape.set(
                &metrics::COORDINATOR_ZXID,
                u64::try_from(status.zxid).unwrap_or(0),
            );
        }
        if let Some(side) = &self.coordinator {
            let outstanding = side.core.status().outstanding.requests;
            scrape.set(&metrics::COORDINATOR_OUTSTANDING, outstanding as u64);
            scrape.set_latency(
                &metrics::COORDINATOR_WRITE_LATENCY,
                &[],
                &side.totals.writes,
            );
            scrape.set(&metrics::SNAPSHOTS, side.snapshots.taken());
        }
        if let Some(side) = &self.broker {
            side.measure(scrape);
        }
        let journal = self.journal.status();
        scrape.set(&metrics::JOURNAL_BATCHES, journal.sequence);
        scrape.set(&metrics::JOURNAL_ENTRIES, journal.records);
        scrape.set(&metrics::JOURNAL_WRITTEN_BYTES, journal.written_bytes);
        scrape.set_latency(&metrics::JOURNAL_BATCH_LATENCY, &[], &journal.latency);
        scrape.set(&metrics::JOURNAL_FILES, journal.pressure.files_max as u64);
        scrape.set(
            &metrics::JOURNAL_FILES_NEEDED,
            journal.pressure.files_used as u64,
        );
        if let Some(free) = self.space.free() {
            scrape.set(&metrics::DISK_FREE_BYTES, free);
        }
        scrape.set(&metrics::DISK_REFUSING_PUTS, u64::from(self.space.is_low()));
        scrape.set(&metrics::LOOP_TURNS, self.turns);
    }
}

impl Shell {
    /// Whether clients are served; the reason if not.
    pub(super) fn health(&self) -> Result<(), String> {
        let node = self.node.borrow();
        if !node.serves() {
            return Err("what is on disk is still being applied".to_owned());
        }
        match node.stopping {
            true => Err("the server stops".to_owned()),
            false => Ok(()),
        }
    }

    /// The text of `/metrics`, in this form.
    pub(super) fn metrics(&self, form: metrics::Form) -> String {
        let mut scrape = Scrape::default();
        scrape.set_fraction(&metrics::UPTIME_SECONDS, self.clock.uptime().as_secs_f64());
        scrape.set(&metrics::READY, u64::from(self.obstacles().is_empty()));
        scrape.set(&metrics::MEMORY_BYTES, system::resident_bytes());
        if let Some((open, open_max)) = system::descriptors() {
            scrape.set(&metrics::OPEN_FILES, open);
            scrape.set(&metrics::OPEN_FILES_MAX, open_max);
        }
        scrape.set(&metrics::LOG_LINES_LOST, lines::lost());
        if let Some(registry) = self.registry.borrow().as_ref() {
            let registered = registry.standing() == Standing::Registered;
            scrape.set(&metrics::BROKER_REGISTERED, u64::from(registered));
            let seen =
                !self.node.borrow().asks_registry || registry.owners() == owners::Standing::Read;
            scrape.set(&metrics::BROKER_OWNERS_SEEN, u64::from(seen));
        }
        let ring = self.backend == Chosen::Ring;
        scrape.set(&metrics::DISK_RING, u64::from(ring));
        scrape.set_latency(
            &metrics::LOOP_TURN_LATENCY,
            &[],
            &self.turn_latency.borrow(),
        );
        self.node.borrow().measure(&mut scrape);
        scrape.render(form)
    }
}

impl Server {
    /// Everything an operator may see.
    pub(super) fn status(&self) -> ServerStatus {
        let node = self.shell.node.borrow();
        ServerStatus {
            name: self.folder.name(),
            id: self.config.id.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: self.state,
            uptime_s: self.shell.clock.uptime().as_secs(),
            ports: self.ports,
            advertised: self.advertised(),
            coordinator: node.coordinator_status(),
            broker: node.broker.as_ref().map(|side| BrokerStatus {
                registration: registration(self.shell.registry.borrow().as_ref()),
                owners: self.owners(),
                refusing_puts: node.space.is_low()
                    || node.journal.pressure().refuse
                    || side.core.is_parked(),
                connections: node.connections.count(Port::Broker) as u64,
                ..side.status()
            }),
            journal: node.journal_status(&self.shell.backend.to_string()),
            disk: DiskStatus {
                total_bytes: node.space.total().unwrap_or(0),
                free_bytes: node.space.free().unwrap_or(0),
            },
            resident_bytes: system::resident_bytes(),
            log_lines_lost: lines::lost(),
            warnings: self.warnings(&node),
        }
    }

    fn warnings(&self, node: &Node) -> Vec<String> {
        let own = node.warnings().into_iter();
        own.chain(self.notes.iter().cloned())
            .chain(lost_lines())
            .collect()
    }

    fn owners(&self) -> Owners {
        let Some(broker) = &self.config.broker else {
            return Owners::Off;
        };
        if broker.hold_max.is_none() {
            return Owners::Off;
        }
        if broker.zookeeper.at == ZookeeperAt::BuiltIn {
            return Owners::Seen;
        }
        let registry = self.shell.registry.borrow();
        let reason = match registry.as_ref().map(Registry::owners) {
            Some(owners::Standing::Read) => return Owners::Seen,
            Some(owners::Standing::Away) => "no connection to ZooKeeper".to_owned(),
            Some(owners::Standing::Silent) => "ZooKeeper does not answer".to_owned(),
            Some(owners::Standing::Refused(why)) => {
                format!("ZooKeeper does not show their nodes: {why}")
            }
            None => "the broker is not registered in ZooKeeper".to_owned(),
        };
        Owners::Unseen { reason }
    }

    fn advertised(&self) -> Option<String> {
        let broker = self.config.broker.as_ref()?;
        let port = self
            .ports
            .broker
            .map_or(broker.port, |address| address.port());
        let url = super::broker_url(&broker.advertised_host, port);
        url.strip_prefix("meta://").map(str::to_owned)
    }
}

/// What an operator should know of a log that has gaps.
fn lost_lines() -> Option<String> {
    let reason = lines::why_lost()?;
    Some(match lines::lost() {
        1 => format!("a log line could not be written: {reason}"),
        count => format!("{count} log lines could not be written: {reason}"),
    })
}

fn registration(registry: Option<&Registry>) -> Registration {
    match registry.map(Registry::standing) {
        None => Registration::Off,
        Some(Standing::Registered) => Registration::Registered,
        Some(Standing::Connecting | Standing::Registering | Standing::Withdrawn) => {
            Registration::Trying
        }
        Some(Standing::Conflict(reason) | Standing::Failing(reason)) => {
            Registration::Failing { reason }
        }
    }
}
