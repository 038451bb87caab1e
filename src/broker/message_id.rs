//! Message ids, as Metamorphosis counts them:
//!
//! ```text
//!   63 62                    22 21        12 11        0
//!   +--+-----------------------+------------+----------+
//!   |0 | ms since 2011-04-27   | broker id  | sequence |
//!   +--+-----------------------+------------+----------+
//! ```
//!
//! Consumers drop a message whose id they saw lately, so an id never comes twice and never goes back: not
//! when the wall clock does, not over a restart, not when another server takes over. If the clock stands
//! still, the sequence runs over into the next millisecond.

use crate::units::{ServerId, WallTime};

/// 2011-04-27T09:14:20.503Z, where the count begins.
const EPOCH_MS: i64 = 1_303_895_660_503;
const SEQUENCE_BITS: u32 = 12;
const TIME_SHIFT: u32 = 22;
const SEQUENCE_END: i64 = 1 << SEQUENCE_BITS;
/// The first time that does not fit (in 2080).
const TIME_END: i64 = 1 << (63 - TIME_SHIFT);
/// How far an id found in files of another broker may be ahead of the wall clock to be believed.
const AHEAD_MS_MAX: i64 = 24 * 3600 * 1000;

/// When an id was given out, by its own account. None for those that were not counted like this: Metamorphosis has
/// given out negative ones since 1.4.5.
pub fn made_at(id: i64) -> Option<WallTime> {
    (id > 0).then(|| WallTime((id >> TIME_SHIFT) + EPOCH_MS))
}

/// Gives out ids.
#[derive(Clone, Debug)]
pub(super) struct MessageIds {
    broker: i64,
    last: i64,
}

impl MessageIds {
    /// Ids above `last`.
    pub(super) fn new(broker: ServerId, last: i64) -> MessageIds {
        MessageIds {
            broker: i64::from(broker.0 & 0x3ff) << SEQUENCE_BITS,
            last: last.max(0),
        }
    }

    /// The highest id known.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// An id that exists already: all to come are higher.
    pub(super) fn seen(&mut self, id: i64) {
        self.last = self.last.max(id);
    }

    /// An id in a file that another broker wrote. One from the far future is not believed: following it
    /// would use up the numbers.
    pub(super) fn adopted(&mut self, id: i64, wall: WallTime) {
        if (id >> TIME_SHIFT) + EPOCH_MS <= wall.0.saturating_add(AHEAD_MS_MAX) {
            self.seen(id);
        }
    }

    /// The next id. `None` when the numbers are used up.
    pub(super) fn next(&mut self, wall: WallTime) -> Option<i64> {
        let now = wall.0.saturating_sub(EPOCH_MS).clamp(1, TIME_END);
        let last_time = self.last >> TIME_SHIFT;
        let (time, sequence) = if now > last_time {
            (now, 0)
        } else {
            // The last one may carry another broker's number; what follows is above it in any case.
            let sequence = (self.last & (SEQUENCE_END - 1)) + 1;
            let candidate = last_time << TIME_SHIFT | self.broker | sequence;
            if sequence < SEQUENCE_END && candidate > self.last {
                (last_time, sequence)
            } else {
                (last_time + 1, 0)
            }
        };
        if time >= TIME_END {
            return None;
        }
        self.last = time << TIME_SHIFT | self.broker | sequence;
        Some(self.last)
    }
}
