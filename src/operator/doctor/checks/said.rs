//! What the server says of itself in `chrysalis status`: sentences that name a cause, told apart by their words, and all others as
//! they are.

use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Facts, Unknown};
use crate::operator::doctor::finding::Finding;

/// Words of a warning, and the check that tells of it. What has none of these is told by `server-says`.
pub(in crate::operator::doctor) const CLAIMED: [(&str, &str); 19] = [
    ("the broker serves nobody", "broker-held"),
    ("the disk of its journal does nothing", "journal-disk-hangs"),
    ("too many files are open", "descriptors-used-up"),
    (
        "a folder of message files is not there",
        "message-folder-gone",
    ),
    ("the journal's next file cannot be made", "journal-stuck"),
    ("its next file cannot be made", "journal-stuck"),
    ("the journal is full", "journal-stuck"),
    ("the disk is nearly full: puts are refused", "disk-full"),
    ("the disk is full: puts are refused", "disk-full"),
    ("damage was found in", "partition-damaged"),
    ("the ensemble has no leader", "ensemble-waits"),
    ("this server has not caught up", "ensemble-waits"),
    (
        "the data of this server is not that of the others",
        "ensemble-waits",
    ),
    ("this server was taken out of it", "ensemble-waits"),
    ("it was recovered on another server", "ensemble-waits"),
    ("this start accepted a loss", "loss-accepted"),
    (
        "no snapshot of the coordinator can be written",
        "snapshot-fails",
    ),
    ("the process may not have more", "connections-limited"),
    ("the limit of the ", "limit-low"),
];

pub(super) static CHECKS: [Check; 12] = [
    Check {
        name: "broker-held",
        severity: Severity::Broken,
        means: "The journal was damaged, and the broker waits for its operator: nobody is served messages.",
        cure: "Restore the journal; or accept the loss.",
        explains: &[],
        look: broker_held,
    },
    Check {
        name: "journal-disk-hangs",
        severity: Severity::Broken,
        means: "The disk of the journal does nothing: the server sends its clients away until it does.",
        cure: "Look at `dmesg` and at what keeps it busy.",
        explains: &["ensemble-waits"],
        look: journal_disk_hangs,
    },
    Check {
        name: "descriptors-used-up",
        severity: Severity::Broken,
        means: "The process has as many files open as it may: puts are refused.",
        cure: "Raise `LimitNOFILE` or `ulimit -n`.",
        explains: &["connections-limited"],
        look: descriptors_used_up,
    },
    Check {
        name: "message-folder-gone",
        severity: Severity::Broken,
        means: "A folder of message files has gone while the server runs: puts that need it are refused (E0206).",
        cure: "Mount its disk, or put it back.",
        explains: &[],
        look: message_folder_gone,
    },
    Check {
        name: "journal-stuck",
        severity: Severity::Broken,
        means: "The journal is full, or its next file cannot be made: writes are refused or not answered.",
        cure: "Its reason says what the disk lacks.",
        explains: &[],
        look: journal_stuck,
    },
    Check {
        name: "ensemble-waits",
        severity: Severity::Broken,
        means: "The coordinator serves nobody here yet: it waits for a leader, or for what it lacks.",
        cure: "If it stays: `chrysalis cluster status`.",
        explains: &["not-registered", "owners-unseen"],
        look: ensemble_waits,
    },
    Check {
        name: "loss-accepted",
        severity: Severity::AtRisk,
        means: "This start went on without data that was damaged. It is told until the next start.",
        cure: "Tell those whose data it was; restart when they know.",
        explains: &[],
        look: loss_accepted,
    },
    Check {
        name: "snapshot-fails",
        severity: Severity::AtRisk,
        means: "No snapshot of the znodes can be written: the journal keeps their entries and fills up.",
        cure: "Its reason says what the disk lacks.",
        explains: &[],
        look: snapshot_fails,
    },
    Check {
        name: "connections-limited",
        severity: Severity::Hint,
        means: "Fewer connections are let in than are configured, because the process may have too few files open.",
        cure: "Raise `LimitNOFILE` or `ulimit -Hn`.",
        explains: &[],
        look: connections_limited,
    },
    Check {
        name: "limit-low",
        severity: Severity::AtRisk,
        means: "A limit of the process is lower than what the configuration wants: less is kept for clients, or it may be met.",
        cure: "Raise the limit that it names.",
        explains: &[],
        look: limit_low,
    },
    Check {
        name: "server-says",
        severity: Severity::AtRisk,
        means: "The server has a warning of another kind, told as it is.",
        cure: "It says what to do.",
        explains: &[],
        look: server_says,
    },
    Check {
        name: "configuration-note",
        severity: Severity::Hint,
        means: "The configuration is right, and says something that is seldom meant.",
        cure: "The note says what to change.",
        explains: &[],
        look: configuration_note,
    },
];

/// The check that a warning belongs to.
fn claimed(warning: &str) -> Option<&'static str> {
    let found = CLAIMED.iter().find(|(words, _)| warning.contains(words));
    found.map(|(_, check)| *check)
}

/// The warnings that belong to a check.
fn said<'a>(facts: &'a Facts, check: &str) -> Result<Option<&'a String>, Unknown> {
    let mut warnings = facts.status()?.warnings.iter();
    Ok(warnings.find(|warning| claimed(warning) == Some(check)))
}

/// What is found where the server says something that belongs to a check.
fn tell(facts: &Facts, check: &str, what: &str, cure: impl FnOnce(Finding) -> Finding) -> Looked {
    let warning = said(facts, check)?;
    let finding = warning.map(|warning| cure(Finding::new(what).shown(warning)));
    Ok(finding.into_iter().collect())
}

fn broker_held(facts: &Facts) -> Looked {
    let what = "no message is served, because the journal was damaged and the broker waits for your decision";
    tell(facts, "broker-held", what, |finding| {
        finding
            .command(
                "See what is missing",
                format!("chrysalis dump journal {} | tail", aside(facts)),
            )
            .command(
                "To lose it, while all other servers are there",
                format!("chrysalis restart --accept-loss{}", facts.flag()),
            )
    })
}

/// Where a start puts a damaged journal.
fn aside(facts: &Facts) -> String {
    let aside = facts.folder.journal().join("damaged");
    crate::report::shell_word(&aside.display().to_string())
}

fn journal_disk_hangs(facts: &Facts) -> Looked {
    let what = "nothing is served here, because the disk of the journal does nothing";
    tell(facts, "journal-disk-hangs", what, |finding| {
        finding
            .command("See what the kernel says of it", "dmesg | tail -50")
            .command("See what keeps it busy", "iostat -x 1 5")
    })
}

fn descriptors_used_up(facts: &Facts) -> Looked {
    let what = "puts are refused, because the process has as many files open as it may";
    tell(facts, "descriptors-used-up", what, |finding| {
        let pid = facts.status().map_or(0, |status| status.pid);
        finding
            .command(
                "Raise it for the process that runs",
                format!("prlimit --pid {pid} --nofile=65536"),
            )
            .cure("And for the next start: LimitNOFILE in the unit, /etc/security/limits.conf.")
    })
}

fn message_folder_gone(facts: &Facts) -> Looked {
    let what = "puts are refused, because a folder of message files has gone";
    tell(facts, "message-folder-gone", what, |finding| {
        finding.command(
            "Mount its disk or put it back; more in",
            "chrysalis explain E0206",
        )
    })
}

fn journal_stuck(facts: &Facts) -> Looked {
    let what = "writes are refused or not answered, because the journal cannot go on";
    tell(facts, "journal-stuck", what, |finding| {
        let journal = facts.folder.journal().display().to_string();
        finding
            .command(
                "See the room",
                format!("df -h {}", crate::report::shell_word(&journal)),
            )
            .command("If the disk refuses, see why", "dmesg | tail -50")
    })
}

fn ensemble_waits(facts: &Facts) -> Looked {
    let what = "the coordinator serves nobody here yet";
    tell(facts, "ensemble-waits", what, |finding| {
        finding.command(
            "If it stays so",
            format!("chrysalis cluster status{}", facts.flag()),
        )
    })
}

fn loss_accepted(facts: &Facts) -> Looked {
    let what = "this start went on without data that was damaged";
    tell(facts, "loss-accepted", what, |finding| {
        finding.command(
            "When those whose data it was know of it",
            facts.command("restart"),
        )
    })
}

fn snapshot_fails(facts: &Facts) -> Looked {
    let what = "the journal fills up, because no snapshot of the znodes can be written";
    tell(facts, "snapshot-fails", what, |finding| {
        let folder = facts.folder.coordinator().display().to_string();
        let word = crate::report::shell_word(&folder);
        finding.command(
            "See the room and the rights",
            format!("df -h {word}; ls -ld {word}"),
        )
    })
}

/// A note on the limits of the process: the server's own, or where it does not run, of a start from here.
fn noted(facts: &Facts, check: &str, what: &str, cure: &str) -> Looked {
    let start = facts.start.limits.as_ref().ok();
    let mut notes = start.iter().flat_map(|limits| &limits.notes);
    match notes.find(|note| claimed(note) == Some(check)) {
        Some(note) => Ok(vec![Finding::new(what).shown(note).cure(cure)]),
        None if start.is_some() => Ok(Vec::new()),
        None => tell(facts, check, what, |finding| finding.cure(cure)),
    }
}

fn connections_limited(facts: &Facts) -> Looked {
    let what = "fewer connections are let in than are configured, because the process may have too few files open";
    let cure = "Raise LimitNOFILE in the unit, or `ulimit -Hn`, and restart it.";
    noted(facts, "connections-limited", what, cure)
}

fn limit_low(facts: &Facts) -> Looked {
    let what = "a limit of the process is lower than what the configuration wants";
    noted(
        facts,
        "limit-low",
        what,
        "Raise it, and restart the server.",
    )
}

fn server_says(facts: &Facts) -> Looked {
    let warnings = facts.status()?.warnings.iter();
    let others = warnings.filter(|warning| claimed(warning).is_none());
    Ok(others.map(Finding::new).collect())
}

fn configuration_note(facts: &Facts) -> Looked {
    let notes = &facts.config()?.source.notes;
    Ok(notes.iter().map(Finding::new).collect())
}
