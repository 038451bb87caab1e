//! Whose the files of a server are, what they lie on, and how fast that is.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::statfs::{FsType, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::config::{Config, ServerFolder};
use crate::operator::doctor::facts::{Dishonest, FileSystem, Files, Known, Speed, Unknown, hidden};
use crate::server::foresight;

/// Files and folders that are looked at; a server with more has been looked at enough.
const LOOKED_AT_MAX: usize = 20_000;
/// Files of others that are told of.
const STRANGERS_MAX: usize = 5;
/// What an owner needs of a folder: to read, write and enter it.
const OWNER_ALL: u32 = 0o700;
/// How long the disk is tried.
const TRIED_FOR: Duration = Duration::from_millis(400);
/// Writes that are enough.
const WRITES_MAX: usize = 100;
/// Bytes of a write, and how many places there are in the file.
const WRITE_BYTES: usize = 4096;
const PLACES: u64 = 64;

/// File systems that do not themselves put onto a disk what is synced, by the kernel's numbers.
const DISHONEST: [(i64, Dishonest); 11] = [
    (0x0102_1994, Dishonest::Memory("tmpfs")),
    (0x8584_58f6, Dishonest::Memory("ramfs")),
    (0x6969, Dishonest::Network("nfs")),
    (0xff53_4d42, Dishonest::Network("cifs")),
    (0xfe53_4d42, Dishonest::Network("smb2")),
    (0x517b, Dishonest::Network("smb")),
    (0x00c3_6400, Dishonest::Network("ceph")),
    (0x0102_1997, Dishonest::Network("9p")),
    (0x0bd0_0bd0, Dishonest::Network("lustre")),
    (0x794c_7630, Dishonest::Container("overlay")),
    (0x6573_5546, Dishonest::UserSpace("fuse")),
];

/// Whose they are.
pub(super) fn of(folder: &ServerFolder) -> Files {
    let data = folder.data();
    let owner = match fs::metadata(&data) {
        Ok(about) => Ok(about.uid()),
        // What was never started has none; whoever starts it makes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unknown::DoesNotApply),
        Err(error) => hidden(format!("look at {}: {error}", data.display())),
    };
    let strangers = owner.clone().and_then(|owner| strangers(folder, owner));
    // Root may write whatever the mode says.
    let closed = owner.clone().map(|owner| match owner {
        0 => Vec::new(),
        _ => closed(folder),
    });
    Files {
        owner,
        strangers,
        closed,
    }
}

/// What belongs to others, of what the server writes. A link may be anybody's: what counts is where it leads.
fn strangers(folder: &ServerFolder, owner: u32) -> Known<Vec<(PathBuf, u32)>> {
    let log = folder.log_file();
    let log_owner = fs::metadata(&log).map(|about| about.uid());
    let of_others = log_owner.ok().filter(|uid| *uid != owner);
    let mut found: Vec<(PathBuf, u32)> = of_others.map(|uid| (log, uid)).into_iter().collect();
    let mut folders = VecDeque::from([folder.data()]);
    let mut looked_at = 0;
    while let Some(next) = folders.pop_front() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return hidden(format!("look into {}: {error}", next.display())),
        };
        for entry in entries.flatten() {
            looked_at += 1;
            // It may have gone meanwhile.
            let Ok(about) = fs::metadata(entry.path()) else {
                continue;
            };
            // What is nobody's business: a file system makes it.
            let is_its_own = about.is_dir() && entry.file_name() == "lost+found";
            if about.uid() != owner && !is_its_own {
                found.push((entry.path(), about.uid()));
            } else if about.is_dir() && !is_its_own {
                folders.push_back(entry.path());
            }
        }
        if looked_at > LOOKED_AT_MAX || found.len() >= STRANGERS_MAX {
            break;
        }
    }
    found.truncate(STRANGERS_MAX);
    Ok(found)
}

/// Folders that their owner may not use, whatever root may.
fn closed(folder: &ServerFolder) -> Vec<(PathBuf, String)> {
    let folders = [
        folder.data(),
        folder.journal(),
        folder.coordinator(),
        folder.broker(),
        folder.topics(),
        folder.logs(),
    ];
    let closed = folders.into_iter().filter_map(|path| {
        let mode = fs::metadata(&path).ok()?.mode();
        let lacks = mode & OWNER_ALL != OWNER_ALL;
        lacks.then(|| (path, format!("its mode is {:04o}", mode & 0o7777)))
    });
    closed.collect()
}

/// What the folders of data lie on.
pub(super) fn systems(config: &Config, folder: &ServerFolder) -> Known<Vec<FileSystem>> {
    systems_of(&foresight::data_folders(config, folder))
}

/// What these folders lie on, each file system once.
pub(super) fn systems_of(folders: &[PathBuf]) -> Known<Vec<FileSystem>> {
    let mut devices = BTreeSet::new();
    let mut systems = Vec::new();
    for path in folders {
        // One that is not made yet will lie where the folder above it does.
        let there = path.ancestors().find(|path| path.exists());
        let Some(there) = there else { continue };
        let system = fs::metadata(there).and_then(|about| Ok((about.dev(), system(there)?)));
        match system {
            Ok((device, system)) if devices.insert(device) => systems.push(system),
            Ok(_) => {}
            Err(error) => return hidden(format!("look at {}: {error}", there.display())),
        }
    }
    Ok(systems)
}

fn system(folder: &Path) -> io::Result<FileSystem> {
    let room = statvfs(folder)?;
    let of_blocks = |count: u64| count.saturating_mul(room.fragment_size());
    Ok(FileSystem {
        folder: folder.to_path_buf(),
        kind: kind(statfs(folder)?.filesystem_type()),
        read_only: room.flags().contains(FsFlags::ST_RDONLY),
        total_bytes: of_blocks(room.blocks()),
        free_bytes: of_blocks(room.blocks_available()),
        // Some make them as they need them, and count none.
        files_free: (room.files() > 0).then(|| room.files_available()),
    })
}

fn kind(of: FsType) -> Option<Dishonest> {
    let number = of.0 & 0xffff_ffff;
    let found = DISHONEST.iter().find(|(it, _)| *it == number);
    found.map(|(_, kind)| *kind)
}

/// What is free for the server where a folder lies.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let room = statvfs(folder).ok()?;
    Some(room.blocks_available().saturating_mul(room.fragment_size()))
}

/// How long small writes take until they are safe, in a file that has no name: nothing of it stays.
pub(super) fn speed(folder: &Path) -> Known<Speed> {
    let measured = nameless(folder).and_then(|file| measure(&file));
    match measured {
        Ok(Some(speed)) => Ok(speed),
        Ok(None) => hidden("not one write was safe in time"),
        Err(error) => hidden(format!("write in {}: {error}", folder.display())),
    }
}

fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".chrysalis-doctor-{}", std::process::id()));
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlag::O_DSYNC.bits())
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn measure(file: &File) -> io::Result<Option<Speed>> {
    // Filled first, so that no write changes more than bytes.
    let places = usize::try_from(PLACES).unwrap_or(1);
    file.write_all_at(&vec![0xa5; places * WRITE_BYTES], 0)?;
    let piece = [0x5a; WRITE_BYTES];
    let began = Instant::now();
    let mut took: Vec<Duration> = Vec::new();
    while took.len() < WRITES_MAX && began.elapsed() < TRIED_FOR {
        let place = (took.len() as u64) % PLACES;
        let sent = Instant::now();
        file.write_all_at(&piece, place * WRITE_BYTES as u64)?;
        took.push(sent.elapsed());
    }
    took.sort();
    let us = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let speed = took.get(took.len() / 2).zip(took.last());
    Ok(speed.map(|(median, longest)| Speed {
        median_us: us(median),
        longest_us: us(longest),
        writes: took.len(),
    }))
}
