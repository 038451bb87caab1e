//! A snapshot of another server's, on its way to this one's disk.
//!
//! Its parts are written as they come, and checked at the same time: what is wrong never gets a snapshot's name. When all of
//! it is synced and in place the other side is told, and answers with the group's own message; then it takes the place of
//! the state. A part that is out of turn is passed over; a first part begins anew. What is in place and does not take the
//! place of the state, because the group has come further by itself or the message never came, is removed again.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use tracing::{info, warn};

use super::snapshots::in_place;
use crate::consensus::Marker;
use crate::coordinator::{Restore, Restored};
use crate::disk::{Completion, Disk, File, Lane, Mode, Operation, Owner, Token};
use crate::units::{GroupId, Seed, ServerId};
use crate::wire::peer::{Part, Taken};

/// Whose completions these are.
pub(super) const OWNER: Owner = Owner::SnapshotsReceived(GroupId::COORDINATOR);

/// The file that says of which entry a snapshot came from another server that the journal may not know of yet: only such
/// a one may be ahead of the journal at a start.
const MARK: &str = "received";

/// Where that is, in the folder of snapshots.
pub(crate) fn mark(folder: &Path) -> PathBuf {
    folder.join(MARK)
}

/// A snapshot that is on this server's disk, in place.
pub(super) struct Received {
    from: ServerId,
    pub(super) index: u64,
    pub(super) restored: Restored,
}

/// What the other side is to be told.
#[derive(Debug)]
pub(super) enum Told {
    /// Nothing now.
    Nothing,
    /// So much was taken.
    Taken(ServerId, Taken),
    /// It was given up; the connection is to end, so that all begins anew.
    GivenUp(ServerId),
}

/// What is being received.
pub(super) struct Receiving {
    folder: PathBuf,
    seed: Seed,
    under_way: Option<UnderWay>,
    /// What is in place, until the group's message says to take it.
    ready: Option<Received>,
    /// What that message has named, until the group has looked at it.
    accepted: Option<Received>,
    /// Of which entries snapshots are in place that nobody wants.
    unwanted: Vec<u64>,
    /// What [`MARK`] says.
    marked: Option<u64>,
    numbers: u64,
}

struct UnderWay {
    from: ServerId,
    index: u64,
    path: PathBuf,
    file: File,
    number: u64,
    /// What has come so far; nothing once it is whole.
    restore: Option<Restore>,
    /// The first byte that is missing.
    next: u64,
    /// Bytes that the disk has not written yet, or not synced.
    left: usize,
    ended: bool,
    /// The whole state, while its file gets its name.
    restored: Option<Restored>,
}

impl UnderWay {
    /// How much of it is on the disk, when nothing is on its way there.
    fn taken(&self) -> Taken {
        Taken {
            group: GroupId::COORDINATOR,
            index: self.index,
            offset: self.next,
        }
    }
}

impl Receiving {
    pub(super) fn new(folder: PathBuf, marked: Option<u64>, seed: Seed) -> Receiving {
        Receiving {
            folder,
            seed,
            under_way: None,
            ready: None,
            accepted: None,
            unwanted: Vec::new(),
            marked,
            numbers: 0,
        }
    }

    /// Whether a snapshot is on its way into the place of the state.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some() || self.ready.is_some() || self.accepted.is_some()
    }

    /// Takes a part; false if it is damaged, and nothing that follows is of use.
    pub(super) fn part(&mut self, from: ServerId, part: Part, disk: &mut dyn Disk) -> bool {
        if part.offset == 0 {
            self.begin(from, part.index, disk);
        }
        let Some(work) = &mut self.under_way else {
            return true;
        };
        let fits = (work.from, work.index, work.next) == (from, part.index, part.offset);
        if !fits || work.ended {
            return true;
        }
        let fed = work
            .restore
            .as_mut()
            .map_or(Ok(()), |restore| restore.feed(&part.bytes));
        if let Err(error) = fed {
            warn!(server = %from, %error, "a snapshot that comes from another server is damaged");
            self.give_up(disk);
            return false;
        }
        let position = work.next;
        work.next += part.bytes.len() as u64;
        work.ended = part.is_last;
        let file = work.file;
        if !part.bytes.is_empty() {
            let pieces = vec![part.bytes];
            self.submit(
                Operation::WriteGather {
                    file,
                    position,
                    pieces,
                },
                disk,
            );
        }
        if part.is_last {
            self.submit(Operation::Sync { file }, disk);
            self.submit(Operation::Close { file }, disk);
        }
        true
    }

    fn begin(&mut self, from: ServerId, index: u64, disk: &mut dyn Disk) {
        self.give_up(disk);
        let ready = self.ready.take();
        self.unwanted.extend(ready.map(|ready| ready.index));
        self.numbers += 1;
        let file = disk.reserve();
        let path = self.folder.join(format!("{index:020}.received.new"));
        info!(server = %from, index, "a snapshot comes from another server");
        self.under_way = Some(UnderWay {
            from,
            index,
            path: path.clone(),
            file,
            number: self.numbers,
            restore: Some(Restore::new(self.seed)),
            next: 0,
            left: 0,
            ended: false,
            restored: None,
        });
        let mode = Mode::Emptied;
        self.submit(Operation::Open { file, path, mode }, disk);
    }

    /// Who sent it is out of reach: what is there of it is of no use.
    pub(super) fn lost(&mut self, server: ServerId, disk: &mut dyn Disk) {
        if self
            .under_way
            .as_ref()
            .is_some_and(|work| work.from == server)
        {
            self.give_up(disk);
        }
        let ready = self.ready.take_if(|ready| ready.from == server);
        self.unwanted.extend(ready.map(|ready| ready.index));
    }

    fn give_up(&mut self, disk: &mut dyn Disk) {
        let Some(work) = self.under_way.take() else {
            return;
        };
        let token = Token::new(OWNER, 0);
        if !work.ended {
            disk.submit(
                Lane::Background,
                token,
                Operation::Close { file: work.file },
            );
        }
        disk.submit(
            Lane::Background,
            token,
            Operation::Remove { path: work.path },
        );
    }

    /// Takes a completion of ours.
    pub(super) fn complete(&mut self, completion: Completion, disk: &mut dyn Disk) -> Told {
        let Some(work) = &mut self.under_way else {
            return Told::Nothing;
        };
        if completion.token.number != work.number {
            return Told::Nothing;
        }
        let (from, index) = (work.from, work.index);
        work.left -= 1;
        if let Err(error) = completion.result {
            warn!(%error, "a snapshot of another server cannot be written; it is tried again");
            self.give_up(disk);
            return Told::GivenUp(from);
        }
        if work.left > 0 {
            return Told::Nothing;
        }
        if !work.ended {
            return Told::Taken(from, work.taken());
        }
        // All of it is durable: only what is whole gets a snapshot's name.
        if let Some(restore) = work.restore.take() {
            let (path, to) = (work.path.clone(), in_place(&self.folder, index));
            let whole = restore.finish().map_err(|error| error.to_string());
            let whole = whole.and_then(|restored| match restored.index() == index {
                true => Ok(restored),
                false => Err(format!("it is of entry {}", restored.index())),
            });
            match whole {
                Ok(restored) => work.restored = Some(restored),
                Err(why) => {
                    warn!(server = %from, %why, "a snapshot that came from another server is damaged");
                    self.give_up(disk);
                    return Told::GivenUp(from);
                }
            }
            self.marked = Some(index);
            let said = Operation::Replace {
                path: mark(&self.folder),
                pieces: vec![Bytes::from(index.to_string())],
            };
            self.submit(said, disk);
            self.submit(Operation::Rename { from: path, to }, disk);
            let path = self.folder.clone();
            self.submit(Operation::SyncFolder { path }, disk);
            return Told::Nothing;
        }
        let Some(work) = self.under_way.take() else {
            return Told::Nothing;
        };
        let taken = work.taken();
        self.ready = work.restored.map(|restored| Received {
            from,
            index,
            restored,
        });
        Told::Taken(from, taken)
    }

    /// Whether one is on its way, or in place and waits, that is of this entry or a later one.
    pub(super) fn is_coming(&self, index: u64) -> bool {
        let ready = self.ready.as_ref().is_some_and(|it| it.index >= index);
        ready || self.under_way.as_ref().is_some_and(|it| it.index >= index)
    }

    /// The one that is in place is of no use.
    pub(super) fn refuse(&mut self) {
        self.ready = None;
    }

    /// The entry of the one that is in place and waits.
    pub(super) fn ready_index(&self) -> Option<u64> {
        self.ready.as_ref().map(|ready| ready.index)
    }

    /// The group's message names the snapshot that is in place. Whether it is this one: of the same entry, in the same term,
    /// with the same members.
    pub(super) fn accept(&mut self, marker: &Marker) -> bool {
        let is_it = |ready: &mut Received| {
            let place = ready.restored.place();
            ready.index == marker.index
                && place.is_some_and(|it| it.term == marker.term && it.members == marker.state)
        };
        if let Some(ready) = self.ready.take_if(is_it) {
            let former = self.accepted.replace(ready);
            self.unwanted.extend(former.map(|former| former.index));
        }
        self.accepted
            .as_ref()
            .is_some_and(|accepted| accepted.index == marker.index)
    }

    /// Takes the one that the group has taken.
    pub(super) fn take(&mut self, index: u64) -> Option<Received> {
        self.accepted.take_if(|accepted| accepted.index == index)
    }

    /// The journal knows of the snapshot of this entry.
    pub(super) fn unmark(&mut self, index: u64, disk: &mut dyn Disk) {
        if self.marked.take_if(|marked| *marked == index).is_some() {
            let path = mark(&self.folder);
            let remove = Operation::Remove { path };
            disk.submit(Lane::Background, Token::new(OWNER, 0), remove);
        }
    }

    /// What the group did not want, because it has all of it, is let go. Of which entries there are snapshots to be removed.
    pub(super) fn pass_over(&mut self) -> Vec<u64> {
        let accepted = self.accepted.take();
        self.unwanted
            .extend(accepted.map(|accepted| accepted.index));
        std::mem::take(&mut self.unwanted)
    }

    fn submit(&mut self, operation: Operation, disk: &mut dyn Disk) {
        if let Some(work) = &mut self.under_way {
            work.left += 1;
            disk.submit(Lane::Background, Token::new(OWNER, work.number), operation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Membership;
    use crate::coordinator::{Coordinator, Event, Options, Place};
    use crate::units::Moment;

    /// A coordinator's state as of entry 1.
    fn restored(place: &Marker) -> Restored {
        let mut core = Coordinator::new(Options::default(), Seed(1));
        let (index, data) = (1, Bytes::new());
        let mut effects = Vec::new();
        for event in [Event::Committed { index, data }, Event::EntryEnd { index }] {
            core.handle(Moment::START, event, &mut effects);
        }
        core.snapshot_begin(Place {
            term: place.term,
            members: place.state.clone(),
        });
        let mut restore = Restore::new(Seed(1));
        loop {
            let slice = core.snapshot_step(1 << 20).expect("one is under way");
            restore.feed(&slice.bytes).expect("it was just made");
            if slice.is_last {
                return restore.finish().expect("it is whole");
            }
        }
    }

    #[test]
    fn a_snapshot_that_the_group_does_not_want_is_to_be_removed() {
        let marker = Marker {
            index: 1,
            term: 3,
            state: Membership::of_voters([1, 2]).encode(),
        };
        let received = || Received {
            from: ServerId(2),
            index: 1,
            restored: restored(&marker),
        };
        let mut receiving = Receiving::new(PathBuf::from("folder"), None, Seed(1));
        receiving.ready = Some(received());
        assert!(receiving.accept(&marker));
        assert_eq!(receiving.pass_over(), [1], "the group passed over it");
        receiving.ready = Some(received());
        assert!(receiving.accept(&marker));
        assert!(receiving.take(1).is_some(), "the group took it");
        assert_eq!(receiving.pass_over(), [0; 0]);
    }
}
