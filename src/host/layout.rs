//! Where everything of a host lies, and what of it is ours.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::ServerFolder;

/// Where root installs to.
pub const DEFAULT_PREFIX: &str = "/opt/chrysalis";
/// The program on everybody's `PATH`, on a host where root installed it.
pub const COMMAND: &str = "/usr/local/bin/chrysalis";

/// The names below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: PathBuf,
}

impl Layout {
    /// All that lies below `prefix`, a full path.
    pub fn new(prefix: impl Into<PathBuf>) -> Layout {
        Layout {
            prefix: prefix.into(),
        }
    }

    /// The folder itself.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// `bin/chrysalis`: a link to the version that is used.
    pub fn program(&self) -> PathBuf {
        self.prefix.join("bin/chrysalis")
    }

    /// The same, or this very program where none is installed.
    pub(super) fn program_or_own(&self) -> PathBuf {
        let installed = self.program();
        match installed.exists() {
            true => installed,
            false => std::env::current_exe().unwrap_or(installed),
        }
    }

    /// `versions/`: a folder for each that was installed.
    pub fn versions(&self) -> PathBuf {
        self.prefix.join("versions")
    }

    /// Where the binary of this version lies.
    pub fn binary(&self, version: &str) -> PathBuf {
        self.versions().join(version).join("chrysalis")
    }

    /// What `bin/chrysalis` has to lead to for this version. It stays true when the prefix is moved.
    pub fn lead(version: &str) -> PathBuf {
        Path::new("../versions").join(version).join("chrysalis")
    }

    /// The folder of the server with this number.
    pub fn server(&self, id: u16) -> ServerFolder {
        ServerFolder::new(self.prefix.join(format!("server{id}")))
    }

    /// The numbers of the servers that are there, whoever made them: the original's have folders of the same names.
    pub fn servers(&self) -> Vec<u16> {
        let entries = fs::read_dir(&self.prefix).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut ids: Vec<u16> = folders
            .filter_map(|entry| server_id(entry.file_name().to_str()?))
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The nearest folder at or above the prefix that exists.
    pub fn existing_parent(&self) -> &Path {
        let mut ancestors = self.prefix.ancestors();
        ancestors
            .find(|folder| folder.is_dir())
            .unwrap_or(Path::new("/"))
    }
}

/// The number in the name of a server's folder; `server1.bak` is somebody's copy, and `server01` no name that we give.
fn server_id(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("server")?;
    let id: u16 = digits.parse().ok()?;
    (digits == id.to_string()).then_some(id)
}

/// Whether a server's folder is one of ours, and not the original's, which has the same name.
pub(super) fn is_ours(folder: &ServerFolder) -> bool {
    let says =
        |path: PathBuf, what: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(what));
    folder.journal().join("journal.id").exists()
        || says(folder.server_toml(), "a Chrysalis server")
        || says(folder.root().join("bin/env.sh"), "\nCHRYSALIS=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_server_and_a_number_is_a_servers_folder() {
        assert_eq!(server_id("server1"), Some(1));
        assert_eq!(server_id("server254"), Some(254));
        for name in [
            "server",
            "server1.bak",
            "server01",
            "server-1",
            "Server1",
            "1",
        ] {
            assert_eq!(server_id(name), None, "{name}");
        }
    }
}
