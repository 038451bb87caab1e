//! Where a command goes: which server's folder it is about, and which coordinator it asks.
//!
//! One order for every command: what the command line names, then the folder one stands in, then
//! `CHRYSALIS_FOLDER`; where a coordinator is all that is wanted, then `CHRYSALIS_SERVER`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::usage;

use crate::config::ServerFolder;
use crate::report::{Code, Error};

pub(super) use crate::report::shell_word as word;
pub(super) use crate::server::flag;

/// The server's folder, for who names none.
const FOLDER: &str = "CHRYSALIS_FOLDER";
/// The coordinator, or several: `HOST:PORT,...`.
const SERVER: &str = "CHRYSALIS_SERVER";

/// The folder that a command is about, and nothing else beside it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct FolderArgument {
    /// The server's folder, as made by `chrysalis init`
    #[arg(value_name = "DIR", conflicts_with = "folder")]
    first: Option<PathBuf>,
    #[command(flatten)]
    option: FolderOption,
}

/// The folder that a command is about, as an option.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct FolderOption {
    /// The server's folder [default: the one you stand in, otherwise that of CHRYSALIS_FOLDER]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl FolderArgument {
    /// This folder.
    #[cfg(test)]
    pub(super) fn of(folder: &Path) -> FolderArgument {
        FolderArgument {
            first: Some(folder.to_owned()),
            ..FolderArgument::default()
        }
    }

    /// The folder, by its full name: a server in the background is nowhere else.
    ///
    /// # Errors
    /// None is named, and one stands in none.
    pub(super) fn server_folder(&self) -> Result<ServerFolder, Error> {
        self.option.or(self.first.as_deref())
    }

    /// The same, where what is named need not be a server's folder.
    ///
    /// # Errors
    /// None is named, and one stands in none.
    pub(super) fn path(&self) -> Result<PathBuf, Error> {
        let folder = self.server_folder()?;
        Ok(folder.root().to_owned())
    }
}

impl FolderOption {
    /// The folder, and a word that may stand behind it. One word alone is the folder where it can be one, or where there
    /// is no other.
    ///
    /// # Errors
    /// As [`FolderOption::or`].
    pub(super) fn and_perhaps<'a>(
        &self,
        words: &'a [String],
    ) -> Result<(ServerFolder, Option<&'a str>), Error> {
        let (first, word) = match words {
            [] => (None, None),
            [first, word, ..] => (Some(first), Some(word)),
            [word] if word.contains('/') || is_one(&ServerFolder::new(word)) => (Some(word), None),
            [word] if self.folder.is_some() || found(None).is_some() => (None, Some(word)),
            [word] => (Some(word), None),
        };
        let folder = self.or(first.map(|first| Path::new(first.as_str())))?;
        Ok((folder, word.map(String::as_str)))
    }

    /// The folder of the option, or `first`, which stood where a folder may stand.
    ///
    /// # Errors
    /// Both are there, or none is and one stands in none.
    pub(super) fn or(&self, first: Option<&Path>) -> Result<ServerFolder, Error> {
        if let (Some(folder), Some(first)) = (&self.folder, first) {
            let (first, folder) = (first.display(), folder.display());
            return Err(usage(format!(
                "the folder is named twice: {first} and --folder {folder}"
            )));
        }
        found(self.folder.as_deref().or(first)).ok_or_else(not_named)
    }
}

impl FolderOption {
    /// The folder, and the one thing that stands behind it, of one word or two. `one` says that there is one.
    ///
    /// # Errors
    /// As [`FolderOption::or`]; or the first of two words is no folder.
    pub(super) fn and_one<'a>(
        &self,
        words: &'a [String],
        one: &str,
    ) -> Result<(ServerFolder, &'a str), Error> {
        let (first, word) = match words {
            [first, word] if may_be_folder(first) => (Some(Path::new(first)), word),
            [first, ..] if words.len() > 1 => {
                return Err(usage(format!("{one}; {first} is no server's folder")));
            }
            words => (None, &words[0]),
        };
        Ok((self.or(first)?, word))
    }

    /// The folder, and the two words that a command takes; `two` says what they are.
    ///
    /// # Errors
    /// As [`FolderOption::and_one`].
    pub(super) fn and_two<'a>(
        &self,
        words: &'a [String],
        two: &str,
    ) -> Result<(ServerFolder, [&'a str; 2]), Error> {
        match words {
            [first, one, other] if may_be_folder(first) => {
                Ok((self.or(Some(Path::new(first)))?, [one, other]))
            }
            [one, other] => Ok((self.or(None)?, [one, other])),
            [first, ..] => Err(usage(format!("{two}; {first} is no server's folder"))),
            [] => Err(usage(two.to_owned())),
        }
    }
}

/// Whether a word before others is meant for a folder: a topic has no slash in its name.
fn may_be_folder(word: &str) -> bool {
    word.contains('/') || Path::new(word).is_dir()
}

/// The folder that is `named`, or that one stands in, or that of the environment.
pub(super) fn found(named: Option<&Path>) -> Option<ServerFolder> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Some(named) = named {
        return Some(ServerFolder::new(absolute(named)));
    }
    folder_here()
        .or_else(|| variable(FOLDER).map(|path| ServerFolder::new(absolute(Path::new(&path)))))
}

/// The end of a command that is suggested: the server's folder, or where it is not known, that it is to be given there.
pub(super) fn in_folder(folder: Option<&ServerFolder>) -> String {
    match folder {
        Some(folder) => format!(" {}", flag(folder)),
        None => ", in the server's folder".to_owned(),
    }
}

/// The coordinators of the environment, `HOST:PORT,...`, for who names neither them nor a folder.
pub(super) fn servers_of_environment() -> Option<String> {
    variable(SERVER).map(|servers| servers.to_string_lossy().into_owned())
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The server folder one stands in, if it is one.
fn folder_here() -> Option<ServerFolder> {
    let folder = ServerFolder::new(std::env::current_dir().ok()?);
    // A server that runs there is to be reached although somebody has moved its configuration away.
    let runs = || folder.conf().is_dir() && folder.pid_file().exists();
    (is_one(&folder) || runs()).then_some(folder)
}

/// Whether there is a server's configuration in a folder.
pub(super) fn is_one(folder: &ServerFolder) -> bool {
    let configurations = [folder.server_toml(), folder.server_ini(), folder.zoo_cfg()];
    // What this user may not look into is told when it is read.
    let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    configurations
        .iter()
        .any(|file| file.try_exists().unwrap_or_else(denied))
}

fn not_named() -> Error {
    let here = std::env::current_dir().map_or_else(
        |_| "the folder one stands in".to_owned(),
        |here| here.display().to_string(),
    );
    Error::new(
        Code::E0002,
        format!("no server is named, and {here} is no server's folder"),
    )
    .means("Nothing was done.")
    .cure("Name its folder (--folder DIR), stand in it, or set CHRYSALIS_FOLDER.")
}
