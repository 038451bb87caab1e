//! Units and identifiers shared by every module. Nothing here does more than arithmetic.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

mod counted;
// What servers of several releases may write and say.
pub mod feature;
mod latency;

pub use counted::counted;
pub use latency::{LATENCY_BOUNDS_US, LatencyHistogram};

/// A point on the server's monotonic clock, in nanoseconds since the process started.
///
/// The shell reads the clock once a turn and passes it down; a test makes moments up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The start of the process.
    pub const START: Moment = Moment(0);

    /// The moment this many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// The moment this many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Moment {
        Moment(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    /// Saturates at the end of time (584 years), so that a huge configured wait means "never".
    fn add(self, duration: Duration) -> Moment {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.since(earlier)
    }
}

/// Wall-clock time in milliseconds since 1970, as clients see it in stats and message ids.
///
/// Stamped into a command by whoever proposes it, so that every replica stores the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// One socket, while it lasts. Never used twice in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A server of the cluster: its `myid` and broker id, 1 to 254 (0 for a lone MetaQ broker).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u16);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A Raft group: 0 is the coordinator, 1 + K is the group of broker id K.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The coordinator's group.
    pub const COORDINATOR: GroupId = GroupId(0);

    /// The group of one broker id.
    pub const fn broker(id: ServerId) -> GroupId {
        GroupId(1 + id.0 as u32)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// ZooKeeper's transaction number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// What all random choices of a core grow from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

/// A small deterministic generator (SplitMix64) for what must not come from the system: session ids,
/// jitter, the partition of a put that names none. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`.
    pub fn new(seed: Seed) -> Random {
        Random(seed.0)
    }

    /// The next 64 bits.
    #[allow(
        clippy::should_implement_trait,
        reason = "a generator does not end, and an Option a call would be noise"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "a number below 0 does not exist");
        // The bias is below 2^-32 for every range used here.
        self.next() % end
    }
}
