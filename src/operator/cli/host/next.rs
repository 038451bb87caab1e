//! What to do with a server that was just installed.

use std::io::Write;
use std::path::Path;

use crate::appliance::control::{Request, Response};
use crate::host::Wish;
use crate::operator::cli::{place, server};

/// Tells how it is looked after and used, as commands.
pub(super) fn tell(wish: &Wish, is_new: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let program = wish.layout.program();
    let folder = wish.layout.server(wish.server.id);
    let name = folder.name();
    let command = match is_on_the_path(&program) {
        true => "chrysalis".to_owned(),
        false => place::word(&program.to_string_lossy()),
    };
    let at = place::word(&folder.root().to_string_lossy());
    let log = place::word(&folder.log_file().to_string_lossy());
    let mut steps: Vec<(&str, String)> = Vec::new();
    if !wish.is_started {
        let start = match wish.account {
            Some(_) => format!("systemctl start chrysalis@{name}"),
            None => format!("{command} start {at}"),
        };
        steps.push(("start it", start));
    }
    let restart = match wish.account {
        Some(_) => {
            steps.extend([
                ("its state", format!("systemctl status chrysalis@{name}")),
                ("its log", format!("journalctl -u chrysalis@{name}")),
                (
                    "stop it",
                    format!("systemctl stop chrysalis@{name}    (start, restart, reload the same)"),
                ),
            ]);
            format!("{command} config check {at} && systemctl restart chrysalis@{name}")
        }
        None => {
            steps.extend([
                ("its log", format!("less {log}")),
                (
                    "stop it",
                    format!("{command} stop {at}    (start, restart, reload the same)"),
                ),
                (
                    "after a reboot",
                    format!("{command} start {at}    (crontab -e: @reboot and this)"),
                ),
            ]);
            format!("{command} restart {at}")
        }
    };
    // As they are, not as they were asked for: an earlier install may have chosen otherwise.
    let ports = match server::ask(&folder, &Request::Status) {
        Ok(Response::Status(status)) => format!(" ({})", status.ports),
        _ => String::new(),
    };
    steps.extend([
        ("how it does", format!("{command} status {at}")),
        ("a topic", format!("{command} topic create {at} orders:4")),
        (
            "send",
            format!("{command} produce --folder {at} orders hello"),
        ),
        (
            "receive",
            format!("{command} consume --folder {at} orders --follow"),
        ),
        (
            "Java clients",
            format!("their ZooKeeper address is this coordinator{ports}"),
        ),
    ]);
    if is_new && wish.server.listen.is_none() {
        let open = format!(
            "only this host can connect: set listen in {at}/conf/server.toml, then {restart}"
        );
        steps.push(("open it", open));
    }
    let prefix = place::word(&wish.layout.prefix().to_string_lossy());
    steps.push((
        "take it away",
        format!("{command} host remove --prefix {prefix}    (--keep-data leaves conf and data)"),
    ));
    writeln!(out, "\nNext:")?;
    for (what, how) in steps {
        writeln!(out, "  {what:<15} {how}")?;
    }
    Ok(())
}

/// Whether who types the program's name gets this one.
fn is_on_the_path(program: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("chrysalis"))
        .find(|candidate| candidate.is_file());
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    found.is_some_and(|found| real(&found).is_some() && real(&found) == real(program))
}
