//! What both sides act on: the time, the clients' connections, the journal, the disk.

use super::connections::Connections;
use super::peers::Peers;
use crate::disk::Disk;
use crate::journal::Journal;
use crate::units::{Moment, WallTime};

/// The node's surroundings, as far as they are the same for the coordinator and the broker.
pub(super) struct World {
    /// When the event that is being taken in happened.
    pub(super) now: Moment,
    /// The time of day then.
    pub(super) wall: WallTime,
    pub(super) connections: Connections,
    pub(super) peers: Peers,
    pub(super) journal: Journal,
    pub(super) disk: Box<dyn Disk>,
}

impl World {
    /// Time has come so far.
    pub(super) fn set(&mut self, now: Moment, wall: WallTime) {
        self.now = now;
        self.wall = wall;
    }
}
