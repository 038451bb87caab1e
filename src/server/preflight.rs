//! What a start on this machine would refuse although every value is permitted, found without starting.
//!
//! Changes nothing, and the server may run meanwhile: a port that is taken, or the folder's lock, is no finding.
//! What only a start can find (damage, a disk that fills up) is not looked for.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{AccessFlags, access, geteuid};

use super::advice::flag;
use super::{security, settings};
use crate::config::words::Backend;
use crate::config::{Config, Mistakes, Place, ServerFolder};
use crate::disk;
use crate::journal;
use crate::net::listener::Bound;
use crate::units::{GroupId, ServerId};

/// A port that asks for a privilege is below this.
const PRIVILEGED_BELOW: u16 = 1024;

/// What a start of `folder` with `config` would refuse, put down to the lines that say so.
///
/// # Errors
/// Everything that was found.
pub fn preflight(config: &Config, folder: &ServerFolder) -> Result<(), Mistakes> {
    let mut mistakes = Mistakes::default();
    check_ports(config, &mut mistakes);
    check_backend(config, &mut mistakes);
    check_id(config, folder, &mut mistakes);
    if geteuid().is_root() || owns(folder) {
        check_certificates(config, folder, &mut mistakes);
        check_folders(config, folder, &mut mistakes);
    }
    mistakes.or(())
}

/// Whether what this user may do is what the server may do; root may do everything, and is told less.
fn owns(folder: &ServerFolder) -> bool {
    let made = [folder.data(), folder.root().to_path_buf()];
    let owner = made.iter().find_map(|path| std::fs::metadata(path).ok());
    owner.is_none_or(|owner| owner.uid() == geteuid().as_raw())
}

fn check_ports(config: &Config, mistakes: &mut Mistakes) {
    let coordinator = config.coordinator.as_ref();
    let broker = config.broker.as_ref();
    let ports = [
        coordinator.map(|it| ("coordinator", it.listen, it.port)),
        broker.map(|it| ("broker", it.listen, it.port)),
        config.web.map(|it| ("web", it.listen, it.port)),
    ];
    let mut refused: BTreeSet<(Place, IpAddr)> = BTreeSet::new();
    for (section, address, port) in ports.into_iter().flatten() {
        let (listen, port_key) = (format!("{section}.listen"), format!("{section}.port"));
        if let Err(error) = Bound::take(SocketAddr::new(address, 0)) {
            let place = listen_place(config, &listen);
            // Both halves may have the address from the same line.
            if refused.insert((place.clone(), address)) {
                let why = match error.kind() {
                    io::ErrorKind::AddrNotAvailable => {
                        "it is no address of this machine".to_owned()
                    }
                    _ => error.to_string(),
                };
                mistakes.add(place, format!("{listen} is {address}: {why}"));
            }
            continue;
        }
        if (1..PRIVILEGED_BELOW).contains(&port)
            && let Err(error) = Bound::take(SocketAddr::new(address, port))
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            let text = format!(
                "{port_key} is {port}: ports below {PRIVILEGED_BELOW} need a privilege, which this user does not have"
            );
            mistakes.add(config.source.place(&port_key), text);
        }
    }
}

/// Where an address was written: with the half, or for both.
fn listen_place(config: &Config, listen: &str) -> Place {
    let own = config.source.place(listen);
    match own.line {
        0 if !listen.starts_with("web") => config.source.place("server.listen"),
        _ => own,
    }
}

fn check_backend(config: &Config, mistakes: &mut Mistakes) {
    if config.disk.backend != Backend::Ring {
        return;
    }
    if let Err(error) = disk::Files::new(&settings::disk(config)) {
        let text = format!(
            "disk.backend is \"ring\", and the kernel refuses it: {error}; must be \"auto\" or \"threads\" here"
        );
        mistakes.add(config.source.place("disk.backend"), text);
    }
}

/// Offsets and message ids belong to the broker's id.
fn check_id(config: &Config, folder: &ServerFolder, mistakes: &mut Mistakes) {
    let options = disk::Options {
        backend: disk::Backend::Threads,
        ..disk::Options::default()
    };
    // What cannot be read is the start's matter: it has more to say about damage than this.
    let Ok(mut files) = disk::Files::new(&options) else {
        return;
    };
    let Ok(groups) = journal::groups(&mut files, &folder.journal()) else {
        return;
    };
    for group in groups {
        if group == GroupId::COORDINATOR {
            continue;
        }
        let wrote = ServerId(u16::try_from(group.0.saturating_sub(1)).unwrap_or(u16::MAX));
        if wrote != config.id {
            let text = format!(
                "server.id is {}, but data/ was written by broker {wrote}, and its offsets and message ids belong to \
                 that: must be {wrote}, or this server needs a folder of its own",
                config.id
            );
            mistakes.add(config.source.place("server.id"), text);
        } else if config.broker.is_none() {
            let text = format!(
                "broker.enabled is false, but data/ holds the messages of broker {wrote}: must be true"
            );
            mistakes.add(config.source.place("broker.enabled"), text);
        }
    }
}

/// What a server shows to the others of its cluster.
fn check_certificates(config: &Config, folder: &ServerFolder, mistakes: &mut Mistakes) {
    if let Some(Err(error)) = security::certificates(config) {
        let key = "cluster.certificates";
        let cure = error.cure(&flag(folder));
        mistakes.add(
            config.source.place(key),
            format!("{key}: {error}. {}", cure.trim_end_matches('.')),
        );
    }
}

fn check_folders(config: &Config, folder: &ServerFolder, mistakes: &mut Mistakes) {
    let mut looked_at = BTreeSet::new();
    let mut check = |path: &Path, place: Place, what: &str, mistakes: &mut Mistakes| {
        if looked_at.insert(path.to_path_buf())
            && let Err(why) = can_become_folder(path)
        {
            mistakes.add(place, format!("{what}: {why}"));
        }
    };
    let file = config.source.place("");
    for own in [folder.data(), folder.logs()] {
        check(&own, file.clone(), "the server's own folder", mistakes);
    }
    if let Some(broker) = &config.broker {
        let key = "broker.topics_folder";
        let place = config.source.place(key);
        check(&broker.topic_defaults.folder, place, key, mistakes);
        for topic in &broker.topics {
            let place = config.source.topic_place(&topic.name, "folder");
            let key = format!("the folder of topic {}", topic.name);
            check(&topic.settings.folder, place, &key, mistakes);
        }
    }
    if let Some(path) = &config.log.file {
        let refused = can_become_file(path, &folder.logs());
        if let Err(why) = refused {
            let place = config.source.place("log.file");
            mistakes.add(place, format!("log.file: {why}"));
        }
    }
}

/// Whether this is a folder to write to, or one can be made there.
fn can_become_folder(path: &Path) -> Result<(), String> {
    let there = path.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("."));
    let shown = there.display();
    if !there.is_dir() {
        return Err(format!("{shown} is a file, and must be a folder"));
    }
    match access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(error) => Err(format!(
            "this user cannot write to {shown} ({})",
            error.desc()
        )),
    }
}

/// Whether lines can be appended to this file; a start makes `logs` and no other folder.
fn can_become_file(path: &Path, logs: &Path) -> Result<(), String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("{shown} is a folder, and must be a file"));
    }
    if path.exists() {
        let denied = access(path, AccessFlags::W_OK);
        return denied
            .map_err(|error| format!("this user cannot write to {shown} ({})", error.desc()));
    }
    match path.parent() {
        Some(above) if above != logs && !above.exists() => {
            Err(format!("there is no folder {}", above.display()))
        }
        Some(above) => can_become_folder(above),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
