//! What can be wrong with the files of a cluster's certificates.

use std::io;
use std::path::{Path, PathBuf};

use super::certificate::day;
use super::{AUTHORITY_KEY, SERVER_KEY};
use crate::units::{ServerId, WallTime};

/// A file of certificates that cannot be used, or made.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct Error {
    path: PathBuf,
    why: Unusable,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("there is no such file")]
    Missing,
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it cannot be written: {0}")]
    Unwritable(io::Error),
    #[error("others than its owner may read this key (mode {0:03o})")]
    Open(u32),
    #[error("there is nothing usable in it: it must be PEM, as chrysalis writes it")]
    NoPem,
    #[error("it is not the key of {0}")]
    OtherKey(&'static str),
    #[error("it was issued by none of the authorities in authority.pem")]
    OtherAuthority,
    #[error("it is the certificate of {}, and this is server {wanted}", named(*.shown))]
    OtherServer {
        shown: Option<ServerId>,
        wanted: ServerId,
    },
    #[error("it has expired: it was valid until {}", day(*.0))]
    Expired(WallTime),
    #[error("it is not valid before {}: is this host's clock right?", day(*.0))]
    NotYet(WallTime),
    #[error("there is an authority already")]
    There,
    #[error("it cannot be made: {0}")]
    NotMade(String),
}

fn named(server: Option<ServerId>) -> String {
    match server {
        Some(server) => format!("server {server}"),
        None => "no server of a cluster".to_owned(),
    }
}

impl Error {
    pub(super) fn new(path: &Path, why: Unusable) -> Error {
        let path = path.to_path_buf();
        Error { path, why }
    }

    /// Whoever was to make them was kept from it.
    pub fn interrupted(folder: &Path) -> Error {
        Error::new(folder, Unusable::NotMade("interrupted".to_owned()))
    }

    /// Whether a user has no right to a file.
    pub fn is_permission(&self) -> bool {
        match &self.why {
            Unusable::Unreadable(error) | Unusable::Unwritable(error) => {
                error.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }

    /// What to do about it: a sentence. `folder` is how a command names the server.
    pub fn cure(&self, folder: &str) -> String {
        let shown = self.path.display();
        match &self.why {
            Unusable::Missing if !self.has_authority_key() && !self.path.ends_with(AUTHORITY_KEY) => {
                format!(
                    "On the first host of the cluster: chrysalis cluster certificates --make-authority {folder}; on each other one: {}",
                    take_over(folder)
                )
            }
            Unusable::Unreadable(_) | Unusable::Unwritable(_) => {
                format!("The user that runs the server must own {shown}, and there must be room.")
            }
            Unusable::Open(_) => {
                format!("chmod 600 {shown}; and if somebody may have read it, make new certificates")
            }
            Unusable::NoPem | Unusable::OtherKey(_) if !self.path.ends_with(SERVER_KEY) => {
                "Put the file back as chrysalis wrote it, or copy the folder of another host."
                    .to_owned()
            }
            Unusable::NotYet(_) => "Set the clock.".to_owned(),
            Unusable::There => {
                "A cluster has one, which all its servers trust. How to change it: chrysalis explain E0113"
                    .to_owned()
            }
            Unusable::NotMade(_) => "Try it again, and report it.".to_owned(),
            _ if self.has_authority_key() => {
                format!("Issue a new one: chrysalis cluster rotate-certificates {folder}")
            }
            _ => take_over(folder),
        }
    }

    /// Whether the authority's key is beside the file.
    fn has_authority_key(&self) -> bool {
        self.path.with_file_name(AUTHORITY_KEY).exists()
    }
}

fn take_over(folder: &str) -> String {
    format!(
        "bring authority.pem and authority.key of another host here, then chrysalis cluster certificates --from WHERE {folder}"
    )
}
