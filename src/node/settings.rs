//! The configuration as each part wants it: every part has options of its own and sees nothing else.

use std::path::PathBuf;

use bytes::Bytes;

use super::system::System;
use crate::broker::{self, Section, Settings, Topics, WaitingOptions};
use crate::config::{self, Config, DeletePolicy, TopicSettings};
use crate::coordinator;
use crate::net::zookeeper_connection;
use crate::segments::format;
use crate::segments::retention::{Action, Policy, When};
use crate::wire::metaq;
use crate::wire::zookeeper::four_letter::Whitelist;

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

/// How ZooKeeper connections are read.
pub(super) fn zookeeper_machine(config: &Config) -> zookeeper_connection::Options {
    match &config.coordinator {
        Some(own) => zookeeper_connection::Options {
            payload_bytes_max: usize::try_from(own.request_bytes_max).unwrap_or(usize::MAX),
            whitelist: Whitelist::parse(&own.four_letter_words.join(",")),
            unread_bytes_max: unread_bytes_max(config),
        },
        None => zookeeper_connection::Options::default(),
    }
}

/// How MetaQ connections are read.
pub(super) fn metaq_machine(config: &Config) -> metaq::Limits {
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

/// The broker's options.
pub(super) fn broker(
    config: &Config,
    own: &config::Broker,
    data_folders: &[PathBuf],
    system: &System,
) -> broker::Options {
    let url = super::broker_url(&own.advertised_host, own.port);
    let topics = topics(config, own, data_folders);
    let mut options = broker::Options::new(config.id, url, own.port, topics);
    options.pid = system.pid;
    options.segment_bytes_max = u64::from(own.segment_bytes);
    // A record larger than a get may return would stop its consumers for ever: the largest one always fits.
    let header_bytes = u32::try_from(format::HEADER_BYTES).unwrap_or(u32::MAX);
    let record_bytes_max = own.message_bytes_max.saturating_add(header_bytes);
    options.transfer_bytes_max = own.transfer_bytes_max.max(record_bytes_max);
    options.message_bytes_max = usize::try_from(own.message_bytes_max).unwrap_or(usize::MAX);
    options.update_consumer_offsets = own.update_consumer_offsets;
    let waiting = WaitingOptions::default();
    options.waiting = WaitingOptions {
        enabled: own.hold_max.is_some(),
        hold_max: own.hold_max.unwrap_or(waiting.hold_max),
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
