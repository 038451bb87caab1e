//! Text to checked options, once.
//!
//! Two honest stages: [`file::File`] is what the operator wrote (every key optional, nothing computed,
//! each with its place), [`Config`] is what the program uses (checked, no meaningless states). The keys
//! stand in [`explain`], one block each. Where there is no `conf/server.toml`, the originals'
//! `server.ini` and `zoo.cfg` are read instead ([`legacy`]).
//!
//! All mistakes are reported together. Nothing reads the environment (but `home`, which needs
//! `HOME`), and nothing reads the configuration again but [`reload`], which takes topics alone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

pub mod checked;
pub mod document;
pub mod edit;
pub mod explain;
pub mod file;
pub mod key;
pub mod legacy;
pub mod mistake;
pub mod reload;
pub mod told;
pub mod topic;
pub mod words;

mod folder;
mod home;
mod remarks;
mod secrecy;
mod shown;
mod suggest;

pub use checked::{
    Broker, CLUSTER_SERVERS_MAX, COORDINATOR_ID_MAX, Cluster, ClusterServer, Config, Coordinator,
    Disk, Effective, Journal, Log, Machine, Network, Origin, Source, Web, Zookeeper, ZookeeperAt,
};
pub use folder::ServerFolder;
pub use mistake::{Mistake, Mistakes, Place};
pub use shown::Shown;
pub use suggest::suggest;
pub use told::Told;
pub use topic::{DeletePolicy, Schedule, Topic, TopicSettings};
pub use words::{Backend, LogFilter, LogFormat};

use file::File;
use legacy::{Dynamic, MyId, ZooCfg};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder has none of the files: it is no server's folder, or not yet.
    #[error("there is no server.toml, server.ini or zoo.cfg in {}", .0.display())]
    Missing(PathBuf),
    /// A file is there and cannot be read.
    #[error("read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is there without a word in it, which is how it looks while somebody writes it anew, and after somebody did
    /// on a full disk. It is no wish for a server with every default and no topics.
    #[error("{} is empty: it is being written, or was cut off", .0.display())]
    Blank(PathBuf),
    /// It was read, and this is wrong with it.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Reads and checks the configuration of the server in `folder`.
///
/// # Errors
/// There is none, it cannot be read, or it has mistakes.
pub fn load(folder: &ServerFolder) -> Result<Config, Error> {
    let machine = Machine {
        first_address: first_address(),
        home: home::of_this_user(),
        hosts: hosts(),
    };
    let mut config = read(folder, &machine)?;
    let notes = secrecy::notes(folder.root(), &config);
    config.source.notes.extend(notes);
    let notes = remarks::notes(&config);
    config.source.notes.extend(notes);
    Ok(config)
}

fn read(folder: &ServerFolder, machine: &Machine) -> Result<Config, Error> {
    if let Some(text) = read_if_there(&folder.server_toml())? {
        refuse_blank(folder.server_toml(), text.as_bytes())?;
        return Ok(from_toml(folder.root(), &text, machine)?);
    }
    let server_ini = read_bytes_if_there(&folder.server_ini())?;
    if let Some(bytes) = &server_ini {
        refuse_blank(folder.server_ini(), bytes)?;
    }
    let zoo_cfg = read_zoo_cfg(folder)?;
    if server_ini.is_none() && zoo_cfg.is_none() {
        return Err(Error::Missing(folder.conf()));
    }
    Ok(legacy::read(
        folder.root(),
        server_ini,
        zoo_cfg.as_ref(),
        machine,
    )?)
}

fn refuse_blank(path: PathBuf, bytes: &[u8]) -> Result<(), Error> {
    match bytes.trim_ascii().is_empty() {
        true => Err(Error::Blank(path)),
        false => Ok(()),
    }
}

/// `zoo.cfg`, and the file beside it that names the servers, where it has one.
fn read_zoo_cfg(folder: &ServerFolder) -> Result<Option<ZooCfg>, Error> {
    let Some(bytes) = read_bytes_if_there(&folder.zoo_cfg())? else {
        return Ok(None);
    };
    refuse_blank(folder.zoo_cfg(), &bytes)?;
    let mut file = ZooCfg::new(bytes);
    if let Some(written) = file.dynamic_path() {
        // Written for another machine's folders, it lies beside this file after a move.
        let beside = written.file_name().map(|name| folder.conf().join(name));
        let found = [Some(folder.root().join(&written)), beside]
            .into_iter()
            .flatten();
        let mut read = Err(format!("there is no {}", written.display()));
        for path in found {
            match read_bytes_if_there(&path) {
                Ok(Some(bytes)) => {
                    read = Ok(bytes);
                    break;
                }
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        file.dynamic = Some(Dynamic {
            path: written,
            text: read,
        });
    }
    file.myid = read_myid(folder, &file);
    Ok(Some(file))
}

/// The files `myid` that are there: where `zoo.cfg` says, and beside it. What is wrong with them matters only where
/// there are several servers.
fn read_myid(folder: &ServerFolder, file: &ZooCfg) -> Vec<MyId> {
    const NAME: &str = "myid";
    let written = file.data_folder();
    let written = written.map(|data| (folder.root().join(&data).join(NAME), data.join(NAME)));
    let beside = (folder.conf().join(NAME), Path::new("conf").join(NAME));
    let files = written.into_iter().chain([beside]);
    let found = files.filter_map(|(at, path)| {
        let text = match read_bytes_if_there(&at) {
            Ok(bytes) => Ok(bytes?),
            Err(Error::Unreadable { source, .. }) => Err(source.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Some(MyId { path, text })
    });
    found.collect()
}

/// The names in `/etc/hosts`, each with its address.
fn hosts() -> Vec<(String, IpAddr)> {
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(words.map(move |name| (name.to_owned(), address)))
    });
    lines.flatten().collect()
}

/// Checks the text of a `server.toml` for the server in the folder `root`.
///
/// # Errors
/// Every mistake in it.
pub fn from_toml(root: &Path, text: &str, machine: &Machine) -> Result<Config, Mistakes> {
    let path = PathBuf::from("conf/server.toml");
    let mut mistakes = Mistakes::default();
    let file = File::read_toml(&path, text, &mut mistakes);
    let config = checked::check(&file, root, machine, mistakes)?;
    Ok(config.with_source(vec![path], None, Vec::new()))
}

fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    match read_bytes_if_there(path)? {
        Some(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(unreadable(io::Error::new(
                io::ErrorKind::InvalidData,
                error.utf8_error(),
            ))),
        },
        None => Ok(None),
    }
}

fn read_bytes_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Unreadable {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// The address this machine would be reached at: that from which a packet to a far place would leave.
/// Nothing is sent: connecting a datagram socket only asks the routing table.
fn first_address() -> Option<Ipv4Addr> {
    // From the block that is set aside for documentation, so that it is never a host of ours.
    const FAR: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
