//! One change of a host: how it is told, carried out, and undone.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::{Mode, umask};

use super::facts::{NEW_BINARY, OLD_BINARY};
use super::layout::COMMAND;
use super::{Result, tools, units};
use crate::config::ServerFolder;
use crate::report::{Code, Error, shell_word};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Copy the binary to its place below `versions/`.
    PutBinary {
        /// From where.
        from: PathBuf,
        /// Its place.
        to: PathBuf,
        /// Whether another file is there, which is of the same version and not the same.
        replaces: bool,
    },
    /// Make a link lead somewhere.
    Lead {
        /// The link.
        link: PathBuf,
        /// What it is to lead to.
        to: PathBuf,
        /// What it led to before.
        before: Option<PathBuf>,
        /// What it means, for people.
        told: String,
    },
    /// Make the account that the units run servers as.
    MakeAccount {
        /// Its name.
        name: String,
        /// Its home.
        home: PathBuf,
    },
    /// Make a server, with its configuration.
    MakeServer {
        /// The program to make it with.
        program: PathBuf,
        /// Its folder.
        folder: ServerFolder,
        /// What is chosen for it, as options of `init`.
        options: Vec<String>,
        /// What of it is there already, and is not taken back.
        known: Vec<PathBuf>,
    },
    /// Make a folder.
    MakeFolder {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Write a file as a whole.
    WriteFile {
        /// Which.
        path: PathBuf,
        /// What is in it.
        text: String,
        /// Its permissions.
        mode: u32,
        /// What was in it, and its permissions.
        before: Option<(Vec<u8>, u32)>,
    },
    /// Give what a server writes to its account.
    Give {
        /// The server's folder.
        folder: ServerFolder,
        /// The account.
        account: String,
        /// Whose it was before, if anybody's.
        before: Option<u32>,
    },
    /// Have systemd read its files again.
    ReloadUnits,
    /// Have a unit started with the host.
    Enable {
        /// Which.
        unit: String,
    },
    /// Start a server, or restart one.
    Bring(Bring),
    /// Stop a server's unit, for good.
    Disable {
        /// Which.
        unit: String,
    },
    /// Stop a server.
    Stop {
        /// The program to stop it with.
        program: PathBuf,
        /// Its folder.
        folder: ServerFolder,
    },
    /// Take a file, a link or a folder away, with all that is in it. What a link leads to stays.
    Remove {
        /// Which.
        path: PathBuf,
    },
    /// Take an account away.
    RemoveAccount {
        /// Its name.
        name: String,
    },
}

/// A server that is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bring {
    /// The program.
    pub program: PathBuf,
    /// The server's folder.
    pub folder: ServerFolder,
    /// Its unit, where systemd runs it.
    pub unit: Option<String>,
    /// Whether it runs already, and what is new needs another process.
    pub again: bool,
    /// The mask of permissions that it gets where no unit starts it.
    pub umask: u32,
}

impl fmt::Display for Step {
    /// As a plan tells it: "would ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::PutBinary { to, .. } => write!(f, "put the binary to {}", to.display()),
            Step::Lead { told, .. } => f.write_str(told),
            Step::MakeAccount { name, .. } => write!(f, "make the system account {name}"),
            Step::MakeServer { folder, .. } => write!(f, "make {}", folder.root().display()),
            Step::MakeFolder { path, .. } => write!(f, "make {}", path.display()),
            Step::WriteFile { path, .. } => write!(f, "write {}", path.display()),
            Step::Give {
                folder, account, ..
            } => {
                write!(
                    f,
                    "give {}, data and logs to {account}",
                    folder.conf().display()
                )
            }
            Step::ReloadUnits => f.write_str("have systemd read its files again"),
            Step::Enable { unit } => write!(f, "enable {unit}"),
            Step::Bring(bring) => write!(f, "{} {}", bring.verb(), bring.folder.name()),
            Step::Disable { unit } => write!(f, "stop and disable {unit}"),
            Step::Stop { folder, .. } => write!(f, "stop {}", folder.name()),
            Step::Remove { path } => write!(f, "remove {}", path.display()),
            Step::RemoveAccount { name } => write!(f, "remove the system account {name}"),
        }
    }
}

impl Step {
    /// Makes the change, and gives back what was said of it. Each can be made again where it was cut off.
    fn carry_out(&self) -> Result<String> {
        match self {
            Step::PutBinary { from, to, .. } => put_binary(from, to)?,
            Step::Lead { link, to, .. } => lead(link, to)?,
            Step::MakeAccount { name, home } => {
                let mut useradd = Command::new("useradd");
                useradd.args(["--system", "--user-group", "--no-create-home", "--home-dir"]);
                useradd
                    .arg(home)
                    .args(["--shell", "/usr/sbin/nologin", name]);
                tools::run(&mut useradd, &self.to_string())?;
            }
            Step::MakeServer {
                program,
                folder,
                options,
                ..
            } => {
                let mut init = Command::new(program);
                init.arg("init").arg(folder.root()).args(options);
                tools::run(&mut init, &self.to_string())?;
            }
            Step::MakeFolder { path, mode } => make_folder(path, *mode)?,
            Step::WriteFile {
                path, text, mode, ..
            } => write_file(path, text.as_bytes(), *mode)?,
            Step::Give {
                folder, account, ..
            } => give(folder, &format!("{account}:"), &self.to_string())?,
            Step::ReloadUnits => {
                tools::run(&mut tools::systemctl(&["daemon-reload"]), &self.to_string())?;
            }
            Step::Enable { unit } => {
                let enable = ["--quiet", "enable", unit];
                tools::run(&mut tools::systemctl(&enable), &self.to_string())?;
            }
            Step::Bring(bring) => return bring.carry_out(),
            Step::Disable { unit } => {
                let disable = ["--quiet", "disable", "--now", unit];
                tools::run(&mut tools::systemctl(&disable), &self.to_string())?;
            }
            Step::Stop { program, folder } => stop(program, folder)?,
            Step::Remove { path } => remove(path)?,
            Step::RemoveAccount { name } => {
                tools::run(Command::new("userdel").arg(name), &self.to_string())?;
            }
        }
        Ok(String::new())
    }

    /// Takes back what this step has made, and nothing else: what was there before, and what somebody has put there since, stays.
    fn undo(&self) -> Result<()> {
        match self {
            Step::PutBinary { to, replaces, .. } => {
                match replaces {
                    true => put_back(to)?,
                    false => remove(to)?,
                }
                remove_empty(to.parent());
                remove_empty(to.parent().and_then(Path::parent));
            }
            Step::Lead {
                link, to, before, ..
            } => match before {
                Some(before) => lead(link, before)?,
                None if fs::read_link(link).is_ok_and(|leads| leads == *to) => {
                    remove(link)?;
                    remove_empty(link.parent());
                }
                None => {}
            },
            Step::MakeAccount { name, .. } => {
                Step::RemoveAccount { name: name.clone() }.carry_out()?;
            }
            Step::MakeServer { folder, known, .. } => {
                remove(&folder.server_toml())?;
                for made in [folder.data(), folder.logs(), folder.conf()] {
                    if !known.contains(&made) {
                        remove(&made)?;
                    }
                }
                remove_empty(Some(folder.root()));
            }
            Step::MakeFolder { path, .. } => {
                remove_empty(Some(path));
                remove_empty(path.parent());
            }
            Step::WriteFile {
                path, text, before, ..
            } => match before {
                Some((before, mode)) => write_file(path, before, *mode)?,
                None if fs::read(path).is_ok_and(|there| there == text.as_bytes()) => {
                    remove(path)?;
                    remove_empty(path.parent());
                }
                None => {}
            },
            Step::Give { folder, before, .. } => {
                if let Some(owner) = before {
                    give(folder, &owner.to_string(), "give it back")?;
                }
            }
            Step::Enable { unit } => {
                let disable = ["--quiet", "disable", unit];
                tools::run(&mut tools::systemctl(&disable), &format!("disable {unit}"))?;
            }
            Step::Bring(bring) if !bring.again => bring.end()?,
            // Read again after the files are as they were; served again after the program is.
            Step::ReloadUnits | Step::Bring(_) => {
                self.carry_out()?;
            }
            Step::Disable { .. }
            | Step::Stop { .. }
            | Step::Remove { .. }
            | Step::RemoveAccount { .. } => {}
        }
        Ok(())
    }

    /// Whether undoing it has to wait until the others are undone.
    fn is_undone_last(&self) -> bool {
        match self {
            Step::ReloadUnits => true,
            Step::Bring(bring) => bring.again,
            _ => false,
        }
    }
}

impl Bring {
    fn verb(&self) -> &'static str {
        match self.again {
            true => "restart",
            false => "start",
        }
    }

    fn carry_out(&self) -> Result<String> {
        let name = self.folder.name();
        let mut command = match &self.unit {
            Some(unit) => tools::systemctl(&[self.verb(), unit]),
            None => {
                let mut command = Command::new(&self.program);
                command.arg(self.verb()).arg(self.folder.root());
                command
            }
        };
        let own = umask(Mode::from_bits_truncate(self.umask));
        let output = tools::output(&mut command, &format!("{} {name}", self.verb()));
        umask(own);
        let output = output?;
        let said = tools::said(&output);
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let last_lines = self.last_lines();
        let what = format!("{name} did not start: {}\n{last_lines}", said.trim());
        let error = Error::new(Code::E0108, what.trim_end());
        Err(match self.again {
            true => error.means("The version before serves again, if it can."),
            false => error.cure(format!(
                "To look closer, lay it out alone (--no-start), and run it: chrysalis run {}",
                shell_word(&self.folder.root().to_string_lossy())
            )),
        })
    }

    /// The end of what it wrote, for whoever looks for the reason.
    fn last_lines(&self) -> String {
        let lines = match &self.unit {
            Some(unit) => Command::new("journalctl")
                .args(["--no-pager", "--quiet", "-o", "cat", "-n", "20", "-u", unit])
                .output(),
            None => Command::new("tail")
                .args(["-n", "20", "--"])
                .arg(self.folder.log_file())
                .output(),
        };
        lines.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    fn end(&self) -> Result<()> {
        match &self.unit {
            Some(unit) => tools::run(
                &mut tools::systemctl(&["stop", unit]),
                &format!("stop {unit}"),
            )
            .map(|_said| ()),
            None => stop(&self.program, &self.folder),
        }
    }
}

/// What went wrong, and what was done about it.
#[derive(Debug)]
pub struct Failed {
    /// The step that could not be made, and why.
    pub error: Error,
    /// What this run had made and could not take back again.
    pub left: Vec<String>,
}

/// Makes the changes one after the other; `tell` is given each before it is made, and what was said of it. If one
/// cannot be made, all that this run has made is taken back.
///
/// # Errors
/// One could not be made.
pub fn carry_out(
    steps: &[Step],
    mut tell: impl FnMut(&str) -> io::Result<()>,
) -> std::result::Result<(), Failed> {
    for (number, step) in steps.iter().enumerate() {
        // Whoever does not listen any more wants it done all the same.
        let _told = tell(&format!("  {step}\n"));
        match step.carry_out() {
            Ok(said) if said.is_empty() => {}
            Ok(said) => {
                let _told = tell(&said);
            }
            Err(error) => {
                // Of most steps that fail nothing is there.
                let is_begun = matches!(step, Step::Bring(_) | Step::MakeServer { .. });
                let made = &steps[..number + usize::from(is_begun)];
                return Err(Failed {
                    error,
                    left: take_back(made),
                });
            }
        }
    }
    for step in steps {
        if let Step::PutBinary { to, .. } = step {
            // Nobody goes back to it any more.
            let _gone = remove_if_there(&to.with_file_name(OLD_BINARY));
        }
    }
    Ok(())
}

/// Undoes steps from the last to the first, and gives back what could not be undone. Units are read again and servers started
/// again when all else is as it was.
fn take_back(steps: &[Step]) -> Vec<String> {
    let now = steps.iter().rev().filter(|step| !step.is_undone_last());
    let is_reload = |step: &&Step| matches!(step, Step::ReloadUnits);
    let reload = steps.iter().filter(is_reload);
    let last = steps.iter().filter(|step| step.is_undone_last());
    let again = last.filter(|step| !matches!(step, Step::ReloadUnits));
    let mut failures = Vec::new();
    for step in now.chain(reload).chain(again) {
        if let Err(error) = step.undo() {
            failures.push(format!("{step}: {error}"));
            // Nothing is taken away from under a server that runs.
            if matches!(step, Step::Bring(bring) if !bring.again) {
                break;
            }
        }
    }
    failures
}

/// What is there keeps a second name until the run is over.
fn put_binary(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    let (new, old) = (folder.join(NEW_BINARY), folder.join(OLD_BINARY));
    let kept = || match to.exists() {
        true => remove_if_there(&old).and_then(|()| fs::hard_link(to, &old)),
        false => Ok(()),
    };
    let copied = make_folders(folder)
        .and_then(|()| File::open(from))
        .and_then(|mut from| write_new(&new, 0o755, |file| io::copy(&mut from, file).map(|_| ())))
        .and_then(|()| kept())
        .and_then(|()| fs::rename(&new, to))
        .and_then(|()| sync(folder));
    copied.map_err(|error| {
        let _gone = remove_if_there(&new);
        tools::refused("put the binary to", to, error)
    })
}

fn put_back(to: &Path) -> Result<()> {
    let old = to.with_file_name(OLD_BINARY);
    let put = if old.exists() {
        fs::rename(&old, to)
    } else {
        Ok(())
    };
    put.map_err(|error| tools::refused("put the former binary back to", to, error))
}

/// Writes a file that is nobody's yet: no link that somebody has left there is followed.
fn write_new(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    remove_if_there(path)?;
    let mut file = File::options().write(true).create_new(true).open(path)?;
    write(&mut file)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Folders that everybody may look into.
fn make_folders(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
}

/// The account's last of all is the data: by that one knows whether all was given.
fn give(folder: &ServerFolder, to: &str, what: &str) -> Result<()> {
    let mut chown = Command::new("chown");
    chown.args(["-R", "--", to]);
    for path in [folder.conf(), folder.logs(), folder.data()] {
        if path.exists() {
            // One that is a link leads to a folder of the server's all the same; links inside stay whose they are.
            chown.arg(path.join("."));
        }
    }
    tools::run(&mut chown, what).map(|_said| ())
}

/// In one step: there is always a program.
fn lead(link: &Path, to: &Path) -> Result<()> {
    let new = beside(link);
    let folder = link.parent().unwrap_or(Path::new("/"));
    let made = make_folders(folder)
        .and_then(|()| remove_if_there(&new))
        .and_then(|()| symlink(to, &new))
        .and_then(|()| fs::rename(&new, link))
        .and_then(|()| sync(folder));
    made.map_err(|error| {
        let _gone = remove_if_there(&new);
        tools::refused("make the link", link, error)
    })
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let above = path.parent().unwrap_or(Path::new("/"));
    let made =
        make_folders(above).and_then(|()| match fs::DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        });
    made.and_then(|()| set_mode(path, mode))
        .map_err(|error| tools::refused("make", path, error))
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let new = beside(path);
    let written = make_folders(folder)
        .and_then(|()| write_new(&new, mode, |file| file.write_all(bytes)))
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| sync(folder));
    written.map_err(|error| {
        let _gone = remove_if_there(&new);
        tools::refused("write", path, error)
    })
}

/// What a file or a link is called while it is made.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    PathBuf::from(new)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn stop(program: &Path, folder: &ServerFolder) -> Result<()> {
    let mut stop = Command::new(program);
    let what = format!("stop {}", folder.name());
    tools::run(stop.arg("stop").arg(folder.root()), &what).map(|_said| ())
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        _ => remove_if_there(path),
    };
    removed.map_err(|error| tools::refused("remove", path, error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A folder that somebody has put something into stays, and so do the system's.
pub(super) fn remove_empty(folder: Option<&Path>) {
    let is_systems = |folder: &&Path| {
        *folder == Path::new(units::FOLDER) || Some(*folder) == Path::new(COMMAND).parent()
    };
    if let Some(folder) = folder.filter(|folder| !is_systems(folder)) {
        let _stays = fs::remove_dir(folder);
    }
}
