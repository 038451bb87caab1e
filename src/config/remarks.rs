//! What is permitted, and seldom meant: notes for whoever starts or checks a server.

use std::path::Path;

use super::explain::CLUSTER_LISTEN;
use super::{Config, Origin, ZookeeperAt};
use crate::units::counted;

/// The notes on a configuration.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(unused_coordinator(config));
    notes.extend(open_to_all(config));
    notes.extend(even_number(config));
    notes.extend(open_to_servers(config));
    notes
}

/// A coordinator that its own broker does not use: a server that was moved by half.
fn unused_coordinator(config: &Config) -> Option<String> {
    let (coordinator, broker) = config.coordinator.as_ref().zip(config.broker.as_ref())?;
    let ZookeeperAt::External(at) = &broker.zookeeper.at else {
        return None;
    };
    // That of a cluster is of use to the other servers.
    if config.cluster.is_some() {
        return None;
    }
    let port = coordinator.port;
    Some(format!(
        "the broker uses the ZooKeeper at {at}. Unless that is this server itself, its own coordinator starts for \
         nothing. To use it, set zk.zkConnect (zookeeper.connect) to 127.0.0.1:{port}; to have none, remove zoo.cfg (set \
         coordinator.enabled to false)"
    ))
}

/// The originals' files mean every address where they name none; nobody has to write it.
fn open_to_all(config: &Config) -> Option<String> {
    let files = &config.source.files;
    if files
        .iter()
        .any(|file| file.ends_with(Path::new("server.toml")))
    {
        return None;
    }
    let coordinator = config.coordinator.as_ref().map(|it| (it.listen, it.port));
    let broker = config.broker.as_ref().map(|it| (it.listen, it.port));
    let open = [coordinator, broker].into_iter().flatten();
    let open: Vec<String> = open
        .filter(|(listen, _)| listen.is_unspecified())
        .map(|(_, port)| port.to_string())
        .collect();
    (!open.is_empty()).then(|| {
        format!(
            "this server listens on every address of the machine (port {}), as the originals do: whoever reaches it may \
             read, write and delete. Let the firewall admit only the hosts of your clients, or name an address: server.listen \
             below [chrysalis] in server.ini, clientPortAddress in zoo.cfg",
            open.join(" and ")
        )
    })
}

/// More than half of an even number is as far from all of it as with one server fewer.
fn even_number(config: &Config) -> Option<String> {
    let cluster = config.cluster.as_ref()?;
    let observers = cluster.observers().len();
    let count = cluster.servers.len() - observers;
    if count % 2 == 1 {
        return None;
    }
    let what = if observers == 0 { "servers" } else { "voters" };
    let servers = counted(count, what);
    Some(match (count - 1) / 2 {
        0 => format!(
            "the cluster has {servers}: it needs both, so it stops more often than one server alone. Add a third, or take one out"
        ),
        without => format!(
            "the cluster has {servers}: it serves on without {without} of them, no more than {} do. Take one out, or add one",
            counted(count - 1, what)
        ),
    })
}

/// Nobody has to write that other servers may come to every address.
fn open_to_servers(config: &Config) -> Option<String> {
    let cluster = config.cluster.as_ref()?;
    let name = format!("{}.{}", CLUSTER_LISTEN.section, CLUSTER_LISTEN.name);
    let mut effective = config.source.effective.iter();
    let held = effective.find(|held| held.key == name)?;
    let is_chosen = matches!(held.origin, Origin::Written { .. });
    (cluster.listen.is_unspecified() && !is_chosen).then(|| {
        format!(
            "this server listens for the other servers on every address of the machine (port {}), without encryption and without \
             passwords. Let the firewall admit only them, or name an address (cluster.listen; in zoo.cfg, \
             chrysalis.cluster.listen)",
            cluster.port
        )
    })
}
