//! How the server is doing, for commands and `/metrics`: the node's own numbers, and what the shell knows.

use std::collections::BTreeMap;

use super::event_loop::Shell;
use super::run::Server;
use super::{settings, system};
use crate::appliance::cluster::ClusterStatus;
use crate::appliance::status::{
    BrokerStatus, CertificateStatus, Owners, Registration, ServerStatus,
};
use crate::authority::day;
use crate::config::ZookeeperAt;
use crate::disk::Chosen;
use crate::node::Node;
use crate::registry::{Registry, Standing, owners};
use crate::report::lines;
use crate::report::metrics::{self, Scrape};

impl Shell {
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
                !self.node.borrow().asks_registry() || registry.owners() == owners::Standing::Read;
            scrape.set(&metrics::BROKER_OWNERS_SEEN, u64::from(seen));
        }
        if let Some(certificate) = self.certificate() {
            let left = certificate.left_s as f64;
            scrape.set_fraction(&metrics::ENSEMBLE_CERTIFICATE_LEFT, left);
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

    /// This server's certificate, if it shows one to the others.
    fn certificate(&self) -> Option<CertificateStatus> {
        let certificates = self.security.certificates()?;
        let ends = certificates.own().ends();
        Some(CertificateStatus {
            ends: day(ends),
            left_s: ends.0.saturating_sub(self.clock.wall().0) / 1000,
            renewed_here: certificates.has_authority(),
            not_renewed: self.security.unrenewed.borrow().clone(),
        })
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
            broker: node.broker_status().map(|broker| BrokerStatus {
                registration: registration(self.shell.registry.borrow().as_ref()),
                owners: self.owners(),
                ..broker
            }),
            certificate: self.shell.certificate(),
            journal: node.journal_status(&self.shell.backend.to_string()),
            disk: node.disk_status(),
            resident_bytes: system::resident_bytes(),
            log_lines_lost: lines::lost(),
            warnings: self.warnings(&node),
        }
    }

    /// The ensemble, if this server is a coordinator.
    pub(super) fn cluster_status(&self) -> Option<ClusterStatus> {
        let now = self.shell.clock.now();
        let mut status = self.shell.node.borrow().cluster_status(now)?;
        status.name = self.folder.name();
        let listed = self.config.cluster.iter();
        let listed = listed.flat_map(|cluster| &cluster.servers);
        let addresses = listed.map(|server| (server.id.0, server.address()));
        let addresses: BTreeMap<u16, String> = addresses.collect();
        for place in &mut status.servers {
            place.address = addresses.get(&place.server).cloned();
        }
        if let Some(leader) = &mut status.leader {
            leader.address = addresses.get(&leader.server).cloned();
        }
        Some(status)
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
        let url = settings::broker_url(&broker.advertised_host, port);
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
