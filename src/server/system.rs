//! What the node is told of the machine it runs on, read once at the start or asked by the shell.

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use chrono::Local;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::disk::folder;
use crate::units::Seed;
use crate::wire::zookeeper::four_letter::Environment;

/// Random bytes for what must differ between servers: the journal's id, the cores' seed.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// 128 bits for a new journal.
    pub journal: [u8; 16],
    /// What the cores' choices grow from.
    pub seed: Seed,
}

/// Facts of the machine and the process.
#[derive(Clone, Debug)]
pub struct System {
    /// What `envi` tells.
    pub environment: Environment,
    /// Open file descriptors and how many there may be.
    pub descriptors: fn() -> Option<(u64, u64)>,
    /// How many files the process may open, if there is a limit.
    pub descriptors_max: Option<u64>,
    /// Seconds the local time is ahead of UTC.
    pub utc_offset_s: i32,
    /// The process.
    pub pid: u32,
    /// Whether one `syncfs` covers all these folders and reports its errors.
    pub syncs_as_one: fn(&[PathBuf]) -> bool,
}

/// Bytes of the system's generator.
///
/// # Errors
/// The generator cannot be read.
pub(super) fn random() -> io::Result<Random> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let (journal, seed) = bytes.split_at(16);
    let mut random = Random {
        journal: [0; 16],
        seed: Seed(0),
    };
    random.journal.copy_from_slice(journal);
    random.seed = Seed(
        seed.iter()
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte)),
    );
    Ok(random)
}

/// Reads the facts.
pub(super) fn facts() -> System {
    let os_version = line("/proc/sys/kernel/osrelease");
    System {
        // Before 5.8 the kernel does not report the errors.
        syncs_as_one: if kernel_is_at_least(&os_version, (5, 8)) {
            folder::sync_as_one
        } else {
            |_| false
        },
        environment: Environment {
            host_name: line("/proc/sys/kernel/hostname"),
            os_version,
            user_name: variable("USER"),
            user_home: variable("HOME"),
            user_folder: std::env::current_dir()
                .map_or_else(|_| "<NA>".to_owned(), |folder| folder.display().to_string()),
        },
        descriptors,
        descriptors_max: descriptors_max(),
        utc_offset_s: utc_offset_s(),
        pid: std::process::id(),
    }
}

/// Seconds the local time is ahead of UTC; changes twice a year in places.
pub(super) fn utc_offset_s() -> i32 {
    Local::now().offset().local_minus_utc()
}

/// Memory the process has in use, in bytes.
pub(super) fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// How many files the process may open, if there is a limit.
pub(super) fn descriptors_max() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

pub(super) fn descriptors() -> Option<(u64, u64)> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some((u64::try_from(open).ok()?, soft))
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "<NA>".to_owned(), |text| text.trim().to_owned())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| "<NA>".to_owned())
}

fn kernel_is_at_least(release: &str, least: (u32, u32)) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= least,
        _ => false,
    }
}
