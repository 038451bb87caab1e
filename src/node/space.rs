//! How much room the disk has left, and the reserve that is given up when there is none.
//!
//! Looked at often while the server works, not at all while it is idle: what is free changes
//! without us, but it matters only to those who write.

use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{self, Completion, Disk, Lane, Mode, Operation, Outcome, Owner, Token};
use crate::report::throttle::Complaint;
use crate::units::Moment;

/// The token of operations whose end says nothing about the reserve.
const RESERVE: u64 = 1;
/// The token of operations that make the reserve again.
const RESERVE_MADE: u64 = 2;

/// How often the disk is asked while something is written. In that time a disk of 1 GB/s takes less than the
/// room below which puts are refused by default; what was acknowledged to the journal and finds no room would
/// leave its producer without an answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is asked while puts are refused, or something else happens.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// How long a reserve that could not be made is left alone.
const RESERVE_AGAIN: Duration = Duration::from_secs(10);

/// The free space of the data folder.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    low_below: u64,
    free: Option<u64>,
    total: Option<u64>,
    looked_at: Option<Moment>,
    /// What the journal had written then.
    written_bytes: u64,
    low: bool,
    asked: bool,
    reserve: Reserve,
    /// Why the free space is unknown.
    trouble: Complaint,
}

/// A file that takes space so that there is some to give up.
#[derive(Debug)]
struct Reserve {
    path: PathBuf,
    length: u64,
    /// It is there, or being made.
    held: bool,
    /// It is not made again before.
    not_before: Moment,
    /// Why it could not be made again.
    trouble: Complaint,
}

impl Space {
    /// Watches the file system of `folder`; less than `low_below` bytes free are low.
    pub(crate) fn new(folder: PathBuf, low_below: u64, reserve_bytes: u64) -> Space {
        let reserve = Reserve {
            path: folder.join("reserve"),
            length: reserve_bytes,
            held: false,
            not_before: Moment::START,
            trouble: Complaint::default(),
        };
        Space {
            folder,
            low_below,
            free: None,
            total: None,
            looked_at: None,
            written_bytes: 0,
            low: false,
            asked: false,
            reserve,
            trouble: Complaint::default(),
        }
    }

    /// Makes the reserve at the start, as long as it is to be now. Without room for it the server starts all
    /// the same.
    pub(crate) fn make_reserve(&mut self, disk: &mut dyn Disk) {
        if self.reserve.length == 0 {
            // There may be one from when it was wanted.
            return self.remove_reserve(disk);
        }
        let file = disk.reserve();
        let path = self.reserve.path.clone();
        let length = self.reserve.length;
        let made = disk
            .run(Operation::Open {
                file,
                path,
                mode: Mode::Buffered,
            })
            .and_then(|_| disk.run(Operation::Truncate { file, length }))
            .and_then(|_| disk.run(Operation::Preallocate { file, length }));
        self.reserve.held = made.is_ok();
        if let Err(error) = made {
            tracing::warn!(%error, "no room for the reserve file");
            self.remove_reserve(disk);
        }
        // It holds nothing, so nothing has to be synced; a handle that is not open is closed already.
        let _ = disk.run(Operation::Close { file });
    }

    /// Gives up the reserve: something that has to be written found no space.
    pub(super) fn give_up_reserve(&mut self, disk: &mut dyn Disk) {
        if std::mem::take(&mut self.reserve.held) {
            tracing::error!(
                path = %self.reserve.path.display(),
                "the disk is full: the reserve file is given up; make room, it is made again then"
            );
            self.remove_reserve(disk);
        }
    }

    fn remove_reserve(&self, disk: &mut dyn Disk) {
        let remove = Operation::Remove {
            path: self.reserve.path.clone(),
        };
        disk.submit(Lane::Background, Token::new(Owner::Space, RESERVE), remove);
    }

    /// Makes the reserve again once there is plenty of room.
    fn restore_reserve(&mut self, free: u64, disk: &mut dyn Disk) {
        let plenty = self
            .low_below
            .saturating_add(self.reserve.length.saturating_mul(2));
        let now = self.looked_at.unwrap_or(Moment::START);
        let waits = now < self.reserve.not_before;
        if self.reserve.held || self.reserve.length == 0 || free < plenty || waits {
            return;
        }
        self.reserve.held = true;
        let file = disk.reserve();
        let token = Token::new(Owner::Space, RESERVE_MADE);
        let path = self.reserve.path.clone();
        let length = self.reserve.length;
        disk.submit(
            Lane::Background,
            token,
            Operation::Open {
                file,
                path,
                mode: Mode::Buffered,
            },
        );
        disk.submit(
            Lane::Background,
            token,
            Operation::Preallocate { file, length },
        );
        disk.submit(
            Lane::Background,
            Token::new(Owner::Space, RESERVE),
            Operation::Close { file },
        );
    }

    /// What is wrong with the free space and the reserve, in words.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &str> {
        let own = self.trouble.reason().into_iter();
        own.chain(self.reserve.trouble.reason())
    }

    /// Asks the disk, if it was not asked for a while; more often while the journal grows, of which `written_bytes` tells.
    /// Called in every turn, so a lone server that is idle asks nothing.
    pub(super) fn look(&mut self, now: Moment, written_bytes: u64, disk: &mut dyn Disk) {
        let every = match written_bytes == self.written_bytes {
            true => LOOK_AGAIN_EVERY,
            false => LOOK_EVERY,
        };
        let due = self.looked_at.is_none_or(|at| at + every <= now);
        if due && !self.asked {
            self.asked = true;
            self.written_bytes = written_bytes;
            self.looked_at = Some(now);
            let space = Operation::Space {
                path: self.folder.clone(),
            };
            disk.submit(Lane::Background, Token::new(Owner::Space, 0), space);
        }
    }

    /// Takes the disk's answer.
    pub(super) fn complete(&mut self, completion: Completion, disk: &mut dyn Disk) {
        match completion.token.number {
            RESERVE => {
                if let Err(error) = completion.result {
                    tracing::debug!(%error, "the reserve file");
                }
                return;
            }
            RESERVE_MADE => {
                match completion.result {
                    // What comes behind the first failure fails in its wake.
                    Err(error) if std::mem::take(&mut self.reserve.held) => {
                        let now = self.looked_at.unwrap_or(Moment::START);
                        self.reserve.not_before = now + RESERVE_AGAIN;
                        let what = "the reserve file cannot be made again";
                        note(&mut self.reserve.trouble, what, &error);
                        self.remove_reserve(disk);
                    }
                    Err(_) | Ok(Outcome::Opened { .. }) => {}
                    Ok(_) => self.reserve.trouble.ends(),
                }
                return;
            }
            _ => {}
        }
        self.asked = false;
        match completion.result {
            Ok(Outcome::Space(space)) => {
                self.trouble.ends();
                self.free = Some(space.free);
                self.total = Some(space.total);
                let low = space.free < self.low_below;
                if low != self.low {
                    let (free_bytes, low_below) = (space.free, self.low_below);
                    if low {
                        tracing::error!(
                            free_bytes,
                            low_below,
                            "the disk is nearly full: puts are refused, reads and the coordinator go on"
                        );
                    } else {
                        tracing::info!(free_bytes, "the disk has room again: puts go on");
                    }
                }
                self.low = low;
                self.restore_reserve(space.free, disk);
            }
            Ok(_) => {}
            Err(error) => note(&mut self.trouble, "the free space is unknown", &error),
        }
    }

    /// Whether puts are to be refused.
    pub(super) fn is_low(&self) -> bool {
        self.low
    }

    /// Free bytes when last looked.
    pub(super) fn free(&self) -> Option<u64> {
        self.free
    }

    /// The file system's size when last looked.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// While space is low it is looked at without a cause, so that puts go on by themselves.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.looked_at {
            Some(at) if self.low && !self.asked => Some(at + LOOK_AGAIN_EVERY),
            _ => None,
        }
    }
}

/// Tells once what is wrong, until it is right again.
fn note(told: &mut Complaint, what: &str, error: &disk::Error) {
    if told.is_new(&format!("{what}: {error}")) {
        tracing::warn!(%error, "{what}");
    }
}
