//! Taking away what is ours, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Found};
use super::layout::{COMMAND, Layout};
use super::step::{Step, beside, remove_empty};
use super::{tools, units};

/// What is to be left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// All but the server with this number.
    pub only: Option<u16>,
    /// Each server's configuration and data.
    pub data: bool,
}

/// What has to be done to take it away.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// In the order in which it is done.
    pub steps: Vec<Step>,
    /// What stays, and should be known.
    pub notes: Vec<String>,
    /// Folders that go if nobody has put anything into them.
    empty: Vec<PathBuf>,
}

impl Removal {
    /// Removes the folders that are empty now.
    pub fn remove_empty_folders(&self) {
        self.empty
            .iter()
            .for_each(|folder| remove_empty(Some(folder)));
    }
}

/// Stops the servers, and takes them and the program away. Each server's scripts go last of it: by those one knows,
/// after a removal that was cut off, that the rest is ours.
pub fn removal(facts: &Facts, layout: &Layout, kept: Kept) -> Removal {
    let program = layout.program_or_own();
    let is_meant = |server: &&Found| kept.only.is_none_or(|only| only == server.id);
    let meant: Vec<&Found> = facts.servers.iter().filter(is_meant).collect();
    let servers: Vec<&Found> = meant.iter().filter(|it| it.is_ours).copied().collect();
    let roots = meant.iter().map(|server| server.folder.root());
    let folders = roots.flat_map(|root| [root.join("bin"), root.to_owned()]);
    let mut removal = Removal {
        // Where nothing is left, nothing tells whose it was.
        empty: folders.collect(),
        ..Removal::default()
    };
    for server in &servers {
        if server.is_enabled || server.is_active {
            removal.steps.push(Step::Disable {
                unit: units::unit(server.id),
            });
        }
        // Beside systemd, too.
        if server.runs {
            removal.steps.push(Step::Stop {
                program: program.clone(),
                folder: server.folder.clone(),
            });
        }
    }
    for server in servers {
        let folder = &server.folder;
        removal.path(folder.logs());
        if !kept.data {
            removal.link(&folder.data());
            removal.path(folder.data());
            removal.path(folder.conf());
        }
        let bin = folder.root().join("bin");
        // The one by which the others are known to be ours goes last.
        for (name, _) in units::SCRIPTS.iter().rev() {
            removal.path(beside(&bin.join(name)));
            removal.path(bin.join(name));
        }
    }
    if kept.only.is_none() {
        removal.program(facts, layout, kept);
    }
    removal
}

impl Removal {
    /// What a link leads to stays, and should be known.
    fn link(&mut self, path: &Path) {
        if let Ok(leads) = fs::read_link(path) {
            self.notes.push(format!(
                "{} is a link; what it leads to stays: {}",
                path.display(),
                leads.display()
            ));
        }
    }

    fn path(&mut self, path: PathBuf) {
        if fs::symlink_metadata(&path).is_ok() {
            self.steps.push(Step::Remove { path });
        }
    }

    /// What all servers share.
    fn program(&mut self, facts: &Facts, layout: &Layout, kept: Kept) {
        let systemd = facts
            .systemd
            .as_ref()
            .filter(|systemd| systemd.is_this_prefix);
        if let Some(systemd) = systemd {
            if systemd.target_is_enabled {
                self.steps.push(Step::Disable {
                    unit: units::TARGET.to_owned(),
                });
            }
            // The one by which the other is known to be ours goes last.
            self.path(Path::new(units::FOLDER).join(units::TARGET));
            self.path(Path::new(units::FOLDER).join(units::TEMPLATE));
            self.steps.push(Step::ReloadUnits);
        }
        // One that was there before has a home of its own.
        let account = systemd.and_then(|it| it.says.account.as_deref());
        let account = account.unwrap_or(units::ACCOUNT);
        let home = tools::account_home(account);
        let is_ours = home.is_some_and(|home| Path::new(&home) == layout.prefix());
        if is_ours && facts.is_root && !kept.data {
            self.steps.push(Step::RemoveAccount {
                name: account.to_owned(),
            });
        }
        if facts.command.as_deref() == Some(&layout.program()) {
            self.path(PathBuf::from(COMMAND));
        }
        if facts
            .lead
            .as_ref()
            .is_some_and(|lead| lead.starts_with("../versions"))
        {
            self.path(layout.program());
            self.path(beside(&layout.program()));
        }
        for version in &facts.versions {
            let folder = layout.versions().join(version);
            for name in super::facts::BINARY_NAMES {
                self.path(folder.join(name));
            }
            self.empty.push(folder);
        }
        let shared = [
            layout.versions(),
            layout.prefix().join("bin"),
            layout.prefix().to_owned(),
        ];
        self.empty.extend(shared);
    }
}
