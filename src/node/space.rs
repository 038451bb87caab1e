//! How much room the disk has left.
//!
//! Looked at every few seconds while the server works, not at all while it is idle: what is free changes
//! without us, but it matters only to those who write.

use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{Completion, Disk, Lane, Operation, Outcome, Token};
use crate::units::Moment;

/// Whose completions are these.
pub(super) const TOKEN_OWNER: u8 = 5;

/// How often the disk is asked while something happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The free space of the data folder.
pub(super) struct Space {
    folder: PathBuf,
    low_below: u64,
    free: Option<u64>,
    total: Option<u64>,
    looked_at: Option<Moment>,
    low: bool,
    asked: bool,
}

impl Space {
    /// Watches the file system of `folder`; less than `low_below` bytes free are low.
    pub(super) fn new(folder: PathBuf, low_below: u64) -> Space {
        Space {
            folder,
            low_below,
            free: None,
            total: None,
            looked_at: None,
            low: false,
            asked: false,
        }
    }

    /// Asks the disk, if it was not asked for a while. Called in every turn, so an idle server asks nothing.
    pub(super) fn look(&mut self, now: Moment, disk: &mut dyn Disk) {
        let due = self.looked_at.is_none_or(|at| at + LOOK_EVERY <= now);
        if due && !self.asked {
            self.asked = true;
            self.looked_at = Some(now);
            let space = Operation::Space {
                path: self.folder.clone(),
            };
            disk.submit(Lane::Background, Token::new(TOKEN_OWNER, 0), space);
        }
    }

    /// Takes the disk's answer.
    pub(super) fn complete(&mut self, completion: Completion) {
        self.asked = false;
        match completion.result {
            Ok(Outcome::Space(space)) => {
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
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the free space is unknown"),
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
            Some(at) if self.low && !self.asked => Some(at + LOOK_EVERY),
            _ => None,
        }
    }
}
