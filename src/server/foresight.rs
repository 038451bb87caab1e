//! What a start would meet, seen without starting: for `chrysalis doctor`. Only looks.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::descriptors::Shares;
use super::journal_start::JOURNAL_KNOWN;
use super::{ours, settings, system};
use crate::config::{Config, ServerFolder};
use crate::report::Error;

/// The addresses that a start takes, each with the key that says it; a port of 0 is any, and not among them.
pub(crate) fn ports(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    // How many may connect is not asked here.
    let listening = [
        settings::coordinator_port(config, 0),
        settings::broker_port(config, 0),
        settings::peers_port(config),
        settings::web_port(config),
    ];
    let ports = listening.into_iter().flatten();
    let ports = ports.map(|it| (it.key, it.address));
    ports.filter(|(_, address)| address.port() != 0).collect()
}

/// What an operator should know of the number of files that a process with the limits of this one may open.
///
/// # Errors
/// It is too low to serve with.
pub(crate) fn descriptors(config: &Config) -> Result<Option<String>, Error> {
    let shares = Shares::of(config, system::descriptors_max())?;
    Ok(shares.note(config))
}

/// The folders that hold data: the server's own, the journal, and those of topics.
pub(crate) fn data_folders(config: &Config, folder: &ServerFolder) -> Vec<PathBuf> {
    let mut folders = vec![folder.data(), folder.journal()];
    let topics = config.broker.iter().flat_map(settings::data_folders);
    folders.extend(topics);
    folders
}

/// Folders of topics that there were, and are not any more.
pub(crate) fn topics_gone(config: &Config, folder: &ServerFolder) -> Vec<PathBuf> {
    let known = fs::read_to_string(folder.data().join(ours::TOPICS_KNOWN)).unwrap_or_default();
    let topics = config.broker.iter().flat_map(settings::data_folders);
    topics
        .filter(|path| ours::is_gone(path, folder, &known))
        .collect()
}

/// Whether there was a journal, and is none any more.
pub(crate) fn journal_is_gone(folder: &ServerFolder) -> bool {
    let is_known = folder.data().join(JOURNAL_KNOWN).exists();
    let entries = fs::read_dir(folder.journal())
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // One that is put aside lies there, too.
    let is_there = |name: String| name.ends_with(".journal") || name == "damaged";
    is_known && !names.into_iter().any(is_there)
}
