//! A disk in memory that knows what a power cut would leave: every file and folder as it is now, and as it is on the
//! platter.
//!
//! Stricter than most file systems: data is durable after a sync of its file (or when a write with O_DSYNC has ended), a name
//! only after a sync of its folder. What was not synced may survive a cut in part: single sectors of a file, the first few
//! changes of a folder.

use crate::harness::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// The unit in which contents are shared between the two states.
const BLOCK: usize = 4096;

/// The unit in which a disk writes.
const SECTOR: usize = 512;

pub(super) const ROOT: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Socket,
}

/// A file's bytes; a block that is missing is zeros.
#[derive(Clone, Debug, Default)]
struct Content {
    length: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Content {
    fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let end = self.length.min(offset + as_u64(size));
        let mut bytes = vec![0; as_usize(end.saturating_sub(offset))];
        let mut at = 0;
        while at < bytes.len() {
            let position = offset + as_u64(at);
            let within = as_usize(position % as_u64(BLOCK));
            let count = (BLOCK - within).min(bytes.len() - at);
            if let Some(block) = self.blocks.get(&(position / as_u64(BLOCK))) {
                bytes[at..at + count].copy_from_slice(&block[within..within + count]);
            }
            at += count;
        }
        bytes
    }

    /// Returns the blocks that were touched.
    fn write(&mut self, offset: u64, data: &[u8]) -> BTreeSet<u64> {
        let mut touched = BTreeSet::new();
        let mut at = 0;
        while at < data.len() {
            let position = offset + as_u64(at);
            let within = as_usize(position % as_u64(BLOCK));
            let count = (BLOCK - within).min(data.len() - at);
            let number = position / as_u64(BLOCK);
            let block = self
                .blocks
                .entry(number)
                .or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[within..within + count].copy_from_slice(&data[at..at + count]);
            touched.insert(number);
            at += count;
        }
        self.length = self.length.max(offset + as_u64(data.len()));
        touched
    }

    fn set_length(&mut self, length: u64) {
        if length < self.length {
            let last = length.div_ceil(as_u64(BLOCK));
            self.blocks.split_off(&last);
            let within = as_usize(length % as_u64(BLOCK));
            if within > 0
                && let Some(block) = self.blocks.get_mut(&(length / as_u64(BLOCK)))
            {
                Arc::make_mut(block)[within..].fill(0);
            }
        }
        self.length = length;
    }
}

/// Names and what they mean, in a folder.
type Names = BTreeMap<OsString, u64>;

/// Names that change together: each with its new meaning, or none.
type Change = Vec<(OsString, Option<u64>)>;

#[derive(Clone, Debug)]
struct Inode {
    kind: Kind,
    mode: u16,
    live: Content,
    durable: Content,
    /// Blocks that differ between the two.
    dirty: BTreeSet<u64>,
    live_names: Names,
    durable_names: Names,
    /// What was done to the names since they were synced, in order.
    changes: Vec<Change>,
}

impl Inode {
    fn new(kind: Kind, mode: u16) -> Inode {
        Inode {
            kind,
            mode,
            live: Content::default(),
            durable: Content::default(),
            dirty: BTreeSet::new(),
            live_names: Names::new(),
            durable_names: Names::new(),
            changes: Vec::new(),
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live_names, &change);
        self.changes.push(change);
    }
}

fn apply(names: &mut Names, change: &Change) {
    for (name, meaning) in change {
        match meaning {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

/// The whole disk.
#[derive(Clone, Debug)]
pub(super) struct Image {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
}

/// Facts about an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) inode: u64,
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) length: u64,
}

impl Image {
    /// With nothing but an empty root.
    pub(super) fn new() -> Image {
        let mut image = Image {
            inodes: BTreeMap::new(),
            next: ROOT,
        };
        image.add(Kind::Folder, 0o755);
        image
    }

    fn add(&mut self, kind: Kind, mode: u16) -> u64 {
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, Inode::new(kind, mode));
        inode
    }

    fn at(&mut self, inode: u64) -> &mut Inode {
        self.inodes
            .get_mut(&inode)
            .expect("the kernel names inodes that it was told of")
    }

    pub(super) fn about(&self, inode: u64) -> Option<About> {
        let found = self.inodes.get(&inode)?;
        Some(About {
            inode,
            kind: found.kind,
            mode: found.mode,
            length: found.live.length,
        })
    }

    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Option<About> {
        self.about(*self.inodes.get(&folder)?.live_names.get(name)?)
    }

    pub(super) fn list(&self, folder: u64) -> Vec<(OsString, About)> {
        let names = &self.inodes[&folder].live_names;
        names
            .iter()
            .filter_map(|(name, inode)| Some((name.clone(), self.about(*inode)?)))
            .collect()
    }

    pub(super) fn make(&mut self, folder: u64, name: &OsStr, kind: Kind, mode: u16) -> About {
        let inode = self.add(kind, mode);
        self.at(folder).change(vec![(name.to_owned(), Some(inode))]);
        self.about(inode).expect("it was made")
    }

    pub(super) fn set_mode(&mut self, inode: u64, mode: u16) {
        self.at(inode).mode = mode;
    }

    /// Removes a name; the inode stays for those who have it open.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr) {
        self.at(folder).change(vec![(name.to_owned(), None)]);
    }

    pub(super) fn rename(&mut self, from: u64, name: &OsStr, to: u64, new_name: &OsStr) {
        let inode = self.at(from).live_names[name];
        if from == to {
            self.at(from).change(vec![
                (name.to_owned(), None),
                (new_name.to_owned(), Some(inode)),
            ]);
        } else {
            self.at(from).change(vec![(name.to_owned(), None)]);
            self.at(to).change(vec![(new_name.to_owned(), Some(inode))]);
        }
    }

    pub(super) fn read(&self, inode: u64, offset: u64, size: usize) -> Vec<u8> {
        self.inodes[&inode].live.read(offset, size)
    }

    /// Writes; with `durably` it is on the platter when this returns.
    pub(super) fn write(&mut self, inode: u64, offset: u64, data: &[u8], durably: bool) {
        let found = self.at(inode);
        let touched = found.live.write(offset, data);
        if durably {
            found.durable.write(offset, data);
            found.durable.length = found.durable.length.max(offset + as_u64(data.len()));
        } else {
            found.dirty.extend(touched);
        }
    }

    pub(super) fn set_length(&mut self, inode: u64, length: u64) {
        let found = self.at(inode);
        let last = found.live.length.max(length).div_ceil(as_u64(BLOCK));
        let first = found.live.length.min(length) / as_u64(BLOCK);
        found.live.set_length(length);
        found.dirty.extend(first..last);
    }

    pub(super) fn sync(&mut self, inode: u64) {
        let found = self.at(inode);
        found.durable = found.live.clone();
        found.dirty.clear();
    }

    pub(super) fn sync_folder(&mut self, folder: u64) {
        let found = self.at(folder);
        found.durable_names = found.live_names.clone();
        found.changes.clear();
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        let all: Vec<u64> = self.inodes.keys().copied().collect();
        for inode in all {
            self.sync(inode);
            self.sync_folder(inode);
        }
    }

    /// A write that was under way when the power went: some of its sectors are on the platter.
    pub(super) fn tear(&mut self, inode: u64, offset: u64, data: &[u8], dice: &mut Dice) {
        let mode = dice.roll(4);
        let prefix = dice.roll(as_u64(data.len()) + 1);
        let found = self.at(inode);
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            let at = as_u64(number * SECTOR);
            let survives = match mode {
                0 => false,
                1 => true,
                2 => at < prefix,
                _ => dice.roll(2) == 0,
            };
            if survives {
                found.durable.write(offset + at, sector);
            }
        }
        found.live = found.durable.clone();
    }

    /// The power goes: what was not synced is forgotten, or survives in part.
    pub(super) fn cut(&mut self, dice: &mut Dice) {
        for found in self.inodes.values_mut() {
            // All of it, nothing, or each sector by chance; a whole file system has one habit at a time.
            let habit = dice.roll(3);
            let keeps_length = dice.roll(2) == 0;
            if keeps_length || habit == 1 {
                found.durable.set_length(found.live.length);
            }
            for number in std::mem::take(&mut found.dirty) {
                let Some(block) = found.live.blocks.get(&number) else {
                    continue;
                };
                let block = Arc::clone(block);
                for (index, sector) in block.chunks(SECTOR).enumerate() {
                    let at = number * as_u64(BLOCK) + as_u64(index * SECTOR);
                    let survives = habit == 1 || habit == 2 && dice.roll(2) == 0;
                    if survives && at < found.durable.length {
                        let end = as_usize((found.durable.length - at).min(as_u64(SECTOR)));
                        found.durable.write(at, &sector[..end]);
                    }
                }
            }
            found.live = found.durable.clone();
            let survive = as_usize(dice.roll(as_u64(found.changes.len()) + 1));
            for change in found.changes.drain(..).take(survive) {
                apply(&mut found.durable_names, &change);
            }
            found.changes.clear();
            found.live_names = found.durable_names.clone();
        }
        // A socket is nothing without its process, and a stale one must not hinder anybody: it stays as a name.
    }
}

fn as_u64(value: usize) -> u64 {
    u64::try_from(value).expect("64 bits")
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).expect("64 bits")
}

#[test]
fn what_was_not_synced_may_go_and_what_was_synced_stays() {
    for seed in 0..200 {
        let mut dice = Dice::from(seed);
        let mut image = Image::new();
        let file = image
            .make(ROOT, OsStr::new("kept"), Kind::File, 0o644)
            .inode;
        image.write(file, 0, &[1; 10_000], false);
        image.sync(file);
        image.sync_folder(ROOT);
        image.write(file, 5_000, &[2; 10_000], false);
        image.make(ROOT, OsStr::new("maybe"), Kind::File, 0o644);
        image.rename(ROOT, OsStr::new("maybe"), ROOT, OsStr::new("later"));
        image.cut(&mut dice);
        let bytes = image.read(file, 0, 20_000);
        assert!(
            bytes.len() == 10_000 || bytes.len() == 15_000,
            "{} bytes",
            bytes.len()
        );
        assert!(
            bytes[..4_608].iter().all(|byte| *byte == 1),
            "what was synced is there"
        );
        assert!(image.find(ROOT, OsStr::new("kept")).is_some());
        let both =
            [OsStr::new("maybe"), OsStr::new("later")].map(|name| image.find(ROOT, name).is_some());
        assert_ne!(both, [true, true], "a rename is whole or was not");
    }
}
