//! What the node can tell in numbers: the cores' own and those of the parts around them, put together.

use super::Node;
use super::connections::{Dropped, Port};
use crate::appliance::cluster::{ClusterStatus, MemberRole, Standing};
use crate::appliance::status::{
    BrokerStatus, CoordinatorStatus, DiskStatus, JournalStatus, TopicSummary, Unshown,
};
use crate::report::metrics::{self, Scrape};
use crate::units::Moment;

impl Node {
    pub(crate) fn coordinator_status(&self) -> Option<CoordinatorStatus> {
        let side = self.coordinator.as_ref()?;
        let status = side.core.status();
        Some(CoordinatorStatus {
            role: side.mode().to_string(),
            zxid: status.zxid.0,
            znodes: status.nodes as u64,
            ephemerals: status.ephemerals,
            watches: status.watches as u64,
            sessions: status.sessions as u64,
            read_only_sessions: status.read_only.then_some(status.read_only_sessions as u64),
            connections: status.connections as u64,
            data_bytes: status.data_bytes,
            requests: side.totals.traffic.received,
        })
    }

    /// The ensemble, as the node knows it.
    pub(crate) fn cluster_status(&self, now: Moment) -> Option<ClusterStatus> {
        let side = self.coordinator.as_ref()?;
        Some(side.cluster_status(now, &self.world))
    }

    /// Whether others would have to elect a leader if this server were gone.
    pub(crate) fn leads_others(&self) -> bool {
        let side = self.coordinator.as_ref();
        side.is_some_and(super::CoordinatorSide::leads_others)
    }

    /// The same, and also while nobody leads.
    pub(crate) fn is_needed_to_lead(&self) -> bool {
        let side = self.coordinator.as_ref();
        side.is_some_and(|side| side.leads_others() || side.waits_for(&self.world).is_some())
    }

    pub(crate) fn journal_status(&self, backend: &str) -> JournalStatus {
        let status = self.world.journal.status();
        JournalStatus {
            files_max: u32::try_from(status.pressure.files_max).unwrap_or(u32::MAX),
            files_needed: u32::try_from(status.pressure.files_used).unwrap_or(u32::MAX),
            backend: backend.to_owned(),
            batches: status.sequence,
            written_bytes: status.written_bytes,
        }
    }

    /// The broker, as far as the node knows it.
    pub(crate) fn broker_status(&self) -> Option<BrokerStatus> {
        let side = self.broker.as_ref()?;
        Some(BrokerStatus {
            refusing_puts: self.space.is_low()
                || self.world.journal.pressure().refuse
                || side.core.is_parked(),
            connections: self.connection_count(Port::Broker) as u64,
            ..side.status(self.world.now)
        })
    }

    /// The disk, when last looked at.
    pub(crate) fn disk_status(&self) -> DiskStatus {
        DiskStatus {
            total_bytes: self.space.total().unwrap_or(0),
            free_bytes: self.space.free().unwrap_or(0),
        }
    }

    /// What an operator should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.obstacles();
        warnings.extend(self.lost.as_ref().map(|lost| {
            format!(
                "this start accepted a loss: everything written after the damage in the journal is gone; as far as the \
                 journal can tell: {lost}"
            )
        }));
        let snapshots = self.coordinator.as_ref().map(|side| &side.snapshots);
        if let Some(why) = snapshots.and_then(|snapshots| snapshots.trouble()) {
            warnings.push(format!(
                "no snapshot of the coordinator can be written, so the journal keeps its entries: {why}"
            ));
        }
        warnings.extend(self.space.troubles().map(str::to_owned));
        if self.world.connections.is_full() {
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
            .map_or_else(Vec::new, super::BrokerSide::topic_summaries)
    }

    /// What topics keep in partitions that no client is shown, by topic.
    pub(crate) fn unshown(&self) -> Vec<Unshown> {
        self.broker
            .as_ref()
            .map_or_else(Vec::new, super::BrokerSide::unshown)
    }

    fn measure_port(&self, port: Port, scrape: &mut Scrape) {
        let traffic = &self.world.connections.traffic(port);
        let name = ("port", port.name());
        let count = self.world.connections.count(port) as u64;
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

    fn measure_ensemble(&self, scrape: &mut Scrape) {
        let Some(status) = self.cluster_status(self.world.now) else {
            return;
        };
        let leads = matches!(status.standing, Standing::Leads | Standing::Alone);
        scrape.set(&metrics::ENSEMBLE_LEADS, u64::from(leads));
        scrape.set(&metrics::ENSEMBLE_TERM, status.term);
        let members = status.servers.iter();
        let members = members.filter(|place| place.role != MemberRole::Outside);
        scrape.set(&metrics::ENSEMBLE_MEMBERS, members.count() as u64);
        let voters = status.servers.iter();
        let voters = voters.filter(|place| place.role == MemberRole::Voter);
        scrape.set(&metrics::ENSEMBLE_VOTERS, voters.count() as u64);
        scrape.set(&metrics::ENSEMBLE_COMMITTED, status.committed);
        scrape.set(&metrics::ENSEMBLE_APPLIED, status.applied);
        let others = status.servers.iter().filter(|place| !place.is_own);
        let connected = others.filter(|place| place.connected).count();
        scrape.set(&metrics::ENSEMBLE_CONNECTED, connected as u64);
        let differing = status.servers.iter().filter(|place| place.differs);
        scrape.set(&metrics::ENSEMBLE_DIFFERING, differing.count() as u64);
        scrape.set(&metrics::ENSEMBLE_DIFFERING_FOUND, status.differing_found);
        for place in &status.servers {
            let behind = match place.is_own && leads {
                true => Some(0),
                false => place.behind,
            };
            if let Some(behind) = behind {
                let labels = [("server", &*place.server.to_string())];
                scrape.set_for(&metrics::ENSEMBLE_BEHIND, &labels, behind);
            }
        }
    }

    /// Puts the node's numbers into a scrape.
    pub(crate) fn measure(&self, scrape: &mut Scrape) {
        let has_peers = self
            .coordinator
            .as_ref()
            .is_some_and(|side| side.hello().is_some());
        for port in Port::ALL
            .into_iter()
            .filter(|port| has_peers || *port != Port::Peers)
        {
            self.measure_port(port, scrape);
        }
        scrape.set(
            &metrics::CONNECTION_MEMORY_BYTES,
            self.world.connections.held_bytes(),
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
            let status = side.core.status();
            let outstanding = status.outstanding.requests;
            scrape.set(&metrics::COORDINATOR_OUTSTANDING, outstanding as u64);
            let read_only = u64::from(status.read_only);
            scrape.set(&metrics::COORDINATOR_READ_ONLY, read_only);
            let readers = status.read_only_sessions as u64;
            scrape.set(&metrics::COORDINATOR_READ_ONLY_SESSIONS, readers);
            scrape.set_latency(
                &metrics::COORDINATOR_WRITE_LATENCY,
                &[],
                &side.totals.writes,
            );
            scrape.set(&metrics::SNAPSHOTS, side.snapshots.taken());
        }
        self.measure_ensemble(scrape);
        if let Some(side) = &self.broker {
            side.measure(scrape);
        }
        let journal = self.world.journal.status();
        scrape.set(&metrics::JOURNAL_BATCHES, journal.sequence);
        scrape.set(&metrics::JOURNAL_ENTRIES, journal.records);
        scrape.set(&metrics::JOURNAL_READ_BACK, journal.read_back);
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
