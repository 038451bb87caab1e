//! The difference between what is there and what should be.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::facts::{self, Facts, Found};
use super::layout::{COMMAND, DEFAULT_PREFIX, Layout};
use super::step::{Bring, Step};
use super::wish::{NewServer, Source, Wish};
use super::{Result, proof, tools, units};
use crate::report::{Code, Error, shell_word};

/// What a new server needs: its journal's first files, and a binary.
const ROOM_MIN_MIB: u64 = 1024;

/// What stays free beside a new binary: servers go on writing meanwhile.
const RESERVE_MIB: u64 = 128;

/// The changes that lead from what is there to what should be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which they are made.
    pub steps: Vec<Step>,
    /// What stays as it is, and should be known.
    pub notes: Vec<String>,
    /// What was asked for and is not done, because a server that is there says otherwise.
    pub not_applied: Vec<String>,
    /// Whether the server is new.
    pub makes_server: bool,
    /// Whether a first message is to be sent and read back: what has data already has messages of its own.
    pub proves: bool,
}

/// The changes for this wish.
///
/// # Errors
/// It cannot be done on this host; nothing was touched.
pub fn plan(facts: &Facts, wish: &Wish) -> Result<Plan> {
    let layout = &wish.layout;
    let known = facts.server(wish.server.id);
    let is_configured = known.is_some_and(|server| server.is_configured);
    let server = match is_configured {
        true => wish.server.clone(),
        false => with_free_ports(facts, &wish.server),
    };
    check_host(facts, wish, is_configured)?;
    if let Some(known) = known {
        check_server(facts, wish, known)?;
    }
    check_places(wish)?;
    if !is_configured && wish.is_started {
        check_ports(&server)?;
    }
    let data = layout.server(server.id).data();
    let mut plan = Plan {
        makes_server: !is_configured,
        proves: !is_configured && wish.is_started && !data.exists(),
        ..Plan::default()
    };
    let new_program = plan.program(facts, wish);
    plan.command(facts, wish);
    plan.others(facts, wish, new_program);
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
            if wish.account.is_some() {
                // An earlier run may have written a unit and been cut off.
                plan.steps.push(Step::ReloadUnits);
            }
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
    match facts.unwritable {
        None => {}
        Some(Errno::EROFS) => {
            let what = format!("{parent} is on a file system that can only be read");
            return Err(refused(Code::E0103, what).cure("Choose another folder with --prefix."));
        }
        Some(_) => {
            let what = format!("{parent} cannot be written by this user");
            return Err(refused(Code::E0103, what)
                .cure("Run it with sudo, or choose a folder of your own with --prefix."));
        }
    }
    let binary_mib = std::fs::metadata(&wish.source.path).map_or(0, |it| it.len() >> 20);
    let place = wish.layout.binary(&wish.source.version);
    if !facts::are_same_files(&wish.source.path, &place)
        && facts.room_mib < binary_mib + RESERVE_MIB
    {
        let needed = binary_mib + RESERVE_MIB;
        let what = format!(
            "{parent} has {} MiB of room; {needed} MiB are needed",
            facts.room_mib
        );
        return Err(refused(Code::E0204, what).cure("Make room. The servers need some, too."));
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

/// Whether a server that is there may be looked after from here.
fn check_server(facts: &Facts, wish: &Wish, known: &Found) -> Result<()> {
    let shown = known.folder.root().display();
    if known.is_configured && !known.is_ours {
        return Err(refused(
            Code::E0114,
            format!("{shown} is a server of the originals, or somebody else's"),
        )
        .cure(
            "Choose another folder with --prefix; docs/moving.md says how its data is taken over.",
        ));
    }
    let own = nix::unistd::geteuid().as_raw();
    let name = known.folder.name();
    let Some(account) = &wish.account else {
        return match known.owner {
            Some(owner) if facts.is_root && owner != own => Err(refused(
                Code::E0103,
                format!("{shown}/data belongs to user {owner}, and this is root"),
            )
            .cure(format!("Run it as that user: sudo -u '#{owner}' ..."))),
            _ => Ok(()),
        };
    };
    if known.runs && !known.is_active {
        return Err(refused(
            Code::E0114,
            format!("{name} runs, and systemd did not start it"),
        )
        .cure(format!(
            "Stop it first: {} stop {shown}",
            wish.layout.program().display()
        )));
    }
    let number = tools::account_number(account);
    if let Some(owner) = known
        .owner
        .filter(|owner| *owner != own && Some(*owner) != number)
    {
        return Err(refused(
            Code::E0114,
            format!("{shown}/data belongs to user {owner}, not to {account}"),
        )
        .cure("Name that user (--user), or give the folder away first (chown -R)."));
    }
    let systemd = facts.systemd.as_ref().filter(|it| it.is_this_prefix);
    let runs_as = systemd.and_then(|systemd| systemd.says.account.as_ref());
    let is_alone = facts
        .servers
        .iter()
        .all(|it| it.id == known.id || !it.is_ours);
    match runs_as.filter(|runs_as| *runs_as != account && !is_alone) {
        Some(runs_as) => Err(refused(
            Code::E0114,
            format!("the servers of this host run as {runs_as}, from one unit for all"),
        )
        .cure("Leave --user away.")),
        None => Ok(()),
    }
}

/// Whether something else is where a file, a link or a folder of ours is to be.
fn check_places(wish: &Wish) -> Result<()> {
    let layout = &wish.layout;
    if layout.prefix().exists() && !layout.prefix().is_dir() {
        let what = format!("--prefix {}: it is no folder", layout.prefix().display());
        return Err(refused(Code::E0310, what));
    }
    let program = layout.program();
    if program
        .symlink_metadata()
        .is_ok_and(|there| !there.is_symlink())
    {
        let what = format!(
            "{} is somebody else's: it is no link to a version",
            program.display()
        );
        return Err(refused(Code::E0114, what)
            .cure("Move it away, or choose another folder with --prefix."));
    }
    let folder = layout.server(wish.server.id);
    for path in [
        folder.conf(),
        folder.data(),
        folder.logs(),
        folder.root().join("bin"),
    ] {
        if path.is_dir() || path.symlink_metadata().is_err() {
            continue;
        }
        let what = match std::fs::read_link(&path) {
            Ok(leads) => format!(
                "{} leads to {}, which is not there",
                path.display(),
                leads.display()
            ),
            Err(_) => format!("{} is no folder", path.display()),
        };
        return Err(refused(Code::E0114, what).cure("Is its disk mounted? Otherwise move it away."));
    }
    Ok(())
}

/// The first ports that no other server of this host has in its configuration, for those that were not chosen.
fn with_free_ports(facts: &Facts, server: &NewServer) -> NewServer {
    let others = facts.servers.iter().filter(|it| it.id != server.id);
    let used: Vec<u16> = others.flat_map(|it| &it.ports).copied().collect();
    let is_free = |it: &NewServer| it.ports().iter().all(|(_, port)| !used.contains(port));
    let mut candidates = (0..SERVERS_MAX).map(|n| server.clone().with_ports_of(n));
    candidates.find(is_free).unwrap_or_else(|| server.clone())
}

/// More servers than a host has.
const SERVERS_MAX: u16 = 254;

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
        let program = wish.layout.program();
        let is_systems =
            wish.account.is_some() || wish.layout.prefix() == Path::new(DEFAULT_PREFIX);
        if !facts.is_root || !is_systems || program == Path::new(COMMAND) {
            return;
        }
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

    /// Servers that run and go on with the program that they have: the others, and this one where it is not to be started.
    fn others(&mut self, facts: &Facts, wish: &Wish, new_program: bool) {
        let go_on = |it: &&Found| {
            let is_left = it.id != wish.server.id || !wish.is_started;
            is_left && it.is_ours && it.runs && (new_program || it.is_outdated)
        };
        for server in facts.servers.iter().filter(go_on) {
            self.notes.push(format!(
                "{} goes on with the program that it has; --id {} restarts it with the new one",
                server.folder.name(),
                server.id
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
                known: [folder.conf(), folder.data(), folder.logs()]
                    .into_iter()
                    .filter(|path| path.exists())
                    .collect(),
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
        let before = facts::contents(&path);
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
        // What root makes in this run is root's at first.
        let makes = |step: &Step| matches!(step, Step::MakeServer { .. } | Step::MakeFolder { .. });
        if owner.is_none() || owner != number || self.steps.iter().any(makes) {
            self.push(Step::Give {
                folder: layout.server(wish.server.id),
                account: account.to_owned(),
                before: owner,
            });
        }
        let systemd = facts.systemd.clone().unwrap_or_default();
        // One that is made gets a group of its name.
        let group = tools::account_group(account).unwrap_or_else(|| account.to_owned());
        let mut is_new = false;
        for (name, text) in units::files(layout, account, &group) {
            is_new |= self.file(Path::new(units::FOLDER).join(name), text, 0o644);
        }
        if is_new && !wish.is_started {
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
