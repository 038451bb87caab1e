//! The process of a server that runs.

use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Facts, Process, Running, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::report::shell_word;

pub(super) static CHECKS: [Check; 4] = [
    Check {
        name: "suspended",
        severity: Severity::Broken,
        means: "The process is suspended (SIGSTOP, Ctrl-Z, a debugger): it serves nobody.",
        cure: "`kill -CONT` it.",
        explains: &["not-answering"],
        look: suspended,
    },
    Check {
        name: "not-answering",
        severity: Severity::Broken,
        means: "The process is there and does not answer: it starts, stops or hangs.",
        cure: "Look at the end of its log; restart it if it hangs.",
        explains: &[],
        look: not_answering,
    },
    Check {
        name: "program-replaced",
        severity: Severity::Hint,
        means: "The file of the running program was replaced or removed: the next start runs another one.",
        cure: "Restart the server.",
        explains: &["version-differs"],
        look: program_replaced,
    },
    Check {
        name: "version-differs",
        severity: Severity::Hint,
        means: "The server runs another version than this command.",
        cure: "Restart the server, or use the command that belongs to it.",
        explains: &[],
        look: version_differs,
    },
];

fn running(facts: &Facts) -> Result<&Running, Unknown> {
    match &facts.process {
        Process::Running(running) => Ok(running),
        Process::Stopped => Err(Unknown::DoesNotApply),
    }
}

fn process(running: &Running) -> String {
    running.pid.map_or_else(
        || "its process".to_owned(),
        |pid| format!("its process {pid}"),
    )
}

fn suspended(facts: &Facts) -> Looked {
    let running = running(facts)?;
    let finding = || {
        let finding = Finding::new(format!(
            "nothing is served, because {} is suspended",
            process(running)
        ));
        match running.pid {
            Some(pid) => finding.command("Resume it", format!("kill -CONT {pid}")),
            None => finding,
        }
    };
    Ok(running.suspended.then(finding).into_iter().collect())
}

fn not_answering(facts: &Facts) -> Looked {
    let running = running(facts)?;
    let log = shell_word(&facts.folder.log_file().display().to_string());
    let finding = |why: &String| {
        Finding::new(format!(
            "{} runs and does not answer: it starts, stops or hangs",
            process(running)
        ))
        .shown(why)
        .command("See what it does", format!("tail -50 {log}"))
        .command("If it hangs, restart it", facts.command("restart"))
    };
    Ok(running.silent.iter().map(finding).collect())
}

fn program_replaced(facts: &Facts) -> Looked {
    let gone = running(facts)?.program_is_gone;
    let gone = gone.ok_or_else(|| {
        Unknown::Because("only the server's user and root may see which program it runs".to_owned())
    })?;
    let finding = Finding::new(
        "the file of the running program was replaced or removed: the next start runs another one",
    );
    let finding = finding.command("Restart it when it suits you", facts.command("restart"));
    Ok(gone.then_some(finding).into_iter().collect())
}

fn version_differs(facts: &Facts) -> Looked {
    let runs = &facts.status()?.version;
    let own = env!("CARGO_PKG_VERSION");
    let finding = Finding::new(format!(
        "the server runs version {runs}, and this command is version {own}"
    ));
    let finding = finding.command(
        "If that one is to serve, restart it",
        facts.command("restart"),
    );
    Ok((runs != own).then_some(finding).into_iter().collect())
}
