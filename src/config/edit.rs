//! Changes that a command makes to what the operator wrote: a topic more, and nothing else touched.
//!
//! A section can stand at the end of both formats, so adding one is appending it: every comment, blank
//! line and byte before it stays. The new text is read and checked before it takes the old one's place,
//! which happens in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use super::checked::{Config, Machine};
use super::document::{ChosenTopic, topic_section};
use super::{Error, Mistakes, ServerFolder, from_toml, legacy, load, read_bytes_if_there};

/// Why a topic was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The configuration as it is cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] Error),
    /// It has this topic already.
    #[error("the topic is there already, in {}", .0.display())]
    Exists(PathBuf),
    /// This server is no broker.
    #[error("this server is no broker")]
    NoBroker,
    /// With the section behind it the file would not be right, for these reasons.
    #[error("{} cannot be added to: {mistakes}", .path.display())]
    NotAppendable {
        /// The file.
        path: PathBuf,
        /// What would be wrong.
        mistakes: Mistakes,
    },
    /// The file cannot be written.
    #[error("write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Adds a topic to the configuration of `folder`, and says to which file.
///
/// # Errors
/// The file stays as it is.
pub fn add_topic(
    folder: &ServerFolder,
    name: &str,
    partitions: Option<u32>,
) -> Result<PathBuf, AddError> {
    let config = load(folder)?;
    let broker = config.broker.as_ref().ok_or(AddError::NoBroker)?;
    let toml = folder.server_toml();
    let is_toml = toml.exists();
    let path = if is_toml { toml } else { folder.server_ini() };
    if broker.topics.iter().any(|topic| topic.name == name) {
        return Err(AddError::Exists(path));
    }
    let mut text = read_bytes_if_there(&path)?.unwrap_or_default();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.push(b'\n');
    let section = match is_toml {
        true => toml_section(name, partitions),
        false => ini_section(name, partitions),
    };
    text.extend_from_slice(section.as_bytes());
    match checked(folder, &text, is_toml) {
        Ok(_) => {}
        Err(mistakes) => return Err(AddError::NotAppendable { path, mistakes }),
    }
    replace(&path, &text).map_err(|source| AddError::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn toml_section(name: &str, partitions: Option<u32>) -> String {
    let partitions = partitions.map(|partitions| ("num_partitions", partitions.to_string()));
    topic_section(&ChosenTopic {
        name: name.to_owned(),
        keys: partitions.into_iter().collect(),
    })
}

fn ini_section(name: &str, partitions: Option<u32>) -> String {
    let partitions = partitions.map_or_else(String::new, |partitions| {
        format!("numPartitions={partitions}\n")
    });
    format!("[topic={name}]\n{partitions}")
}

fn checked(folder: &ServerFolder, text: &[u8], is_toml: bool) -> Result<Config, Mistakes> {
    // Whatever the machine is asked for was found right a moment ago, and is not what changes.
    let machine = Machine {
        first_address: None,
        home: Some(PathBuf::from("/")),
        hosts: super::hosts(),
    };
    if is_toml {
        return from_toml(folder.root(), &String::from_utf8_lossy(text), &machine);
    }
    let zoo_cfg = super::read_zoo_cfg(folder).ok().flatten();
    legacy::read(
        folder.root(),
        Some(text.to_vec()),
        zoo_cfg.as_ref(),
        &machine,
    )
}

/// Puts `text` in the place of the file `path`, in one step that a crash cannot cut in half. The new
/// file has the owner and the permissions of the old one.
///
/// # Errors
/// The folder cannot be written.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = write_synced(beside, path, text).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // What is left of the attempt is of no use to anybody, and may be missing altogether.
        let _removed = fs::remove_file(beside);
        return written;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_synced(beside: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(beside)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
        if old.uid() != file.metadata()?.uid() {
            // As root for somebody else, whose file it has to stay.
            chown(beside, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
