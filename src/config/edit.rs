//! Changes that a command makes to what the operator wrote: a topic more or less, and nothing else touched.
//!
//! A section can stand at the end of both formats, so adding one is appending it: every comment, blank
//! line and byte before it stays. One that goes takes its own lines with it. The new text is read and checked
//! before it takes the old one's place, which happens in one step, and by one command at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checked::{Config, Machine};
use super::document::{ChosenTopic, topic_section};
use super::{Error, Mistakes, ServerFolder, from_toml, legacy, load, read_bytes_if_there};

/// How long another command may take that changes the configuration.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often to look whether it is done.
const LOCK_AGAIN: Duration = Duration::from_millis(5);

/// Why the topics of a configuration were not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The configuration as it is cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] Error),
    /// It has this topic already.
    #[error("the topic is there already, in {}", .0.display())]
    Exists(PathBuf),
    /// It does not have this topic.
    #[error("the topic is not in {}", .0.display())]
    Missing(PathBuf),
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
    /// The topic's section cannot be told from the rest: without it the file would say something else.
    #[error("the topic's section cannot be taken out of {}", .0.display())]
    NotRemovable(PathBuf),
    /// Another command has been changing the configuration for a long time.
    #[error("another command is changing the configuration in {}", .0.display())]
    Busy(PathBuf),
    /// The file cannot be written.
    #[error("write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The right to change the configuration of a folder, which one command has at a time.
///
/// The folder `conf/` itself is locked, so that nothing has to be left there; the lock goes with its holder.
#[derive(Debug)]
pub struct Lock {
    _conf: File,
}

impl Lock {
    /// Waits until no other command changes the configuration of `folder`.
    ///
    /// # Errors
    /// The folder cannot be opened or locked, or another command takes too long.
    pub fn take(folder: &ServerFolder) -> Result<Lock, EditError> {
        let path = folder.conf();
        let failed = |source| EditError::Write {
            path: folder.conf(),
            source,
        };
        let conf = File::open(&path).map_err(failed)?;
        let until = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match conf.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    // Nothing tells when another process lets a lock go.
                    std::thread::sleep(LOCK_AGAIN);
                }
                Err(TryLockError::WouldBlock) => return Err(EditError::Busy(path)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        remove_leftovers(&path);
        Ok(Lock { _conf: conf })
    }

    fn put(&self, path: PathBuf, text: &[u8]) -> Result<PathBuf, EditError> {
        match self.replace(&path, text) {
            Ok(()) => Ok(path),
            Err(source) => Err(EditError::Write { path, source }),
        }
    }

    /// Puts `text` in the place of the file `path`, in one step that a crash cannot cut in half. The new
    /// file has the owner and the permissions of the old one; where that is a link, what it leads to is replaced.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = beside(&path);
        let written = write_synced(&beside, &path, text).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // What is left of the attempt is of no use to anybody, and may be missing altogether.
            let _removed = fs::remove_file(&beside);
            return written;
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// What a new file's name ends with until it takes the old one's place.
const NEW: &str = ".new";

/// A name that nobody else has: only one command writes at a time, but who does without the lock shall not meet it.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}{NEW}", std::process::id()));
    PathBuf::from(name)
}

/// Removes what a command left that was killed while it wrote. Its lock is ours.
fn remove_leftovers(conf: &Path) {
    let entries = fs::read_dir(conf).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let left = ["server.toml.", "server.ini."].iter().any(|file| {
            let process = name
                .strip_prefix(file)
                .and_then(|name| name.strip_suffix(NEW));
            process.is_some_and(|process| process.parse::<u32>().is_ok())
        });
        if left {
            let _removed = fs::remove_file(entry.path());
        }
    }
}

/// The configuration of a broker, its file, and whether that is a `server.toml`.
fn of_broker(folder: &ServerFolder) -> Result<(Config, PathBuf, bool), EditError> {
    let config = load(folder)?;
    if config.broker.is_none() {
        return Err(EditError::NoBroker);
    }
    let toml = folder.server_toml();
    let is_toml = toml.exists();
    let path = if is_toml { toml } else { folder.server_ini() };
    Ok((config, path, is_toml))
}

fn has_topic(config: &Config, name: &str) -> bool {
    let topics = config.broker.iter().flat_map(|broker| &broker.topics);
    topics.into_iter().any(|topic| topic.name == name)
}

/// Adds a topic to the configuration of `folder`, and says to which file.
///
/// # Errors
/// The file stays as it is.
pub fn add_topic(
    folder: &ServerFolder,
    name: &str,
    partitions: Option<u32>,
) -> Result<PathBuf, EditError> {
    // A folder that is no server's is told as such.
    of_broker(folder)?;
    let lock = Lock::take(folder)?;
    let (config, path, is_toml) = of_broker(folder)?;
    if has_topic(&config, name) {
        return Err(EditError::Exists(path));
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
        Err(mistakes) => return Err(EditError::NotAppendable { path, mistakes }),
    }
    lock.put(path, &text)
}

/// Takes a topic out of the configuration of `folder`, and says of which file.
///
/// # Errors
/// The file stays as it is.
pub fn remove_topic(folder: &ServerFolder, name: &str) -> Result<PathBuf, EditError> {
    of_broker(folder)?;
    let lock = Lock::take(folder)?;
    let (config, path, is_toml) = of_broker(folder)?;
    if !has_topic(&config, name) {
        return Err(EditError::Missing(path));
    }
    let text = read_bytes_if_there(&path)?.unwrap_or_default();
    let without = match is_toml {
        true => without_section(&text, b"#", |line| is_toml_section(line, name)),
        false => without_section(&text, b"#;", |line| is_ini_section(line, name)),
    };
    // Both by the same machine, which is not what changes.
    let both = (
        checked(folder, &text, is_toml),
        checked(folder, &without, is_toml),
    );
    let right = matches!(&both, (Ok(whole), Ok(left)) if lacks_only(whole, left, name));
    if !right {
        return Err(EditError::NotRemovable(path));
    }
    lock.put(path, &without)
}

/// Whether `left` says what `config` says, but for the topic `name`.
fn lacks_only(config: &Config, left: &Config, name: &str) -> bool {
    let topics = |config: &Config| {
        let topics = config.broker.iter().flat_map(|broker| &broker.topics);
        let topics = topics.filter(|topic| topic.name != name);
        topics
            .map(|topic| (topic.name.clone(), topic.settings.clone()))
            .collect::<Vec<_>>()
    };
    // Not where they stand: what is behind the section moves up.
    let keys = |config: &Config| {
        let held = config.source.effective.iter();
        held.map(|held| (held.key.clone(), held.value.clone()))
            .collect::<Vec<_>>()
    };
    !has_topic(left, name) && topics(config) == topics(left) && keys(config) == keys(left)
}

/// The text without the section whose first line `begins` knows. The section ends before the next one; comments
/// and blank lines at its end are not its own and stay. So that what stays does not fall to the section before, the
/// first line stays as a comment where comments follow it.
fn without_section(text: &[u8], comments: &[u8], begins: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let trimmed = |line: &[u8]| line.trim_ascii().to_vec();
    let is_empty = |line: &[u8]| {
        let line = trimmed(line);
        line.first().is_none_or(|first| comments.contains(first))
    };
    let Some(first) = lines.iter().position(|line| begins(&trimmed(line))) else {
        return text.to_vec();
    };
    let behind = lines[first + 1..].iter();
    let next = behind
        .clone()
        .position(|line| trimmed(line).starts_with(b"["));
    let end = next.map_or(lines.len(), |next| first + 1 + next);
    let own = lines[first + 1..end]
        .iter()
        .rposition(|line| !is_empty(line));
    let own_end = own.map_or(first + 1, |own| first + 2 + own);
    let comment_follows = lines[own_end..end]
        .iter()
        .any(|line| !trimmed(line).is_empty());
    // The blank line that was put before a section goes with it.
    let blank_before = first > 0 && trimmed(lines[first - 1]).is_empty();
    let start = first - usize::from(blank_before && !comment_follows);
    let mut left = lines[..start].concat();
    if comment_follows {
        left.push(b'#');
        left.extend_from_slice(lines[first]);
    }
    left.extend(lines[own_end..].concat());
    left
}

/// Whether a line of a `server.toml` begins the section of the topic `name`, in whatever spelling.
fn is_toml_section(line: &[u8], name: &str) -> bool {
    let is_header = line.starts_with(b"[");
    let Some(line) = str::from_utf8(line).ok().filter(|_| is_header) else {
        return false;
    };
    let table: Option<toml::Table> = line.parse().ok();
    let topics = table.as_ref().and_then(|table| table.get("topics"));
    let topics = topics.and_then(toml::Value::as_table);
    topics.is_some_and(|topics| topics.contains_key(name))
}

/// Whether a line of a `server.ini` begins the section of the topic `name`.
fn is_ini_section(line: &[u8], name: &str) -> bool {
    let title = line.strip_prefix(b"[").and_then(|line| {
        let end = line.iter().position(|byte| *byte == b']')?;
        str::from_utf8(&line[..end]).ok()
    });
    let topic = title.and_then(|title| title.trim().strip_prefix("topic="));
    topic.is_some_and(|topic| topic.trim() == name)
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

/// A configuration may hold a secret: it is for its owner and group.
const MODE: u32 = 0o640;

fn write_synced(beside: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let old = fs::metadata(path).ok();
    // What only its owner may read is at no moment to be read by others.
    let mode = if old.is_some() { 0o600 } else { MODE };
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let mut file = options.open(beside)?;
    file.write_all(text)?;
    if let Some(old) = old {
        if old.uid() != file.metadata()?.uid() {
            // As root for somebody else, whose file it has to stay.
            chown(beside, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests;
