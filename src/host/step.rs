//! One change of a host: how it is told, carried out, and undone.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::{Mode, umask};

use super::facts::NEW_BINARY;
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
        /// What was in it.
        before: Option<String>,
    },
    /// Give what a server writes to its account.
    Give {
        /// The server's folder.
        folder: ServerFolder,
        /// The account.
        account: String,
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
    /// Take a file, a link or a folder away, with all that is in it.
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
            Step::Give { folder, account } => {
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
            } => {
                let mut init = Command::new(program);
                init.arg("init").arg(folder.root()).args(options);
                tools::run(&mut init, &self.to_string())?;
            }
            Step::MakeFolder { path, mode } => make_folder(path, *mode)?,
            Step::WriteFile {
                path, text, mode, ..
            } => write_file(path, text, *mode)?,
            Step::Give { folder, account } => {
                let mut chown = Command::new("chown");
                chown.args(["-R", "--", &format!("{account}:")]);
                chown.args([folder.data(), folder.logs(), folder.conf()]);
                tools::run(&mut chown, &self.to_string())?;
            }
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

    /// Takes back what this step has made, or has begun to make. What it replaced or removed for good stays as it is.
    fn undo(&self) -> Result<()> {
        match self {
            Step::PutBinary { to, replaces, .. } => {
                if !replaces {
                    remove(to)?;
                }
                remove_empty(to.parent());
                remove_empty(to.parent().and_then(Path::parent));
            }
            Step::Lead { link, before, .. } => match before {
                Some(before) => lead(link, before)?,
                None => {
                    remove(link)?;
                    remove_empty(link.parent());
                }
            },
            Step::MakeAccount { name, .. } => {
                Step::RemoveAccount { name: name.clone() }.carry_out()?;
            }
            Step::MakeServer { folder, .. } => {
                for made in [folder.data(), folder.logs(), folder.conf()] {
                    remove(&made)?;
                }
                remove_empty(Some(folder.root()));
            }
            Step::MakeFolder { path, .. } => {
                remove(path)?;
                remove_empty(path.parent());
            }
            Step::WriteFile {
                path, mode, before, ..
            } => match before {
                Some(before) => write_file(path, before, *mode)?,
                None => {
                    remove(path)?;
                    remove_empty(path.parent());
                }
            },
            Step::Enable { unit } => {
                let disable = ["--quiet", "disable", unit];
                tools::run(&mut tools::systemctl(&disable), &format!("disable {unit}"))?;
            }
            Step::Bring(bring) if !bring.again => bring.end()?,
            // Read again after the files are as they were; served again after the program is.
            Step::ReloadUnits | Step::Bring(_) => {
                self.carry_out()?;
            }
            Step::Give { .. }
            | Step::Disable { .. }
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
        let program = shell_word(&self.program.to_string_lossy());
        let folder = shell_word(&self.folder.root().to_string_lossy());
        let what = format!("{name} did not start: {}\n{last_lines}", said.trim());
        let error = Error::new(Code::E0108, what.trim_end());
        Err(error.cure(format!("To see more: {program} run {folder}")))
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
        let told = tell(&format!("  {step}\n"));
        let made = told
            .map_err(|error| Error::new(Code::E0406, "tell what is done").because(error))
            .and_then(|()| step.carry_out());
        match made {
            Ok(said) if said.is_empty() => {}
            Ok(said) => {
                // Whoever does not listen any more is told at the next step.
                let _told = tell(&said);
            }
            Err(error) => {
                return Err(Failed {
                    error,
                    left: take_back(&steps[..=number]),
                });
            }
        }
    }
    Ok(())
}

/// Undoes steps from the last to the first, and gives back what could not be undone.
fn take_back(steps: &[Step]) -> Vec<String> {
    let now = steps.iter().rev().filter(|step| !step.is_undone_last());
    let last = steps.iter().rev().filter(|step| step.is_undone_last());
    let mut failures = Vec::new();
    for step in now.chain(last) {
        if let Err(error) = step.undo() {
            failures.push(format!("{step}: {error}"));
            // Nothing is taken away from under a server that runs.
            if matches!(step, Step::Bring(_)) {
                break;
            }
        }
    }
    failures
}

fn put_binary(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    let new = folder.join(NEW_BINARY);
    let copied = fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, &new))
        .and_then(|_bytes| set_mode(&new, 0o755))
        .and_then(|()| sync(&new))
        .and_then(|()| fs::rename(&new, to))
        .and_then(|()| sync(folder));
    copied.map_err(|error| tools::refused("put the binary to", to, error))
}

/// In one step: there is always a program.
fn lead(link: &Path, to: &Path) -> Result<()> {
    let new = link.with_extension("new");
    let folder = link.parent().unwrap_or(Path::new("/"));
    let made = fs::create_dir_all(folder)
        .and_then(|()| remove_if_there(&new))
        .and_then(|()| symlink(to, &new))
        .and_then(|()| fs::rename(&new, link))
        .and_then(|()| sync(folder));
    made.map_err(|error| tools::refused("make the link", link, error))
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let above = path.parent().unwrap_or(Path::new("/"));
    let made = fs::create_dir_all(above).and_then(|()| {
        match fs::DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    });
    made.and_then(|()| set_mode(path, mode))
        .map_err(|error| tools::refused("make", path, error))
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| set_mode(&new, mode))
        .and_then(|()| sync(&new))
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| sync(folder));
    written.map_err(|error| tools::refused("write", path, error))
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

/// A folder that somebody has put something into stays.
pub(super) fn remove_empty(folder: Option<&Path>) {
    if let Some(folder) = folder.filter(|folder| *folder != Path::new(units::FOLDER)) {
        let _stays = fs::remove_dir(folder);
    }
}
