//! What the next start of a server that does not run would meet.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::stat::{major, minor};

use crate::appliance::limits;
use crate::appliance::pid_file::has_open;
use crate::config::{Config, ServerFolder};
use crate::disk::{Backend, Class, Files, Options};
use crate::journal::{OpenError, dump};
use crate::net::listener::Bound;
use crate::operator::doctor::facts::{Journal, Known, Limits, Locked, Start, TakenPort, hidden};
use crate::server::foresight;

/// How long the journal is read.
const READ_FOR: Duration = Duration::from_secs(5);
/// The end of a log that is looked at.
const LOG_BYTES: u64 = 64 * 1024;

/// All of it.
pub(super) fn of(config: &Config, folder: &ServerFolder) -> Start {
    Start {
        taken: Ok(taken(config)),
        limits: Ok(limits_of(config)),
        journal: journal(folder),
        topics_gone: Ok(foresight::topics_gone(config, folder)),
        locked: locked(config, folder),
        last_words: last_words(config, folder),
    }
}

/// The ports that somebody else has. One that is free is taken for a moment, and never listened on.
fn taken(config: &Config) -> Vec<TakenPort> {
    let ports = foresight::ports(config).into_iter();
    let taken = ports.filter(|(_, address)| {
        let refused = Bound::take(*address).err();
        refused.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    });
    let taken = taken.map(|(key, address)| TakenPort {
        key,
        address,
        by: listener_at(address.port()),
    });
    taken.collect()
}

/// Who listens on a port, as far as this user may see it.
fn listener_at(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    let inodes: BTreeSet<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| listening_inode(line, port))
        .collect();
    let sockets: BTreeSet<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let pid = numbers.find(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|it| {
            let target = fs::read_link(it.path()).unwrap_or_default();
            sockets.contains(target.to_string_lossy().as_ref())
        })
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}

/// The socket of a line of `/proc/net/tcp`, if it listens on this port.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(local, 16) == Ok(port) && fields.get(3) == Some(&LISTENS);
    is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
}

/// What the limits of this process do to a start; a start from here has the same.
fn limits_of(config: &Config) -> Limits {
    let mut found = Limits::default();
    let told = |error: crate::report::Error| {
        let text = error.to_string();
        // The code and what it means stand around the reason.
        let text = text
            .split_once(' ')
            .map_or(text.clone(), |(_, text)| text.to_owned());
        text.split(". ").next().unwrap_or_default().to_owned()
    };
    match limits::prepare(&mut config.clone()) {
        Ok(notes) => found.notes.extend(notes),
        Err(error) => found.refused = Some(told(error)),
    }
    match foresight::descriptors(config) {
        Ok(note) => found.notes.extend(note),
        Err(error) => found.refused = Some(told(error)),
    }
    found
}

/// How the journal is, read to its end.
fn journal(folder: &ServerFolder) -> Known<Journal> {
    if foresight::journal_is_gone(folder) {
        return Ok(Journal::Gone);
    }
    let path = folder.journal();
    if !path.exists() {
        return Ok(Journal::Whole);
    }
    let (tell, told) = mpsc::channel();
    // It ends with the command, however far it is then.
    let _reader = thread::spawn(move || tell.send(read(&path)));
    match told.recv_timeout(READ_FOR) {
        Ok(journal) => journal,
        Err(_) => hidden(format!(
            "reading the journal takes longer than {} s: chrysalis dump journal {} | tail",
            READ_FOR.as_secs(),
            crate::server::flag(folder)
        )),
    }
}

fn read(path: &Path) -> Known<Journal> {
    let options = Options {
        backend: Backend::Threads,
        ..Options::default()
    };
    let mut disk = match Files::new(&options) {
        Ok(disk) => disk,
        Err(error) => return hidden(format!("read the journal: {error}")),
    };
    match dump(&mut disk, path, &mut |_| {}) {
        Ok(end) => Ok(match (end.damage, end.newer) {
            (Some(damage), _) => Journal::Damaged(OpenError::Damaged(damage).to_string()),
            (None, Some(newer)) => Journal::Newer(newer),
            (None, None) => Journal::Whole,
        }),
        Err(error @ OpenError::Newer { .. }) => Ok(Journal::Newer(error.to_string())),
        Err(error @ OpenError::Damaged(_)) => Ok(Journal::Damaged(error.to_string())),
        // A start makes it.
        Err(OpenError::Disk(error)) if error.class == Class::Missing => Ok(Journal::Whole),
        Err(error) => hidden(format!("read the journal: {error}")),
    }
}

/// Folders of data that another process has locked.
fn locked(config: &Config, folder: &ServerFolder) -> Known<Vec<Locked>> {
    let Ok(locks) = fs::read_to_string("/proc/locks") else {
        return hidden("the kernel does not tell its locks");
    };
    let folders: BTreeSet<_> = foresight::data_folders(config, folder)
        .into_iter()
        .collect();
    let found = folders.into_iter().filter_map(|folder| {
        let about = fs::metadata(&folder).ok()?;
        let holders = locks
            .lines()
            .filter_map(|line| holder_of(line, about.ino()));
        // Others have as many inodes. Some file systems tell another device here and there.
        let device = format!("{:02x}:{:02x}", major(about.dev()), minor(about.dev()));
        let mut real = holders.filter(|(pid, on)| *on == device || has_open(*pid, &folder));
        let (pid, _) = real.next()?;
        Some(Locked { folder, pid })
    });
    Ok(found.collect())
}

/// The process that has what has this inode locked, of a line of `/proc/locks`, and on which device that is.
fn holder_of(line: &str, inode: u64) -> Option<(u32, &str)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let is_lock = fields.get(1) == Some(&"FLOCK") && fields.get(3) == Some(&"WRITE");
    let (device, of) = fields.get(5)?.rsplit_once(':')?;
    let pid = fields.get(4)?.parse().ok()?;
    (is_lock && of.parse() == Ok(inode)).then_some((pid, device))
}

/// The error with which the last start ended, as the log has it.
fn last_words(config: &Config, folder: &ServerFolder) -> Known<Option<String>> {
    let mut found = None;
    for path in [Some(folder.log_file()), config.log.file.clone()]
        .into_iter()
        .flatten()
    {
        match end_of(&path) {
            Ok(text) => found = last_error(&text).or(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return hidden(format!("read {}: {error}", path.display())),
        }
    }
    Ok(found)
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The error at the end of a log; none where the last start did not end with one.
fn last_error(log: &str) -> Option<String> {
    let mut error = None;
    for line in log.lines() {
        let at = line
            .find("the server ends")
            .map_or(0, |at| at + "the server ends".len());
        let rest = line[at..].trim_start_matches([' ', '"']);
        let rest = rest
            .strip_prefix("error=")
            .unwrap_or(rest)
            .trim_matches('"');
        if is_code(rest.split([' ', ':']).next().unwrap_or_default()) {
            error = Some(rest.to_owned());
        } else if line.contains("starting folder=")
            || line.contains("stopped: everything is on disk")
        {
            error = None;
        }
    }
    error
}

fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix('E').unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found_by_its_port() {
        let line = "   0: 0100007F:1FBB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77012 1 0 100 0";
        assert_eq!(listening_inode(line, 8123), Some("77012".to_owned()));
        assert_eq!(listening_inode(line, 8124), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 8123), None);
    }

    #[test]
    fn the_holder_of_a_lock_is_found_by_what_it_locks() {
        let line = "1: FLOCK  ADVISORY  WRITE 26464 fe:00:9978366 0 EOF";
        assert_eq!(holder_of(line, 9_978_366), Some((26_464, "fe:00")));
        assert_eq!(holder_of(line, 78_366), None);
        assert_eq!(holder_of(&line.replace("WRITE", "READ"), 9_978_366), None);
        assert_eq!(holder_of(&line.replace("FLOCK", "POSIX"), 9_978_366), None);
    }

    #[test]
    fn the_last_words_are_those_of_the_last_start() {
        let ends = "INFO starting folder=/srv/s\nERROR the server ends error=E0201 open the journal: damaged\n";
        assert_eq!(
            last_error(ends).as_deref(),
            Some("E0201 open the journal: damaged")
        );
        let told = "E0101 listen on 127.0.0.1:1: in use. The server does not start\n";
        assert!(last_error(told).is_some_and(|it| it.starts_with("E0101")));
        let later =
            format!("{ends}INFO starting folder=/srv/s\nINFO stopped: everything is on disk\n");
        assert_eq!(last_error(&later), None);
        assert_eq!(last_error("WARN a client sent E0201 and more\n"), None);
    }
}
