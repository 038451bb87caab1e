//! What is there. Only this file and the steps look at the host, and this one changes nothing.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access, geteuid};

use super::layout::{COMMAND, Layout, is_ours};
use super::units::{self, Says};
use super::wish::{NewServer, Wish};
use super::{Result, tools};
use crate::appliance::PidFile;
use crate::config::{self, ServerFolder};

/// What is there of all that a plan may touch.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether this is root.
    pub(super) is_root: bool,
    /// The nearest folder above the prefix that exists, why it cannot be written, and its free space in MiB.
    pub(super) parent: PathBuf,
    pub(super) unwritable: Option<Errno>,
    pub(super) room_mib: u64,
    /// What `bin/chrysalis` leads to.
    pub(super) lead: Option<PathBuf>,
    /// What everybody's `chrysalis` leads to, which may be a file of its own.
    pub(super) command: Option<PathBuf>,
    /// The versions of which something is there.
    pub(super) versions: Vec<String>,
    pub(super) systemd: Option<Systemd>,
    /// All servers' folders, in order.
    pub(super) servers: Vec<Found>,
}

/// What systemd has of ours.
#[derive(Clone, Debug, Default)]
pub(super) struct Systemd {
    /// What the servers' unit says.
    pub(super) says: Says,
    /// Whether its servers are those of this prefix.
    pub(super) is_this_prefix: bool,
    pub(super) target_is_enabled: bool,
}

/// A server's folder that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its number.
    pub(super) id: u16,
    /// Its folder.
    pub(super) folder: ServerFolder,
    /// Whether it is one of ours.
    pub(super) is_ours: bool,
    /// Whether it has a configuration.
    pub(super) is_configured: bool,
    pub(super) runs: bool,
    /// Whether its process is systemd's.
    pub(super) is_active: bool,
    /// The ports of its configuration.
    pub(super) ports: Vec<u16>,
    /// Whether its process is of another binary than `bin/chrysalis` leads to, or older than its unit.
    pub(super) is_outdated: bool,
    pub(super) is_enabled: bool,
    /// The number of the account that has its data.
    pub(super) owner: Option<u32>,
}

impl Facts {
    /// Looks at the host, for what lies below this prefix.
    pub fn gather(layout: &Layout) -> Facts {
        let parent = layout.existing_parent().to_owned();
        let systemd = tools::has_systemd().then(|| Systemd::gather(layout));
        let server = |id| Found::gather(layout, systemd.as_ref(), id);
        Facts {
            is_root: geteuid().is_root(),
            unwritable: access(&parent, AccessFlags::W_OK).err(),
            room_mib: statvfs(&parent).map_or(0, |room| {
                room.blocks_available().saturating_mul(room.fragment_size()) >> 20
            }),
            parent,
            lead: fs::read_link(layout.program()).ok(),
            command: leads_to(Path::new(COMMAND)),
            versions: versions(layout),
            servers: layout.servers().into_iter().map(server).collect(),
            systemd,
        }
    }

    /// Whether the servers of this prefix are systemd's.
    pub(super) fn are_systemds(&self) -> bool {
        let systemd = self.systemd.as_ref();
        systemd.is_some_and(|systemd| systemd.is_this_prefix)
    }

    /// The account that the units of this prefix run servers as.
    pub fn account(&self) -> Option<&str> {
        let systemd = self.systemd.as_ref()?;
        systemd.says.account.as_deref()
    }

    /// Whether systemd is there and this user may tell it what to do.
    pub fn may_have_units(&self) -> bool {
        self.is_root && self.systemd.is_some()
    }

    /// The server with this number.
    pub(super) fn server(&self, id: u16) -> Option<&Found> {
        self.servers.iter().find(|server| server.id == id)
    }
}

impl Systemd {
    fn gather(layout: &Layout) -> Systemd {
        let service = fs::read_to_string(Path::new(units::FOLDER).join(units::TEMPLATE));
        let says = service.map_or_else(|_| Says::default(), |text| Says::of(&text));
        let is_this_prefix = says
            .prefix
            .as_deref()
            .is_some_and(|prefix| is_same(Path::new(prefix), layout.prefix()));
        Systemd {
            target_is_enabled: is_enabled(units::TARGET),
            says,
            is_this_prefix,
        }
    }
}

impl Found {
    fn gather(layout: &Layout, systemd: Option<&Systemd>, id: u16) -> Found {
        let folder = layout.server(id);
        let by_systemd = systemd.is_some_and(|systemd| systemd.is_this_prefix);
        let unit = units::unit(id);
        let configured = [folder.server_toml(), folder.server_ini(), folder.zoo_cfg()];
        // One that starts or stops is systemd's, too.
        let show = ["show", "-P", "ActiveState", &unit];
        let is_active = by_systemd
            && tools::word(&mut tools::systemctl(&show))
                .is_some_and(|state| !matches!(state.as_str(), "inactive" | "failed"));
        Found {
            id,
            is_ours: is_ours(&folder),
            is_configured: configured.iter().any(|path| path.exists()),
            runs: is_active || runs(layout, &folder),
            is_active,
            ports: ports(&folder),
            is_outdated: is_outdated(layout, &folder, by_systemd),
            is_enabled: by_systemd && is_enabled(&unit),
            owner: fs::metadata(folder.data()).ok().map(|data| data.uid()),
            folder,
        }
    }
}

/// The ports that a server's configuration names.
fn ports(folder: &ServerFolder) -> Vec<u16> {
    let Ok(config) = config::load(folder) else {
        return Vec::new();
    };
    let coordinator = config.coordinator.map(|it| it.port);
    let broker = config.broker.map(|it| it.port);
    let web = config.web.map(|it| it.port);
    [coordinator, broker, web].into_iter().flatten().collect()
}

fn is_enabled(unit: &str) -> bool {
    tools::says_yes(&mut tools::systemctl(&["--quiet", "is-enabled", unit]))
}

/// What cannot be asked counts as running: nothing is taken away from under a server.
fn runs(layout: &Layout, folder: &ServerFolder) -> bool {
    const DOES_NOT_RUN: [i32; 2] = [3, 10];
    match PidFile::holder(&folder.pid_file()) {
        Ok(Some(_)) | Err(_) => return true,
        Ok(None) if !folder.conf().is_dir() => return false,
        Ok(None) => {}
    }
    let mut status = Command::new(layout.program_or_own());
    let asked = tools::output(status.arg("status").arg(folder.root()), "ask a server");
    // Where there is no program to ask with, its lock has told already.
    asked.is_ok_and(|output| {
        let code = output.status.code();
        !code.is_some_and(|code| DOES_NOT_RUN.contains(&code))
    })
}

/// Whether a running server is to be restarted although nothing changes in this run: an earlier one was cut off before
/// it came to that.
fn is_outdated(layout: &Layout, folder: &ServerFolder, by_systemd: bool) -> bool {
    let Ok(Some(holder)) = PidFile::holder(&folder.pid_file()) else {
        return false;
    };
    let Some(process) = holder.pid.map(|pid| PathBuf::from(format!("/proc/{pid}"))) else {
        return false;
    };
    let other_binary = match (
        fs::read_link(process.join("exe")),
        fs::canonicalize(layout.program()),
    ) {
        (Ok(runs), Ok(is_there)) => runs != is_there,
        // It is not ours to look at, or nothing is installed to compare with.
        _ => false,
    };
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let unit = changed(&Path::new(units::FOLDER).join(units::TEMPLATE));
    // It writes the file when it starts.
    let older: Option<(SystemTime, SystemTime)> = changed(&folder.pid_file()).zip(unit);
    other_binary || (by_systemd && older.is_some_and(|(began, unit)| began < unit))
}

/// The versions below `versions/` that have a binary of ours, or the beginning of one, or nothing any more.
fn versions(layout: &Layout) -> Vec<String> {
    let entries = fs::read_dir(layout.versions())
        .into_iter()
        .flatten()
        .flatten();
    let is_version = |folder: &Path| {
        let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        is_empty || BINARY_NAMES.iter().any(|name| folder.join(name).is_file())
    };
    let mut names: Vec<String> = entries
        .filter(|entry| is_version(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// What a binary is called while it is copied.
pub(super) const NEW_BINARY: &str = "chrysalis.new";
/// What the one before is called until the run is over that has put another one of its version in its place.
pub(super) const OLD_BINARY: &str = "chrysalis.old";
/// All that we put into the folder of a version.
pub(super) const BINARY_NAMES: [&str; 3] = ["chrysalis", NEW_BINARY, OLD_BINARY];

/// What a link leads to, or the file itself; nothing where nothing is.
fn leads_to(path: &Path) -> Option<PathBuf> {
    let is_there = fs::symlink_metadata(path).is_ok();
    is_there.then(|| fs::read_link(path).unwrap_or_else(|_| path.to_owned()))
}

/// The same folder may have two names.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|path| Some(path) == real(other))
}

/// Whether two files hold the same bytes.
pub(super) fn are_same_files(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|about| about.len()).ok();
    length(one).is_some()
        && length(one) == length(other)
        && fs::read(one)
            .ok()
            .is_some_and(|bytes| Some(bytes) == fs::read(other).ok())
}

/// Whether a file is there with this text, and may be run if it has to.
pub(super) fn has(path: &Path, text: &str, mode: u32) -> bool {
    let is_mode = fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o777 == mode);
    is_mode && fs::read_to_string(path).is_ok_and(|there| there == text)
}

/// What is in a file, and its permissions.
pub(super) fn contents(path: &Path) -> Option<(Vec<u8>, u32)> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    Some((fs::read(path).ok()?, mode))
}

/// Why a server could not listen there: the port, and what the system says.
pub(super) fn refused_port(server: &NewServer) -> Option<(&'static str, u16, std::io::Error)> {
    let address = server.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let web = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut refused = server.ports().into_iter().map(|(name, port)| {
        let address = if name == "web" { web } else { address };
        let error = TcpListener::bind((address, port)).err();
        error.map(|error| (name, port, error))
    });
    refused.find_map(|refused| refused)
}

/// What `init` says of a server that is there when it is asked for this: nothing, if it is so already.
pub(super) fn differs(wish: &Wish) -> Result<Option<String>> {
    let options = wish.server.options();
    let program = wish.layout.program();
    if options.is_empty() || !program.exists() {
        return Ok(None);
    }
    let mut init = Command::new(program);
    init.arg("init")
        .arg(wish.layout.server(wish.server.id).root())
        .args(&options);
    let output = tools::output(&mut init, "compare a server with what is asked for")?;
    Ok((!output.status.success()).then(|| tools::said(&output).trim().to_owned()))
}
