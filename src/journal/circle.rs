//! Which file holds what somebody still needs, and which may be used next.
//!
//! A slot is a file on disk; what is written into it from its start on, until it is used again, is a numbered
//! file. For a group a file is needed while an entry of it lies behind the group's marker. Only what is
//! durable counts here: a marker or a truncation that a power cut could still take frees nothing.
//!
//! A slot goes round like this:
//!
//! ```text
//!   raw ──prepared──> ready ──taken for file N──> used ──file N not needed──> retired
//!    ^                  ^                                                       │
//!    └──(too short)─────┴──────── a batch that says "oldest > N" is durable ────┘
//! ```
//!
//! Preparing (make, reserve room, fill) goes on in the background in steps, one slot at a time, so that there
//! is a ready one before the current one is full. Where it is not in time, the slot is taken half filled:
//! that costs speed and no promise.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use super::Options;
use super::places::{Place, Places};
use super::survey::slot_name;
use crate::disk::{self, Class, Disk, File, Lane, Mode, Operation, Outcome, Owner, Token};
use crate::units::{GroupId, Moment};

/// The token number of preparing steps; batches use their sequence, which never gets there.
const PREPARE_TOKEN: u64 = 1 << 55;
/// The token number of operations whose end nobody waits for.
const UNWATCHED_TOKEN: u64 = PREPARE_TOKEN + 1;
/// After a slot could not be made (no space), the next try comes so much later.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a durable record changed about a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogChange {
    /// Entries `first ..= last` were appended; those from `first` on that were there before are forgotten.
    Appended { first: u64, last: u64 },
    /// Entries up to `index` are no longer needed.
    Compacted { index: u64 },
    /// No entry is needed; the log goes on behind `index`.
    Emptied { index: u64 },
}

/// A numbered file that is needed, or is the one being written.
#[derive(Debug)]
struct Used {
    number: u64,
    slot: usize,
    start_sequence: u64,
    /// The last entry of each group in it.
    last: BTreeMap<GroupId, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// Shorter than it should be.
    Raw,
    Preparing,
    Ready,
    Used,
    /// Not needed any more, but no durable batch says so yet.
    Retired {
        number: u64,
    },
}

/// A file on disk.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    file: File,
    length: u64,
    state: SlotState,
}

/// Where the preparing of a slot stands: the step that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Preallocate,
    SyncFolder,
    /// Filling from here on.
    Fill {
        position: u64,
    },
}

#[derive(Debug)]
struct Preparing {
    slot: usize,
    step: Step,
    /// The step was submitted and has not completed.
    submitted: bool,
    /// It did not exist before: it is removed again when there is no space for it.
    made: bool,
    /// The last step failed.
    failed: bool,
}

/// A slot as it was found or made at the opening.
#[derive(Debug)]
pub(super) struct FoundSlot {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: u64,
}

/// The files of the journal.
#[derive(Debug)]
pub(super) struct Circle {
    folder: PathBuf,
    file_bytes: u64,
    files_max: usize,
    fill_step_bytes: u64,
    slots: Vec<Slot>,
    /// By number; the last one is being written.
    used: VecDeque<Used>,
    /// How far each group's log is compacted, durably.
    compacted: BTreeMap<GroupId, u64>,
    /// Where each group's entries lie.
    places: Places,
    preparing: Option<Preparing>,
    /// Why the last try to make a slot failed, while none has succeeded since.
    short: Option<disk::Error>,
    /// The next try comes then.
    retry_at: Option<Moment>,
}

/// Where an entry lies.
#[derive(Debug)]
pub(super) struct Lying {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// So long the file is.
    pub(super) length: u64,
    /// Its number.
    pub(super) number: u64,
    /// The batch to read on from.
    pub(super) position: u64,
    /// One behind the last entry that is found from there.
    pub(super) end: u64,
}

/// A slot that was taken to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) file: File,
    pub(super) length: u64,
}

impl Circle {
    /// The files as the opening found them; all are ready or raw until they are taken or marked used.
    pub(super) fn new(options: &Options, found: Vec<FoundSlot>) -> Circle {
        let slot = |found: FoundSlot| {
            let enough = found.length >= options.file_bytes;
            let state = if enough {
                SlotState::Ready
            } else {
                SlotState::Raw
            };
            Slot {
                path: found.path,
                file: found.file,
                length: found.length,
                state,
            }
        };
        Circle {
            folder: options.folder.clone(),
            file_bytes: options.file_bytes,
            files_max: options.files_max,
            fill_step_bytes: options.fill_step_bytes,
            slots: found.into_iter().map(slot).collect(),
            used: VecDeque::new(),
            compacted: BTreeMap::new(),
            places: Places::default(),
            preparing: None,
            short: None,
            retry_at: None,
        }
    }

    /// The opening found file `number` in `slot`, or has just begun it there.
    pub(super) fn begin(&mut self, number: u64, slot: usize, start_sequence: u64) {
        assert!(
            self.used.back().is_none_or(|last| last.number < number),
            "file numbers rise"
        );
        self.slots[slot].state = SlotState::Used;
        self.used.push_back(Used {
            number,
            slot,
            start_sequence,
            last: BTreeMap::new(),
        });
    }

    /// A slot that can be written at once.
    pub(super) fn ready(&mut self) -> Option<(usize, Taken)> {
        let ready = |slot: &Slot| slot.state == SlotState::Ready;
        let number = self
            .slots
            .iter()
            .position(ready)
            .or_else(|| self.half_filled())?;
        let slot = &self.slots[number];
        Some((
            number,
            Taken {
                file: slot.file,
                length: slot.length,
            },
        ))
    }

    /// Makes a slot at once, without filling it: for an opening that finds none ready.
    pub(super) fn make(&mut self, disk: &mut dyn Disk) -> Result<(usize, Taken), disk::Error> {
        let number = self.add_slot(disk);
        let slot = &mut self.slots[number];
        let (file, path) = (slot.file, slot.path.clone());
        disk.run(Operation::Open {
            file,
            path,
            mode: Mode::Durable,
        })?;
        disk.run(Operation::Preallocate {
            file,
            length: self.file_bytes,
        })?;
        disk.run(Operation::SyncFolder {
            path: self.folder.clone(),
        })?;
        slot.length = self.file_bytes;
        Ok((
            number,
            Taken {
                file,
                length: slot.length,
            },
        ))
    }

    /// The slot being prepared, when it exists for good and no fill is under way in it.
    fn half_filled(&mut self) -> Option<usize> {
        let preparing = self.preparing.as_ref()?;
        if preparing.submitted || !matches!(preparing.step, Step::Fill { .. }) {
            return None;
        }
        let slot = preparing.slot;
        self.preparing = None;
        Some(slot)
    }

    /// A record in file `number`, in the batch at `position`, has become durable.
    pub(super) fn apply(&mut self, number: u64, position: u64, group: GroupId, change: LogChange) {
        match change {
            LogChange::Appended { first, last } => {
                let place = Place {
                    first,
                    file: number,
                    position,
                };
                self.places.appended(group, place, last);
                for used in &mut self.used {
                    if let Some(there) = used.last.get_mut(&group) {
                        *there = (*there).min(first - 1);
                    }
                }
                let used = self.used.iter_mut().find(|used| used.number == number);
                let used = used.expect("a file is used until all in it is durable");
                used.last.insert(group, last);
            }
            LogChange::Compacted { index } => {
                self.compacted.insert(group, index);
            }
            LogChange::Emptied { index } => {
                for used in &mut self.used {
                    used.last.remove(&group);
                }
                self.places.emptied(group);
                self.compacted.insert(group, index);
            }
        }
    }

    /// Where an entry lies that is durable.
    pub(super) fn find(&self, group: GroupId, index: u64) -> Option<Lying> {
        let (place, end) = self.places.find(group, index)?;
        let used = self.used.iter().find(|used| used.number == place.file)?;
        let slot = &self.slots[used.slot];
        Some(Lying {
            path: slot.path.clone(),
            file: slot.file,
            length: slot.length,
            number: place.file,
            position: place.position,
            end,
        })
    }

    /// Whether what file `number` holds is still there.
    pub(super) fn uses(&self, number: u64) -> bool {
        self.used.iter().any(|used| used.number == number)
    }

    /// The entry of some group that pins a file, if there is one.
    fn pin(&self, used: &Used) -> Option<(GroupId, u64)> {
        let compacted = |group| self.compacted.get(group).copied().unwrap_or(0);
        let pins = used
            .last
            .iter()
            .filter(|(group, last)| **last > compacted(group));
        pins.max_by_key(|(group, last)| **last - compacted(group))
            .map(|(group, last)| (*group, *last))
    }

    /// Retires files that nobody needs, the oldest first, and names the oldest that is needed.
    ///
    /// A file goes only when the next one's start is durable: that start has the votes.
    pub(super) fn oldest(&mut self, durable_sequence: u64) -> u64 {
        while let (Some(first), Some(second)) = (self.used.front(), self.used.get(1)) {
            if second.start_sequence > durable_sequence || self.pin(first).is_some() {
                break;
            }
            let number = first.number;
            self.slots[first.slot].state = SlotState::Retired { number };
            self.places.released(number);
            self.used.pop_front();
        }
        self.used.front().map_or(0, |first| first.number)
    }

    /// A batch that says "oldest needed is `oldest`" is durable: the retired ones below it may be used again.
    pub(super) fn release(&mut self, oldest: u64) {
        for slot in &mut self.slots {
            if matches!(slot.state, SlotState::Retired { number } if number < oldest) {
                let enough = slot.length >= self.file_bytes;
                slot.state = if enough {
                    SlotState::Ready
                } else {
                    SlotState::Raw
                };
                if enough {
                    // There is a next file, whether one can be made or not.
                    self.short = None;
                }
            }
        }
    }

    /// Files that hold what somebody needs, or are not yet released.
    pub(super) fn files_used(&self) -> usize {
        let busy = |state| matches!(state, SlotState::Used | SlotState::Retired { .. });
        self.slots.iter().filter(|slot| busy(slot.state)).count()
    }

    /// The group that pins the oldest file, and the index to which its marker must move.
    pub(super) fn pinned_by(&self) -> Option<(GroupId, u64)> {
        if self.used.len() < 2 {
            return None;
        }
        self.pin(self.used.front()?)
    }

    /// Bytes that can still be written before the one file that is kept is touched, where the current one has
    /// `remaining`.
    pub(super) fn room(&self, remaining: u64) -> u64 {
        let makeable = self.files_max.saturating_sub(self.slots.len());
        let makeable = if self.short.is_some() { 0 } else { makeable };
        let free = self.slots.len() - self.files_used() + makeable;
        (free as u64 * self.file_bytes + remaining).saturating_sub(self.file_bytes)
    }

    /// Why the last try to make a file failed, while none has succeeded since.
    pub(super) fn short(&self) -> Option<&disk::Error> {
        self.short.as_ref()
    }

    /// When preparing wants to go on after a failure.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.retry_at
    }

    /// Goes on preparing the next slot, one step at a time.
    ///
    /// A journal that is `stalled` with every file in use cannot even write the markers that would free one.
    /// Refusing new work in time prevents that; where it did not, one file more than the maximum is made.
    pub(super) fn prepare(&mut self, now: Moment, stalled: bool, disk: &mut dyn Disk) {
        self.give_up_failed(disk);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.preparing.is_none() && self.retry_at.is_none() {
            self.choose(stalled, disk);
        }
        let Some(preparing) = &mut self.preparing else {
            return;
        };
        if preparing.submitted {
            return;
        }
        preparing.submitted = true;
        let slot = &self.slots[preparing.slot];
        let file = slot.file;
        let operation = match preparing.step {
            Step::Open => Operation::Open {
                file,
                path: slot.path.clone(),
                mode: Mode::Durable,
            },
            Step::Preallocate => Operation::Preallocate {
                file,
                length: self.file_bytes,
            },
            Step::SyncFolder => Operation::SyncFolder {
                path: self.folder.clone(),
            },
            Step::Fill { position } => {
                let length = (self.file_bytes - position).min(self.fill_step_bytes);
                Operation::Fill {
                    file,
                    position,
                    length,
                }
            }
        };
        disk.submit(
            Lane::Background,
            Token::new(Owner::Journal, PREPARE_TOKEN),
            operation,
        );
    }

    /// A new slot for which there was no space is removed, an old one stays as it was.
    fn give_up_failed(&mut self, disk: &mut dyn Disk) {
        let Some(preparing) = self.preparing.take_if(|preparing| preparing.failed) else {
            return;
        };
        if !preparing.made {
            self.slots[preparing.slot].state = SlotState::Raw;
            return;
        }
        let slot = self
            .slots
            .pop()
            .expect("the slot being made is the last one");
        let token = Token::new(Owner::Journal, UNWATCHED_TOKEN);
        disk.submit(
            Lane::Background,
            token,
            Operation::Close { file: slot.file },
        );
        disk.submit(
            Lane::Background,
            token,
            Operation::Remove { path: slot.path },
        );
    }

    /// Picks what to prepare when no slot is ready: one that is too short, or a new one.
    fn choose(&mut self, stalled: bool, disk: &mut dyn Disk) {
        if self.slots.iter().any(|slot| slot.state == SlotState::Ready) {
            return;
        }
        let raw = self
            .slots
            .iter()
            .position(|slot| slot.state == SlotState::Raw);
        let (slot, step, made) = match raw {
            Some(raw) => (raw, Step::Preallocate, false),
            None if stalled || self.slots.len() < self.files_max => {
                (self.add_slot(disk), Step::Open, true)
            }
            None => return,
        };
        self.slots[slot].state = SlotState::Preparing;
        self.preparing = Some(Preparing {
            slot,
            step,
            submitted: false,
            made,
            failed: false,
        });
    }

    /// A slot with a name that no other has.
    fn add_slot(&mut self, disk: &mut dyn Disk) -> usize {
        let taken = |path: &PathBuf| self.slots.iter().any(|slot| slot.path == *path);
        let mut paths = (0..).map(|number| self.folder.join(slot_name(number)));
        let path = paths.find(|path| !taken(path)).expect("names do not end");
        let file = disk.reserve();
        self.slots.push(Slot {
            path,
            file,
            length: 0,
            state: SlotState::Preparing,
        });
        self.slots.len() - 1
    }

    /// The token is one of the circle's.
    pub(super) fn owns(token: Token) -> bool {
        token.number >= PREPARE_TOKEN
    }

    /// Takes the end of a step in.
    ///
    /// # Errors
    /// The medium is damaged. Anything else only means that there is no new file for now.
    pub(super) fn complete(
        &mut self,
        now: Moment,
        token: Token,
        result: Result<Outcome, disk::Error>,
    ) -> Result<(), disk::Error> {
        if token.number == UNWATCHED_TOKEN {
            return Ok(());
        }
        let Some(preparing) = &mut self.preparing else {
            return Ok(());
        };
        preparing.submitted = false;
        if let Err(error) = result {
            preparing.failed = true;
            self.retry_at = Some(now + RETRY_AFTER);
            if error.class == Class::Damaged {
                return Err(error);
            }
            self.short = Some(error);
            return Ok(());
        }
        let slot = &mut self.slots[preparing.slot];
        preparing.step = match preparing.step {
            Step::Open => Step::Preallocate,
            Step::Preallocate => Step::SyncFolder,
            Step::SyncFolder => {
                let position = slot.length;
                slot.length = self.file_bytes;
                self.short = None;
                Step::Fill { position }
            }
            Step::Fill { position } => Step::Fill {
                position: position + self.fill_step_bytes,
            },
        };
        if matches!(preparing.step, Step::Fill { position } if position >= self.file_bytes) {
            slot.state = SlotState::Ready;
            self.preparing = None;
        }
        Ok(())
    }
}
