//! What is on the medium and what only looks so: names and bytes, live and durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::SECTOR;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) files: BTreeMap<PathBuf, u64>,
    pub(super) folders: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Add(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    MakeFolder(PathBuf),
    RemoveFolder(PathBuf),
}

impl NameChange {
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        let (NameChange::Add(path, _)
        | NameChange::Remove(path)
        | NameChange::Rename(path, _)
        | NameChange::MakeFolder(path)
        | NameChange::RemoveFolder(path)) = self;
        path.parent() == Some(folder)
    }
}

impl Names {
    pub(super) fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Add(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            NameChange::Remove(path) => {
                self.files.remove(path);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), file);
                }
            }
            NameChange::MakeFolder(path) => {
                self.folders.insert(path.clone());
            }
            NameChange::RemoveFolder(path) => {
                self.folders.remove(path);
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Sectors that were written and not synced.
    pub(super) dirty: BTreeSet<usize>,
}

impl Image {
    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        let end = position + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[position..end].copy_from_slice(bytes);
        self.dirty.extend(position / SECTOR..end.div_ceil(SECTOR));
    }

    /// Copies the sectors for which `keep` says so to the durable image, and calls all of them clean.
    pub(super) fn settle(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.live.len());
            if start >= end || !keep(sector) {
                continue;
            }
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[start..end].copy_from_slice(&self.live[start..end]);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        self.settle(|_| true);
    }
}
