//! The host: its clock, its memory, its kernel.

use crate::config::{Backend, Config};
use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Facts, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::operator::status::bytes;

/// What a server needs beside what clients make it keep.
const OWN_BYTES: u64 = 192 << 20;
/// Two clocks are apart when they differ by more than this: what was measured took a part of it.
const APART_MS: i64 = 2_000;
/// What memory may be given out without being there: never, that is.
const NEVER_OVERCOMMIT: u32 = 2;
/// Older kernels do not report all errors of syncs.
const KERNEL_WANTED: (u32, u32) = (5, 8);

pub(super) static CHECKS: [Check; 6] = [
    Check {
        name: "clocks-apart",
        severity: Severity::AtRisk,
        means: "This host's clock and that of the coordinator's leader differ by seconds: message ids and retention follow one, znodes the other.",
        cure: "Have both synchronised (chrony, systemd-timesyncd).",
        explains: &["clock-unkept"],
        look: clocks_apart,
    },
    Check {
        name: "memory-too-small",
        severity: Severity::AtRisk,
        means: "What the configuration lets clients keep is more than the memory there is: the kernel may kill the server.",
        cure: "Raise the memory, or lower the bounds.",
        explains: &[],
        look: memory_too_small,
    },
    Check {
        name: "memory-not-overcommitted",
        severity: Severity::Hint,
        means: "`vm.overcommit_memory` is 2: the kernel refuses memory that others have reserved and do not use.",
        cure: "`sysctl vm.overcommit_memory=0`.",
        explains: &[],
        look: memory_not_overcommitted,
    },
    Check {
        name: "io-uring-refused",
        severity: Severity::Hint,
        means: "The kernel refuses io_uring, so threads write the journal, somewhat slower. The reason is named.",
        cure: "Lift what refuses it, or set `disk.backend` to threads.",
        explains: &[],
        look: ring_refused,
    },
    Check {
        name: "clock-unkept",
        severity: Severity::Hint,
        means: "Nothing on this host keeps its clock right, or it is not right yet.",
        cure: "Install chrony or enable systemd-timesyncd.",
        explains: &[],
        look: clock_unkept,
    },
    Check {
        name: "kernel-old",
        severity: Severity::Hint,
        means: "Before 5.8 the kernel does not report all errors of syncs, so files are synced one by one.",
        cure: "A newer kernel.",
        explains: &[],
        look: kernel_old,
    },
];

fn one_if(finding: Option<Finding>) -> Looked {
    Ok(finding.into_iter().collect())
}

fn clocks_apart(facts: &Facts) -> Looked {
    let registered = *facts.registered.as_ref().map_err(Unknown::clone)?;
    // It was registered between its start and now; by another clock it may look otherwise.
    let ahead_ms = registered.at_ms - registered.now_ms;
    let behind_ms = registered.began_ms - registered.at_ms;
    let (by_ms, which) = match (ahead_ms > APART_MS, behind_ms > APART_MS) {
        (true, _) => (ahead_ms, "ahead of"),
        (_, true) => (behind_ms, "behind"),
        _ => return Ok(Vec::new()),
    };
    let s = by_ms / 1000;
    one_if(Some(
        Finding::new(format!(
            "the clock of the coordinator's leader is {s} s or more {which} this host's, or one of them was set"
        ))
        .shown("compared with when this broker was registered in ZooKeeper")
        .command("See this host's", "date; timedatectl status || chronyc tracking")
        .command("See who leads, and look there, too", format!("chrysalis cluster status{}", facts.flag())),
    ))
}

/// What clients may make a server keep, and what it needs for itself.
fn most_bytes(config: &Config) -> u64 {
    let coordinator = config.coordinator.as_ref();
    let own = coordinator.map_or(0, |own| {
        own.tree_bytes_max.saturating_add(own.watch_bytes_max)
    });
    own.saturating_add(config.network.all_connections_bytes_max)
        .saturating_add(OWN_BYTES)
}

fn memory_too_small(facts: &Facts) -> Looked {
    let config = facts.config()?;
    let memory = facts.machine.memory.as_ref().map_err(Unknown::clone)?;
    let most = most_bytes(config);
    let (tree, watches) = config
        .coordinator
        .as_ref()
        .map_or((0, 0), |own| (own.tree_bytes_max, own.watch_bytes_max));
    one_if((most > memory.bytes).then(|| {
        Finding::new(format!(
            "clients may make the server need {}, and {} {}: the kernel may kill it",
            bytes(most),
            memory.bound,
            bytes(memory.bytes)
        ))
        .shown(format!(
            "the tree {}, watches {}, connections {}",
            bytes(tree),
            bytes(watches),
            bytes(config.network.all_connections_bytes_max)
        ))
        .cure("Give it more memory; or lower coordinator.tree_bytes_max, coordinator.watch_bytes_max or network.all_connections_bytes_max.")
    }))
}

fn memory_not_overcommitted(facts: &Facts) -> Looked {
    let overcommit = facts.machine.overcommit.as_ref().map_err(Unknown::clone)?;
    one_if((*overcommit == NEVER_OVERCOMMIT).then(|| {
        let what = "the kernel gives out no memory that others have reserved (vm.overcommit_memory is 2), and a server that gets none ends";
        Finding::new(what).command("Let it", "sysctl vm.overcommit_memory=0")
    }))
}

fn ring_refused(facts: &Facts) -> Looked {
    let config = facts.config()?;
    let backend = &facts.status()?.journal.backend;
    let reason = backend
        .strip_prefix("threads (")
        .and_then(|reason| reason.strip_suffix(')'));
    let Some(reason) = reason.filter(|_| config.disk.backend == Backend::Auto) else {
        return Ok(Vec::new());
    };
    let finding =
        Finding::new("the kernel refuses io_uring, so threads write the journal").shown(reason);
    let finding = match facts.machine.ring_disabled {
        Some(disabled @ 1..) => finding
            .shown(format!("kernel.io_uring_disabled is {disabled}"))
            .command("Permit it", "sysctl kernel.io_uring_disabled=0"),
        _ if reason.contains("locked memory") => {
            finding.command("Raise the limit in the shell that starts it", "ulimit -l 65536")
        }
        _ => finding.cure("In a container: let its seccomp profile permit io_uring_setup, io_uring_enter and io_uring_register."),
    };
    one_if(Some(finding.cure(
        "Or set disk.backend to \"threads\", and this is not told again.",
    )))
}

fn clock_unkept(facts: &Facts) -> Looked {
    let clock = facts.machine.clock.as_ref().map_err(Unknown::clone)?;
    one_if(match &clock.keeper {
        None => Some(
            Finding::new("nothing on this host keeps its clock right: neither chronyd, ntpd nor systemd-timesyncd runs")
                .command("Have it kept", "systemctl enable --now systemd-timesyncd || apt-get install chrony"),
        ),
        Some(keeper) if clock.not_yet => Some(
            Finding::new(format!("the clock of this host is not synchronised yet, says {keeper}"))
                .command("See why", "timedatectl timesync-status"),
        ),
        Some(_) => None,
    })
}

fn kernel_old(facts: &Facts) -> Looked {
    let kernel = &facts.machine.kernel;
    let mut numbers = kernel
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(Unknown::Because(
            "the kernel does not tell its version".to_owned(),
        ));
    };
    one_if(((major, minor) < KERNEL_WANTED).then(|| {
        Finding::new(format!(
            "the kernel is {kernel}: before 5.8 it does not report all errors of syncs"
        ))
        .cure("Take a newer one when you can; meanwhile files are synced one by one.")
    }))
}
