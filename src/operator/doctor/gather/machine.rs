//! The host, as the kernel tells of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::operator::doctor::facts::{Clock, Known, Machine, Memory, hidden};

/// Processes that keep a clock right.
const KEEPERS: [&str; 6] = [
    "chronyd",
    "ntpd",
    "ntpsec",
    SHORTENED,
    "openntpd",
    "timemaster",
];
/// systemd-timesyncd; the kernel keeps fifteen letters of a name.
const SHORTENED: &str = "systemd-timesyn";
/// That of systemd says here that the clock is right.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Files that container managers put into each container.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// The host of the server whose process is `pid`; of this command where that is not known.
pub(super) fn of(pid: Option<u32>) -> Machine {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let overcommit = number("/proc/sys/vm/overcommit_memory");
    Machine {
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        memory: memory(pid),
        overcommit: overcommit.map_or_else(|| hidden("vm.overcommit_memory cannot be read"), Ok),
        ring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        clock: clock(),
    }
}

/// The least of what the host has and what its control groups permit.
fn memory(pid: Option<u32>) -> Known<Memory> {
    let whole = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(whole) = total_bytes(&whole) else {
        return hidden("/proc/meminfo does not tell the memory of this host");
    };
    let of = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let groups = fs::read_to_string(format!("/proc/{of}/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|path| {
        let bytes = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
        Some(Memory {
            bytes,
            bound: format!("its control group permits ({})", path.display()),
        })
    });
    let host = Memory {
        bytes: whole,
        bound: "this host has".to_owned(),
    };
    let least = limits.chain([host]).min_by_key(|it| it.bytes);
    least.map_or_else(|| hidden("nothing tells the memory"), Ok)
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The files that limit the memory of a process with these control groups, its own group's and those above.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            named if named.split(',').any(|it| it == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(
            own.ancestors()
                .map(|group| Path::new(root).join(group).join(name)),
        );
    }
    files
}

fn clock() -> Known<Clock> {
    if CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists()) {
        return hidden("in a container the host keeps the clock");
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
    let mut names = names.map(|name| name.trim().to_owned());
    let keeper = names.find(|name| KEEPERS.contains(&name.as_str()));
    let is_systemds = keeper.as_deref() == Some(SHORTENED);
    Ok(Clock {
        not_yet: is_systemds && !Path::new(SYNCHRONISED).exists(),
        keeper: match is_systemds {
            true => Some("systemd-timesyncd".to_owned()),
            false => keeper,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_limited_by_its_group_and_those_above() {
        let shown = |groups: &str| {
            let files = limit_files(groups);
            let files: Vec<String> = files
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            files.join(" ")
        };
        assert_eq!(
            shown("0::/system.slice/a.service\n"),
            "/sys/fs/cgroup/system.slice/a.service/memory.max /sys/fs/cgroup/system.slice/memory.max \
             /sys/fs/cgroup/memory.max"
        );
        assert_eq!(
            shown("5:cpu:/x\n4:memory:/docker/1\n"),
            "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes /sys/fs/cgroup/memory/docker/memory.limit_in_bytes \
             /sys/fs/cgroup/memory/memory.limit_in_bytes"
        );
        assert_eq!(
            total_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"),
            Some(2 << 20)
        );
    }
}
