//! A `server.ini` that says what a `server.toml` says: what `stats config` answers.
//!
//! The original's slaves and dashboards read it with the original's parser, which stops at any key that
//! it does not know: only its own keys may stand in its own sections.

use std::fmt::Write as _;

use super::ini::escape;
use crate::config::checked::{Broker, Config, ZookeeperAt};
use crate::config::topic::OwnTopicSettings;

/// A `server.ini` that says the same as `config`; empty if it is no broker.
pub fn render_server_ini(config: &Config) -> String {
    let Some(broker) = &config.broker else {
        return String::new();
    };
    let mut text =
        String::from("; Made by Chrysalis from its server.toml, for those who read this format.\n");
    push_section(&mut text, "system", &system(config, broker));
    push_section(&mut text, "zookeeper", &zookeeper(config, broker));
    for topic in &broker.topics {
        push_section(
            &mut text,
            &format!("topic={}", topic.name),
            &topic_keys(&topic.own),
        );
    }
    text
}

fn push_section(text: &mut String, title: &str, keys: &[(&str, String)]) {
    let _ = write!(text, "\n[{}]\n", escape(title));
    for (name, value) in keys {
        let _ = writeln!(text, "{name}={}", escape(value));
    }
}

fn system(config: &Config, broker: &Broker) -> Vec<(&'static str, String)> {
    let defaults = &broker.topic_defaults;
    let mut keys = vec![
        ("brokerId", config.id.to_string()),
        ("hostName", broker.advertised_host.clone()),
        ("serverPort", broker.port.to_string()),
        ("numPartitions", defaults.num_partitions.to_string()),
        ("dataPath", defaults.folder.display().to_string()),
        // Required by that parser. Zero is its word for "on disk before it is acknowledged".
        ("unflushThreshold", "0".to_owned()),
        ("unflushInterval", "10000".to_owned()),
        ("maxSegmentSize", broker.segment_bytes.to_string()),
        ("maxTransferSize", broker.transfer_bytes_max.to_string()),
        ("deletePolicy", defaults.delete_policy.to_string()),
        ("deleteWhen", defaults.delete_when.to_string()),
        ("acceptPublish", defaults.accept_publish.to_string()),
        ("acceptSubscribe", defaults.accept_subscribe.to_string()),
        ("stat", defaults.statistics.to_string()),
        (
            "updateConsumerOffsets",
            broker.update_consumer_offsets.to_string(),
        ),
    ];
    keys.extend(
        config
            .web
            .map(|web| ("dashboardHttpPort", web.port.to_string())),
    );
    keys
}

fn zookeeper(config: &Config, broker: &Broker) -> Vec<(&'static str, String)> {
    let connect = match (&broker.zookeeper.at, &config.coordinator) {
        (ZookeeperAt::External(connect), _) => connect.clone(),
        (ZookeeperAt::BuiltIn, Some(coordinator)) => {
            address(&broker.advertised_host, coordinator.port)
        }
        // It registers nowhere; that parser wants an address all the same.
        (ZookeeperAt::BuiltIn, None) => address(&broker.advertised_host, 0),
    };
    vec![
        ("zk.zkConnect", connect),
        ("zk.zkRoot", broker.zookeeper.root.clone()),
        ("zk.zkEnable", broker.zookeeper.register.to_string()),
        (
            "zk.zkSessionTimeoutMs",
            broker.zookeeper.session_timeout.as_millis().to_string(),
        ),
        (
            "zk.zkSyncTimeMs",
            broker.zookeeper.drain.as_millis().to_string(),
        ),
    ]
}

fn address(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

fn topic_keys(own: &OwnTopicSettings) -> Vec<(&'static str, String)> {
    [
        ("numPartitions", own.num_partitions.map(|it| it.to_string())),
        ("deletePolicy", own.delete_policy.map(|it| it.to_string())),
        (
            "deleteWhen",
            own.delete_when.as_ref().map(ToString::to_string),
        ),
        (
            "dataPath",
            own.folder.as_ref().map(|it| it.display().to_string()),
        ),
        ("acceptPublish", own.accept_publish.map(|it| it.to_string())),
        (
            "acceptSubscribe",
            own.accept_subscribe.map(|it| it.to_string()),
        ),
        ("stat", own.statistics.map(|it| it.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name, value)))
    .collect()
}
