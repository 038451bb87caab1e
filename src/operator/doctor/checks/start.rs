//! Why a server does not start, or will not the next time.

use std::path::Path;

use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Facts, Journal, Known, Process, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::report::{ExitCode, shell_word};
use crate::units::counted;

/// What a server that does not run says anyway.
const NOT_RUNNING: &[&str] = &["unit-failed", "last-start-failed", "not-running"];

pub(super) static CHECKS: [Check; 15] = [
    Check {
        name: "configuration-mistaken",
        severity: Severity::Broken,
        means: "The configuration has mistakes: a start is refused.",
        cure: "Correct the lines that it names.",
        explains: NOT_RUNNING,
        look: configuration_mistaken,
    },
    Check {
        name: "start-refused",
        severity: Severity::Broken,
        means: "Every value is permitted, and this host refuses one: an address that it does not have, data of another server.",
        cure: "Correct the lines that it names.",
        explains: NOT_RUNNING,
        look: start_refused,
    },
    Check {
        name: "files-of-another-user",
        severity: Severity::Broken,
        means: "Files that the server writes belong to another user: it cannot open them. Mostly root has run a command there.",
        cure: "`chown -R` it to the owner of `data/`.",
        explains: NOT_RUNNING,
        look: files_of_another_user,
    },
    Check {
        name: "folder-closed",
        severity: Severity::Broken,
        means: "The server's user may not write to its own folder.",
        cure: "Give the owner the permission to write and enter.",
        explains: NOT_RUNNING,
        look: folder_closed,
    },
    Check {
        name: "file-system-read-only",
        severity: Severity::Broken,
        means: "Nothing can be written: the file system is mounted read-only, often by the kernel after an error of the disk.",
        cure: "Look at `dmesg`, repair the disk, mount it again.",
        explains: NOT_RUNNING,
        look: file_system_read_only,
    },
    Check {
        name: "folder-in-use",
        severity: Severity::Broken,
        means: "Another process uses a folder of this server's data.",
        cure: "Give each server folders of its own, or stop the other one.",
        explains: NOT_RUNNING,
        look: folder_in_use,
    },
    Check {
        name: "port-taken",
        severity: Severity::Broken,
        means: "Another process listens on a port of this server.",
        cure: "Stop that process, or set another port.",
        explains: NOT_RUNNING,
        look: port_taken,
    },
    Check {
        name: "journal-gone",
        severity: Severity::Broken,
        means: "The server had a journal, and its folder is not there. Mostly its disk is not mounted.",
        cure: "Mount it, or put it back.",
        explains: NOT_RUNNING,
        look: journal_gone,
    },
    Check {
        name: "journal-damaged",
        severity: Severity::Broken,
        means: "Acknowledged entries in the journal cannot be read (E0201).",
        cure: "Restore the file; or lose what comes behind the damage.",
        explains: NOT_RUNNING,
        look: journal_damaged,
    },
    Check {
        name: "journal-newer",
        severity: Severity::Broken,
        means: "A newer version wrote the journal (E0106).",
        cure: "Start the newer version.",
        explains: NOT_RUNNING,
        look: journal_newer,
    },
    Check {
        name: "topics-gone",
        severity: Severity::Broken,
        means: "A folder of topics that there was is gone (E0206). Mostly its disk is not mounted.",
        cure: "Mount it, or put it back.",
        explains: NOT_RUNNING,
        look: topics_gone,
    },
    Check {
        name: "limit-refuses",
        severity: Severity::Broken,
        means: "A limit of the process is too low for this configuration (E0111). Judged by the limits that the command itself has.",
        cure: "Raise the limit that it names.",
        explains: NOT_RUNNING,
        look: limit_refuses,
    },
    Check {
        name: "unit-failed",
        severity: Severity::Broken,
        means: "systemd has given the server up.",
        cure: "Read its journal, then start the unit again.",
        explains: &["last-start-failed", "not-running"],
        look: unit_failed,
    },
    Check {
        name: "last-start-failed",
        severity: Severity::Broken,
        means: "The last start ended with an error, and nothing else here explains it.",
        cure: "The page of its code says what to do.",
        explains: &["not-running"],
        look: last_start_failed,
    },
    Check {
        name: "not-running",
        severity: Severity::Broken,
        means: "The server does not run, and nothing was found that keeps it from starting.",
        cure: "Start it.",
        explains: &[],
        look: not_running,
    },
];

fn one_if(finding: Option<Finding>) -> Looked {
    Ok(finding.into_iter().collect())
}

/// What a server that runs goes on with.
fn meanwhile(facts: &Facts) -> &'static str {
    match facts.process {
        Process::Stopped => "the server does not start",
        Process::Running(_) => "the server runs on, and its next start is refused",
    }
}

fn mistakes(facts: &Facts, what: &str, lines: &[String]) -> Option<Finding> {
    let first = lines.first()?;
    let count = match lines.len() {
        1 => String::new(),
        count => format!(" and {}", counted(count - 1, "more mistakes")),
    };
    let finding = Finding::new(format!(
        "{}, because {what}: {first}{count}",
        meanwhile(facts)
    ));
    let finding = finding.shown_by(lines.iter().skip(1).cloned());
    Some(finding.command(
        "Correct it, and check it",
        format!("chrysalis config check{}", facts.flag()),
    ))
}

fn configuration_mistaken(facts: &Facts) -> Looked {
    let lines = facts.config.as_ref().err();
    one_if(lines.and_then(|lines| mistakes(facts, "its configuration is wrong", lines)))
}

fn start_refused(facts: &Facts) -> Looked {
    facts.config()?;
    one_if(mistakes(
        facts,
        "this host refuses its configuration",
        &facts.refusals,
    ))
}

fn files_of_another_user(facts: &Facts) -> Looked {
    let owner = known(&facts.files.owner)?;
    let strangers = known(&facts.files.strangers)?;
    let Some((path, user)) = strangers.first() else {
        return Ok(Vec::new());
    };
    let what = format!(
        "the server's user {owner} cannot use {}, which belongs to user {user}",
        path.display()
    );
    let more = strangers.iter().skip(1);
    let more = more.map(|(path, user)| format!("{} belongs to user {user}", path.display()));
    let data = facts.folder.data();
    let whole = if path.starts_with(&data) { &data } else { path };
    let whole = shell_word(&whole.display().to_string());
    one_if(Some(Finding::new(what).shown_by(more).command(
        "Give everything back",
        format!("chown -R {owner} {whole}"),
    )))
}

fn folder_closed(facts: &Facts) -> Looked {
    let closed = known(&facts.files.closed)?;
    let Some((path, why)) = closed.first() else {
        return Ok(Vec::new());
    };
    let shown = closed.iter().skip(1);
    let shown = shown.map(|(path, why)| format!("{}: {why}", path.display()));
    let word = shell_word(&path.display().to_string());
    one_if(Some(
        Finding::new(format!(
            "the server may not write to its own folder {}: {why}",
            path.display()
        ))
        .shown_by(shown)
        .command("Let it", format!("chmod u+rwx {word}")),
    ))
}

fn file_system_read_only(facts: &Facts) -> Looked {
    let systems = known(&facts.file_systems)?;
    let closed = systems.iter().filter(|it| it.read_only);
    let found = closed.map(|it| {
        let folder = it.folder.display();
        Finding::new(format!(
            "nothing can be written to {folder}: its file system is mounted read-only"
        ))
        .command("See why", "dmesg | tail -50")
        .command(
            "Then mount it again",
            format!("mount -o remount,rw {}", mounted_with(&it.folder)),
        )
    });
    Ok(found.collect())
}

/// The mount that a folder belongs to, as a shell finds it.
fn mounted_with(folder: &Path) -> String {
    let word = shell_word(&folder.display().to_string());
    format!("\"$(findmnt -no TARGET -T {word})\"")
}

fn folder_in_use(facts: &Facts) -> Looked {
    let locked = known(&facts.start.locked)?;
    let found = locked.iter().map(|it| {
        let (folder, pid) = (it.folder.display(), it.pid);
        Finding::new(format!(
            "the server does not start, because process {pid} uses its folder {folder}"
        ))
        .command("See what it is", format!("ps -fp {pid}"))
        .cure("Give each server folders of its own (broker.topics_folder), or stop the other one.")
    });
    Ok(found.collect())
}

fn port_taken(facts: &Facts) -> Looked {
    let taken = known(&facts.start.taken)?;
    let found = taken.iter().map(|it| {
        let (key, address, port) = (it.key, it.address, it.address.port());
        let by = it.by.as_deref().unwrap_or("another process");
        let finding = Finding::new(format!(
            "the server does not start, because {by} has its port {address} ({key})"
        ));
        let finding = match &it.by {
            Some(_) => finding,
            None => finding.command(
                "See who it is, as root",
                format!("ss -ltnp 'sport = :{port}'"),
            ),
        };
        finding.cure(format!("Stop it, or set another {key}."))
    });
    Ok(found.collect())
}

fn journal_gone(facts: &Facts) -> Looked {
    let gone = matches!(known(&facts.start.journal)?, Journal::Gone);
    let journal = facts.folder.journal();
    let finding = Finding::new(format!(
        "the server does not start, because its journal {} is gone",
        journal.display()
    ));
    one_if(gone.then(|| {
        finding
            .cure("Mount its disk, or put the folder back.")
            .command(
                "To lose what was in it",
                format!("chrysalis start --accept-loss{}", facts.flag()),
            )
    }))
}

fn journal_damaged(facts: &Facts) -> Looked {
    let Journal::Damaged(what) = known(&facts.start.journal)? else {
        return Ok(Vec::new());
    };
    let finding = Finding::new("the server cannot read its journal, which is damaged").shown(what);
    let finding = match facts
        .config
        .as_ref()
        .is_ok_and(|config| config.cluster.is_some())
    {
        true => finding.command(
            "Start it: the other servers have all znodes; its messages wait until you decide",
            facts.command("start"),
        ),
        false => finding.cure("Restore the file from a copy of data/."),
    };
    one_if(Some(
        finding
            .command(
                "See what is missing",
                format!("chrysalis dump journal{} | tail", facts.flag()),
            )
            .command(
                "To lose everything behind the damage, after a copy of data/",
                format!("chrysalis start --accept-loss{}", facts.flag()),
            ),
    ))
}

fn journal_newer(facts: &Facts) -> Looked {
    let Journal::Newer(what) = known(&facts.start.journal)? else {
        return Ok(Vec::new());
    };
    let version = env!("CARGO_PKG_VERSION");
    let finding = Finding::new(format!(
        "a newer version than this one ({version}) wrote the journal, and this one does not serve it"
    ));
    one_if(Some(finding.shown(what).command(
        "Install the newer version, and start it",
        "chrysalis explain E0106",
    )))
}

fn topics_gone(facts: &Facts) -> Looked {
    let gone = known(&facts.start.topics_gone)?;
    let found = gone.iter().map(|path| {
        Finding::new(format!(
            "the server does not start, because its folder of topics {} is gone",
            path.display()
        ))
        .cure("Mount its disk, or put the folder back.")
        .command(
            "To lose what was in it",
            format!("chrysalis start --accept-loss{}", facts.flag()),
        )
    });
    Ok(found.collect())
}

fn limit_refuses(facts: &Facts) -> Looked {
    let limits = known(&facts.start.limits)?;
    one_if(limits.refused.as_ref().map(|why| {
        Finding::new(format!("a start from here is refused, because {why}"))
            .command("Raise it", "chrysalis explain E0111")
    }))
}

fn unit_failed(facts: &Facts) -> Looked {
    let unit = known(&facts.unit)?;
    let name = &unit.name;
    let finding = Finding::new(format!(
        "the server does not run: systemd has given up its unit {name}"
    ));
    let ended = unit.exit_code.map(|number| {
        let meaning = ExitCode::from_number(number).meaning();
        format!("it ended with {number}: {meaning}")
    });
    one_if(unit.failed.then(|| {
        finding
            .shown_by(ended)
            .command("See why", format!("journalctl -u {name} -n 50"))
            .command("Then start it again", format!("systemctl restart {name}"))
    }))
}

fn last_start_failed(facts: &Facts) -> Looked {
    let said = known(&facts.start.last_words)?;
    one_if(said.as_ref().map(|said| {
        let code = said.split_whitespace().next().unwrap_or_default();
        let log = shell_word(&facts.folder.log_file().display().to_string());
        Finding::new("the server does not run: its last start ended with an error")
            .shown(said)
            .command("What it means", format!("chrysalis explain {code}"))
            .command("What came before it", format!("tail -50 {log}"))
            .command("Then start it", facts.command("start"))
    }))
}

fn not_running(facts: &Facts) -> Looked {
    let stopped = facts.process == Process::Stopped;
    let finding = Finding::new("the server does not run, and nothing here keeps it from starting");
    one_if(stopped.then(|| finding.command("Start it", facts.command("start"))))
}

/// What is known, or why it is not.
fn known<T>(fact: &Known<T>) -> Result<&T, Unknown> {
    fact.as_ref().map_err(Unknown::clone)
}
