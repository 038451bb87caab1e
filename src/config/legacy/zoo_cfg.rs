//! `zoo.cfg` of ZooKeeper 3.4.5, and what later versions added that means something here.

use std::path::Path;

use super::ini::{self, Entry};
use super::{Becomes, Reading, Row, Written, hint};
use crate::config::explain as key;
use crate::config::file::shortened;
use crate::config::key::Value;
use crate::config::mistake::Place;

const ENSEMBLE: &str = "it concerns ensembles, and this version serves one server alone";
const ALWAYS_SYNCED: &str = "every write is on disk before it is acknowledged, always";
const OWN_FILES: &str = "the journal and the snapshots look after themselves";
const OWN_DATA: &str = "this server keeps its data in its own folder and does not read ZooKeeper's";
const NOT_YET: &str = "this version does not have it";

/// The keys of `zoo.cfg`. Each may have `zookeeper.` in front: that is its name as a system property.
pub(super) static ROWS: &[Row] = &[
    Row::key("clientPort", &key::COORDINATOR_PORT),
    Row::key("clientPortAddress", &key::COORDINATOR_LISTEN),
    Row::key("tickTime", &key::COORDINATOR_TICK_TIME_MS),
    Row::key(
        "minSessionTimeout",
        &key::COORDINATOR_SESSION_TIMEOUT_MIN_MS,
    ),
    Row::key(
        "maxSessionTimeout",
        &key::COORDINATOR_SESSION_TIMEOUT_MAX_MS,
    ),
    Row::key(
        "maxClientCnxns",
        &key::COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX,
    ),
    Row::key("maxCnxns", &key::NETWORK_CONNECTIONS_MAX),
    Row::key(
        "globalOutstandingLimit",
        &key::COORDINATOR_OUTSTANDING_REQUESTS_MAX,
    ),
    Row::key("snapCount", &key::COORDINATOR_SNAPSHOT_EVERY_ENTRIES),
    Row::key("jute.maxbuffer", &key::COORDINATOR_REQUEST_BYTES_MAX),
    Row::key("skipACL", &key::COORDINATOR_SKIP_ACL),
    Row::key(
        "4lw.commands.whitelist",
        &key::COORDINATOR_FOUR_LETTER_WORDS,
    ),
    Row::key(
        "DigestAuthenticationProvider.superDigest",
        &key::COORDINATOR_SUPER_DIGEST,
    ),
    Row::nothing("dataDir", OWN_DATA),
    Row::nothing("dataLogDir", OWN_DATA),
    Row::nothing("forceSync", ALWAYS_SYNCED),
    Row::nothing("preAllocSize", OWN_FILES),
    Row::nothing("fsync.warningthresholdms", OWN_FILES),
    Row::nothing("autopurge.", OWN_FILES),
    Row::nothing("initLimit", ENSEMBLE),
    Row::nothing("syncLimit", ENSEMBLE),
    Row::nothing("electionAlg", ENSEMBLE),
    Row::nothing("leaderServes", ENSEMBLE),
    Row::nothing("peerType", ENSEMBLE),
    Row::nothing("cnxTimeout", ENSEMBLE),
    Row::nothing("quorumListenOnAllIPs", ENSEMBLE),
    Row::nothing("syncEnabled", ENSEMBLE),
    Row::nothing("standaloneEnabled", ENSEMBLE),
    Row::nothing("reconfigEnabled", ENSEMBLE),
    Row::nothing("dynamicConfigFile", ENSEMBLE),
    Row::nothing("group.", ENSEMBLE),
    Row::nothing("weight.", ENSEMBLE),
    Row::nothing("quorum.", ENSEMBLE),
    Row::nothing("traceFile", NOT_YET),
    Row::nothing("readonlymode.enabled", NOT_YET),
    Row::nothing("authProvider.", NOT_YET),
    Row::nothing("secureClientPort", NOT_YET),
    Row::nothing("secureClientPortAddress", NOT_YET),
    Row::nothing("serverCnxnFactory", NOT_YET),
    Row::nothing("ssl.", NOT_YET),
    Row::nothing("admin.", NOT_YET),
    Row::nothing("metricsProvider.", NOT_YET),
    Row::nothing("extendedTypesEnabled", NOT_YET),
    Row::nothing("localSessionsEnabled", NOT_YET),
    Row::nothing("localSessionsUpgradingEnabled", NOT_YET),
];

/// ZooKeeper's own tick where none is written, which is not ours.
const TICK_TIME_MS: i64 = 3000;

/// Reads the file's text.
pub(super) fn read(reading: &mut Reading, path: &Path, text: &str) {
    let content = ini::read_properties(text);
    let mut servers: Vec<&Entry> = Vec::new();
    for entry in &content.entries {
        let name = entry.key.strip_prefix("zookeeper.").unwrap_or(&entry.key);
        match name.strip_prefix("server.") {
            Some(_) => servers.push(entry),
            None => read_entry(reading, path, name, entry),
        }
    }
    if let [_, second, ..] = servers[..] {
        // Founding a tree of its own here would split the ensemble.
        let text = format!(
            "{}: {ENSEMBLE}; one with {} servers cannot be taken over yet",
            second.key,
            servers.len()
        );
        reading.mistakes.add(Place::new(path, second.line), text);
    }
    let has_port = content
        .entries
        .iter()
        .any(|entry| entry.key == "clientPort" && !entry.value.trim().is_empty());
    if !has_port {
        reading
            .mistakes
            .add(Place::new(path, 0), "clientPort is missing: it must be set");
    }
    reading.imply(&key::COORDINATOR_TICK_TIME_MS, Value::Integer(TICK_TIME_MS));
    reading.imply(&key::COORDINATOR_LISTEN, Value::Text("0.0.0.0".to_owned()));
}

fn read_entry(reading: &mut Reading, path: &Path, name: &str, entry: &Entry) {
    let place = Place::new(path, entry.line);
    let Some(row) = ROWS.iter().find(|row| row.is(name)) else {
        let hint = hint(name, ROWS.iter().map(|row| row.name));
        return reading.note(
            place,
            shortened(&entry.key),
            name,
            format!("is not known and has no effect{hint}"),
        );
    };
    match row.becomes {
        Becomes::Nothing(why) => {
            reading.note(
                place,
                entry.key.clone(),
                &entry.key,
                format!("has no effect: {why}"),
            );
        }
        Becomes::Key(known) => {
            let value = translated(row.name, entry.value.trim());
            reading.set(
                known,
                None,
                &Written {
                    shown_key: entry.key.clone(),
                    value,
                    place,
                },
            );
        }
    }
}

/// A value in our words, where ZooKeeper has others.
fn translated<'a>(name: &str, value: &'a str) -> &'a str {
    match (name, value) {
        ("skipACL", "yes") => "true",
        ("skipACL", "no") => "false",
        // -1 is "as by default", and 0 connections in all is no limit.
        ("minSessionTimeout" | "maxSessionTimeout", "-1") | ("maxCnxns", "0") => "",
        ("clientPortAddress", "localhost") => "127.0.0.1",
        _ => value,
    }
}
