//! What may go, and when.
//!
//! Only whole files go, only from the front, and never the last one. What goes is decided once, by the
//! server that proposes it, and carried by the entry, so that a clock or a file's date never decides on a
//! replica or when the entry is applied again.
//!
//! A file goes in two steps: the entry takes it out of the partition, and once a durable checkpoint lists it
//! as retired it is removed or archived. So whatever a checkpoint names as good must be there after a crash,
//! and what it lists as retired is removed then if it was not before.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cron::Schedule;
use thiserror::Error;

use super::partition::Segments;
use crate::units::WallTime;

/// What becomes of old segments, and when that is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What is done to a segment that may go.
    pub action: Action,
    /// Segments whose last write is older than this may go.
    pub age_max: Duration,
    /// Segments at the front may go while the partition has more bytes than this.
    pub partition_bytes_max: Option<u64>,
    /// When the policy is applied, local time.
    pub when: When,
}

/// What is done to a segment that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Remove it.
    Delete,
    /// Rename it to `.meta.arc`, or compress it to `.meta.zip`.
    Archive {
        /// Compress it.
        compress: bool,
    },
}

/// A file that an entry retired and that may still be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The offset of its first byte.
    pub start: u64,
    /// What is done to it.
    pub action: Action,
}

impl Action {
    /// The number that stands for it in entries and checkpoints.
    pub fn code(self) -> u8 {
        match self {
            Action::Delete => 0,
            Action::Archive { compress: false } => 1,
            Action::Archive { compress: true } => 2,
        }
    }

    /// The action of a number.
    pub fn from_code(code: u8) -> Option<Action> {
        match code {
            0 => Some(Action::Delete),
            1 => Some(Action::Archive { compress: false }),
            2 => Some(Action::Archive { compress: true }),
            _ => None,
        }
    }
}

/// A moment in Quartz's cron notation: seconds, minutes, hours, day of month, month, day of week (1 is
/// Sunday), and perhaps a year.
#[derive(Clone, Debug)]
pub struct When(Box<Schedule>);

impl PartialEq for When {
    fn eq(&self, other: &When) -> bool {
        self.0.source() == other.0.source()
    }
}

/// Why a policy cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unclear {
    /// Not `delete,N` or `archive,N[,true]`.
    #[error("\"{0}\" is no delete policy; write delete,168 or archive,24h or archive,30m,true")]
    Policy(String),
    /// Not a cron expression.
    #[error("\"{0}\" is no cron expression ({1}); the default is 0 0 6,18 * * ?")]
    When(String, String),
}

/// What Metamorphosis does by default: delete after 168 hours.
pub const DEFAULT_POLICY: &str = "delete,168";
/// When it does so by default.
pub const DEFAULT_WHEN: &str = "0 0 6,18 * * ?";

impl Policy {
    /// Reads `deletePolicy` and `deleteWhen` as Metamorphosis writes them: `delete,N` or
    /// `archive,N[,true]`, where N may end in `s`, `m` or `h` (the default).
    ///
    /// # Errors
    /// One of them cannot be understood.
    pub fn parse(policy: &str, when: &str) -> Result<Policy, Unclear> {
        let unclear = || Unclear::Policy(policy.to_owned());
        let mut fields = policy.split(',').map(str::trim);
        let name = fields.next().unwrap_or_default();
        let age_max = duration(fields.next().unwrap_or_default()).ok_or_else(unclear)?;
        let option = fields.next();
        let action = match (name, option) {
            ("delete", None) => Action::Delete,
            ("archive", None | Some("false")) => Action::Archive { compress: false },
            ("archive", Some("true")) => Action::Archive { compress: true },
            _ => return Err(unclear()),
        };
        if fields.next().is_some() {
            return Err(unclear());
        }
        Ok(Policy {
            action,
            age_max,
            partition_bytes_max: None,
            when: When::parse(when)?,
        })
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::parse(DEFAULT_POLICY, DEFAULT_WHEN).expect("the defaults are well formed")
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit_s) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ => (text, 3600),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(unit_s)?))
}

impl When {
    /// Reads an expression.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn parse(text: &str) -> Result<When, Unclear> {
        let schedule = Schedule::from_str(text.trim()).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().to_owned();
            Unclear::When(text.to_owned(), why)
        })?;
        Ok(When(Box::new(schedule)))
    }

    /// The first moment after `wall` that the expression names, on a clock that is `utc_offset_s` seconds
    /// ahead of UTC. `None` if there is none any more.
    pub fn next_after(&self, wall: WallTime, utc_offset_s: i32) -> Option<WallTime> {
        let ahead_ms = i64::from(utc_offset_s) * 1000;
        // The local clock's reading, taken as if it were UTC: the library then counts in local time.
        let local: DateTime<Utc> = DateTime::from_timestamp_millis(wall.0.checked_add(ahead_ms)?)?;
        let next = self.0.after(&local).next()?;
        Some(WallTime(next.timestamp_millis() - ahead_ms))
    }
}

impl Segments {
    /// The offset at which the partition begins once everything that the policy lets go is gone. What is
    /// not written up to `visible` stays.
    pub fn first_after_retention(&self, policy: &Policy, wall: WallTime, visible: u64) -> u64 {
        let age_max_ms = i64::try_from(policy.age_max.as_millis()).unwrap_or(i64::MAX);
        let young_from = wall.0.saturating_sub(age_max_ms);
        let end = self.end();
        let mut first = self.first();
        for segment in self.iter().take(self.count().saturating_sub(1)) {
            let old = segment.modified.0 < young_from;
            let large = policy
                .partition_bytes_max
                .is_some_and(|max| end - segment.start > max);
            if !old && !large || segment.end() > visible {
                break;
            }
            first = segment.end();
        }
        first
    }

    /// Forgets the files before `first`, but never the last one; returns where they begin.
    ///
    /// They must not be touched before a durable checkpoint says that they go: a file that an older
    /// checkpoint names and that is not there is damage.
    pub fn retire(&mut self, first: u64) -> Vec<u64> {
        self.drop_front(first)
            .iter()
            .map(|segment| segment.start)
            .collect()
    }
}
