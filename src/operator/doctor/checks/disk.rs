//! The disk: whether there is room, whether it keeps what it is given, and how fast.

use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Dishonest, Facts, FileSystem, Known, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::operator::status::bytes;
use crate::report::shell_word;

/// A write that takes longer than this is slow, in microseconds: a spinning disk takes a fifth of it.
const SLOW_US: u64 = 50_000;
/// So many times as much room as puts need is room for some time.
const ROOM_FACTOR: u64 = 4;

pub(super) static CHECKS: [Check; 5] = [
    Check {
        name: "disk-full",
        severity: Severity::Broken,
        means: "There is less room than `disk.refuse_below_bytes`: puts are refused (E0204).",
        cure: "Make room, or let messages go earlier.",
        explains: &["disk-nearly-full", "journal-stuck"],
        look: disk_full,
    },
    Check {
        name: "no-files-left",
        severity: Severity::Broken,
        means: "The file system has room and no inodes: no file can be made.",
        cure: "Remove small files that nobody needs.",
        explains: &["journal-stuck"],
        look: no_files_left,
    },
    Check {
        name: "disk-nearly-full",
        severity: Severity::AtRisk,
        means: "There is less than four times the room below which puts are refused.",
        cure: "Make room, or let messages go earlier.",
        explains: &[],
        look: disk_nearly_full,
    },
    Check {
        name: "syncs-not-honest",
        severity: Severity::AtRisk,
        means: "Data is on a file system that does not itself put it on a disk: memory, a network, a container's own, a process.",
        cure: "Move the folder to a local disk (ext4, xfs).",
        explains: &[],
        look: syncs_not_honest,
    },
    Check {
        name: "disk-slow",
        severity: Severity::AtRisk,
        means: "A write of 4 KiB takes more than 50 ms until it is safe: each put takes as long.",
        cure: "See what keeps the disk busy, or take a faster one.",
        explains: &[],
        look: disk_slow,
    },
];

fn systems(facts: &Facts) -> Known<&Vec<FileSystem>> {
    facts.file_systems.as_ref().map_err(Unknown::clone)
}

/// The room below which puts are refused, of a server that takes any.
fn refused_below(facts: &Facts) -> Known<u64> {
    let config = facts.config()?;
    match config.broker {
        Some(_) => Ok(config.disk.refuse_below_bytes),
        None => Ok(0),
    }
}

fn make_room(finding: Finding, system: &FileSystem) -> Finding {
    let folder = shell_word(&system.folder.display().to_string());
    finding
        .command("See what takes it", format!("du -xh --max-depth=2 {folder} | sort -h | tail"))
        .cure("Remove what is not Chrysalis', or let messages go earlier (delete_policy). Leave the rest of data/ alone.")
}

fn disk_full(facts: &Facts) -> Looked {
    let below = refused_below(facts)?;
    let refusing = facts.status().is_ok_and(|status| {
        let broker = status.broker.as_ref();
        broker.is_some_and(|broker| broker.refusing_puts)
    });
    let full: Vec<&FileSystem> = systems(facts)?
        .iter()
        .filter(|it| it.free_bytes < below.max(1))
        .collect();
    if full.is_empty() && refusing {
        let finding = Finding::new("puts are refused, because the disk has or had no room");
        return Ok(vec![finding.command(
            "See the room now",
            format!("chrysalis status{}", facts.flag()),
        )]);
    }
    let found = full.into_iter().map(|it| {
        let what = match facts.config().is_ok_and(|config| config.broker.is_some()) {
            true => "puts are refused",
            false => "nothing more can be written",
        };
        let finding = Finding::new(format!(
            "{what}, because the disk of {} is full: {} are free",
            it.folder.display(),
            bytes(it.free_bytes)
        ));
        let finding = match below {
            0 => finding,
            below => finding.shown(format!(
                "puts need {} (disk.refuse_below_bytes)",
                bytes(below)
            )),
        };
        make_room(finding, it)
    });
    Ok(found.collect())
}

fn no_files_left(facts: &Facts) -> Looked {
    let used_up = systems(facts)?.iter().filter(|it| it.files_free == Some(0));
    let found = used_up.map(|it| {
        let folder = it.folder.display();
        let word = shell_word(&folder.to_string());
        Finding::new(format!(
            "no file can be made in {folder}: its file system has no inodes left"
        ))
        .command("See it", format!("df -i {word}"))
        .cure("Remove small files that nobody needs.")
    });
    Ok(found.collect())
}

fn disk_nearly_full(facts: &Facts) -> Looked {
    let below = refused_below(facts)?;
    let enough = below.saturating_mul(ROOM_FACTOR);
    let scarce = systems(facts)?
        .iter()
        .filter(|it| it.free_bytes >= below && it.free_bytes < enough);
    let found = scarce.map(|it| {
        let finding = Finding::new(format!(
            "the disk of {} is nearly full: {} are free, and puts are refused below {}",
            it.folder.display(),
            bytes(it.free_bytes),
            bytes(below)
        ));
        make_room(finding, it)
    });
    Ok(found.collect())
}

fn syncs_not_honest(facts: &Facts) -> Looked {
    let found = systems(facts)?.iter().filter_map(|it| {
        let folder = it.folder.display();
        let what = match it.kind? {
            Dishonest::Memory(name) => format!("{folder} is in memory ({name}): a reboot loses all of it"),
            Dishonest::Network(name) => {
                format!("{folder} is on a network ({name}): what is acknowledged is as safe as that server keeps it")
            }
            Dishonest::Container(name) => {
                format!("{folder} is a container's own ({name}): it goes with the container")
            }
            Dishonest::UserSpace(name) => {
                format!("{folder} is served by a process ({name}): what is acknowledged is as safe as that process keeps it")
            }
        };
        let finding = Finding::new(what);
        Some(finding.cure("Stop the server, and move data/ to a local disk (ext4, xfs): a link to it will do."))
    });
    Ok(found.collect())
}

fn disk_slow(facts: &Facts) -> Looked {
    let speed = facts.speed.as_ref().map_err(Unknown::clone)?;
    let ms = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    let data = facts.folder.data();
    let finding = Finding::new(format!(
        "the disk of {} is slow: half of the writes took {} or more until they were safe, and no put is faster",
        data.display(),
        ms(speed.median_us)
    ));
    let finding = finding.shown(format!(
        "4 KiB, one at a time, {} of them, the longest {}",
        speed.writes,
        ms(speed.longest_us)
    ));
    let word = shell_word(&data.display().to_string());
    let finding = finding
        .command("See what keeps it busy", "iostat -x 1 5")
        .command("Measure it at rest", format!("chrysalis bench disk {word}"));
    Ok((speed.median_us > SLOW_US)
        .then_some(finding)
        .into_iter()
        .collect())
}
