//! The difference between what is there and what should be.

use std::path::{Path, PathBuf};

use super::facts::{self, Facts};
use super::layout::{COMMAND, DEFAULT_PREFIX, Layout};
use super::step::{Bring, Step};
use super::wish::{NewServer, Source, Wish};
use super::{Result, proof, tools, units};
use crate::report::{Code, Error, shell_word};

/// What a new server needs: its journal's first files, and a binary.
const ROOM_MIN_MIB: u64 = 1024;

/// The changes that lead from what is there to what should be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which they are made.
    pub steps: Vec<Step>,
    /// What stays as it is, and should be known.
    pub notes: Vec<String>,
    /// What was asked for and is not done, because a server that is there says otherwise.
    pub not_applied: Vec<String>,
    /// Whether the server is new, so that a first message is to be sent.
    pub makes_server: bool,
}

/// The changes for this wish.
///
/// # Errors
/// It cannot be done on this host; nothing was touched.
pub fn plan(facts: &Facts, wish: &Wish) -> Result<Plan> {
    let layout = &wish.layout;
    let known = facts.server(wish.server.id);
    let is_configured = known.is_some_and(|server| server.is_configured);
    let others = facts
        .servers
        .iter()
        .filter(|server| server.id != wish.server.id);
    let number_before = u16::try_from(others.count()).unwrap_or(u16::MAX);
    let server = match is_configured {
        true => wish.server.clone(),
        false => wish.server.clone().with_ports_of(number_before),
    };
    check_host(facts, wish, is_configured)?;
    if !is_configured && wish.is_started {
        check_ports(&server)?;
    }
    let mut plan = Plan {
        makes_server: !is_configured,
        ..Plan::default()
    };
    let new_program = plan.program(facts, wish);
    plan.command(facts, wish);
    if new_program {
        plan.others(facts, wish);
    }
    if is_configured && let Some(told) = facts::differs(wish)? {
        let name = layout.server(server.id).name();
        plan.not_applied
            .push(format!("{name} is there already. {told}"));
    }
    plan.server(layout, server, is_configured);
    let new_units = match &wish.account {
        Some(account) => plan.units(facts, wish, account),
        None => false,
    };
    if wish.is_started {
        let runs = known.is_some_and(|server| server.runs);
        let is_outdated = known.is_some_and(|server| server.is_outdated);
        if !runs || new_program || new_units || is_outdated {
            plan.steps.push(Step::Bring(Bring {
                program: layout.program(),
                folder: layout.server(wish.server.id),
                unit: wish
                    .account
                    .as_ref()
                    .map(|_account| units::unit(wish.server.id)),
                again: runs,
                umask: wish.umask,
            }));
        }
    }
    Ok(plan)
}

/// What cannot work is refused before anything is touched.
fn check_host(facts: &Facts, wish: &Wish, is_configured: bool) -> Result<()> {
    let parent = facts.parent.display();
    if !facts.may_write {
        return Err(refused(
            Code::E0103,
            format!("{parent} cannot be written by this user"),
        )
        .cure("Run it with sudo, or choose a folder of your own with --prefix."));
    }
    if !is_configured && facts.room_mib < ROOM_MIN_MIB {
        let what = format!(
            "{parent} has {} MiB of room; {ROOM_MIN_MIB} MiB are needed",
            facts.room_mib
        );
        return Err(refused(Code::E0204, what)
            .cure("Make room, or choose a folder on another disk with --prefix."));
    }
    let Some(account) = &wish.account else {
        return match facts.is_root && facts.are_systemds() {
            true => {
                let what = format!(
                    "systemd runs the servers of {}",
                    wish.layout.prefix().display()
                );
                Err(refused(Code::E0114, what).cure("Leave --without-systemd away."))
            }
            false => Ok(()),
        };
    };
    let prefix = wish.layout.prefix();
    if !units::may_name(prefix) {
        let what = format!(
            "--prefix {}: letters, digits and _ . / + @ : , - only, because unit files name it",
            prefix.display()
        );
        return Err(refused(Code::E0310, what));
    }
    let systemd = facts.systemd.as_ref();
    if let Some(other) = systemd
        .filter(|it| !it.is_this_prefix)
        .and_then(|it| it.says.prefix.as_ref())
    {
        return Err(refused(
            Code::E0114,
            format!("the units of this host belong to {other}"),
        )
        .cure(format!(
            "Install there (--prefix {}), or give this one no units (--without-systemd).",
            shell_word(other)
        )));
    }
    if tools::account_number(account).is_none() && !tools::is_on_path("useradd") {
        return Err(refused(
            Code::E0114,
            format!("there is no account '{account}' and no useradd to make it"),
        )
        .cure("Name one that exists: --user NAME."));
    }
    Ok(())
}

fn check_ports(server: &NewServer) -> Result<()> {
    let Some((name, port, error)) = facts::refused_port(server) else {
        return Ok(());
    };
    let listen = server
        .listen
        .map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string());
    Err(match error.kind() {
        std::io::ErrorKind::AddrInUse => refused(
            Code::E0101,
            format!("port {port} is in use on {listen}"),
        )
        .cure(format!(
            "Choose another with --{name}-port, or stop what uses it: ss -ltnp 'sport = :{port}'"
        )),
        std::io::ErrorKind::AddrNotAvailable => {
            refused(Code::E0107, format!("{listen} is no address of this host"))
                .cure("`ip address` lists those that it has.")
        }
        _ => refused(Code::E0114, format!("port {port} on {listen}"))
            .because(error)
            .cure(format!("Choose another with --{name}-port.")),
    })
}

fn refused(code: Code, what: String) -> Error {
    Error::new(code, what).means("Nothing was changed.")
}

impl Plan {
    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// The binary, and the link to it; whether a server that runs has to be restarted for it.
    fn program(&mut self, facts: &Facts, wish: &Wish) -> bool {
        let Source { path, version } = &wish.source;
        let place = wish.layout.binary(version);
        let before = self.steps.len();
        if !facts::are_same_files(path, &place) {
            self.push(Step::PutBinary {
                from: path.clone(),
                replaces: place.exists(),
                to: place,
            });
        }
        let to = Layout::lead(version);
        if facts.lead.as_ref() != Some(&to) {
            let link = wish.layout.program();
            let led = facts.lead.as_ref();
            let led = led.map_or_else(String::new, |led| format!(" (it led to {})", led.display()));
            self.push(Step::Lead {
                told: format!("lead {} to version {version}{led}", link.display()),
                link,
                to,
                before: facts.lead.clone(),
            });
        }
        self.steps.len() > before
    }

    /// A system's program is on everybody's path; one in a folder of one's own is one's own matter.
    fn command(&mut self, facts: &Facts, wish: &Wish) {
        let is_systems =
            wish.account.is_some() || wish.layout.prefix() == Path::new(DEFAULT_PREFIX);
        if !facts.is_root || !is_systems {
            return;
        }
        let program = wish.layout.program();
        match &facts.command {
            None => self.push(Step::Lead {
                told: format!("lead {COMMAND} to {}", program.display()),
                link: PathBuf::from(COMMAND),
                to: program,
                before: None,
            }),
            Some(there) if *there != program => self.notes.push(format!(
                "{COMMAND} is another one, and stays: this one is {}",
                program.display()
            )),
            Some(_) => {}
        }
    }

    /// The servers beside this one, which the same program serves from their next start on.
    fn others(&mut self, facts: &Facts, wish: &Wish) {
        let others = facts.servers.iter();
        let others = others.filter(|it| it.id != wish.server.id && it.is_ours && it.runs);
        for other in others {
            self.notes.push(format!(
                "{} goes on with the program that it has; --id {} restarts it with the new one",
                other.folder.name(),
                other.id
            ));
        }
    }

    /// The server's folder, with what it needs.
    fn server(&mut self, layout: &Layout, server: NewServer, is_configured: bool) {
        let folder = layout.server(server.id);
        if !is_configured {
            let mut options = vec![format!("--id={}", server.id)];
            options.extend(server.options());
            if !server
                .topics
                .iter()
                .any(|topic| proof::is_check_topic(topic))
            {
                options.push(format!("--topic={}", proof::CHECK_TOPIC));
            }
            self.push(Step::MakeServer {
                program: layout.program(),
                folder: folder.clone(),
                options,
            });
        }
        let bin = folder.root().join("bin");
        for (path, mode) in [
            (bin.clone(), 0o755),
            (folder.data(), 0o750),
            (folder.logs(), 0o750),
        ] {
            // `init` makes the others.
            if !path.is_dir() && (is_configured || path == bin) {
                self.push(Step::MakeFolder { path, mode });
            }
        }
        for (name, text) in units::SCRIPTS {
            let mode = if name == "env.sh" { 0o644 } else { 0o755 };
            self.file(bin.join(name), text.to_owned(), mode);
        }
    }

    /// A file that is to hold this; whether it does not yet.
    fn file(&mut self, path: PathBuf, text: String, mode: u32) -> bool {
        if facts::has(&path, &text, mode) {
            return false;
        }
        let before = std::fs::read_to_string(&path).ok();
        self.push(Step::WriteFile {
            path,
            text,
            mode,
            before,
        });
        true
    }

    /// The account and the units; whether a server that runs has to be restarted for them.
    fn units(&mut self, facts: &Facts, wish: &Wish, account: &str) -> bool {
        let layout = &wish.layout;
        let number = tools::account_number(account);
        if number.is_none() {
            self.push(Step::MakeAccount {
                name: account.to_owned(),
                home: layout.prefix().to_owned(),
            });
        }
        let server = facts.server(wish.server.id);
        let owner = server.and_then(|server| server.owner);
        if owner.is_none() || owner != number {
            self.push(Step::Give {
                folder: layout.server(wish.server.id),
                account: account.to_owned(),
            });
        }
        let systemd = facts.systemd.clone().unwrap_or_default();
        let mut is_new = false;
        for (name, text) in units::files(layout, account) {
            is_new |= self.file(Path::new(units::FOLDER).join(name), text, 0o644);
        }
        if is_new || systemd.needs_reload {
            self.push(Step::ReloadUnits);
        }
        let target = (units::TARGET.to_owned(), systemd.target_is_enabled);
        let is_enabled = server.is_some_and(|server| server.is_enabled);
        let own = (units::unit(wish.server.id), is_enabled);
        for (unit, is_enabled) in [target, own] {
            if !is_enabled {
                self.push(Step::Enable { unit });
            }
        }
        is_new
    }
}
