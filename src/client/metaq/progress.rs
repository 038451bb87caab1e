//! How far a group has read a partition, as it stands in ZooKeeper.
//!
//! ```text
//! -5468916464436117504-6489        <id of the last message> - <offset of the next one>
//! -1-0                             no message yet
//! 6489                             clients before 1.4.0: the offset alone
//! ```
//!
//! Both numbers are signed, so the dash between them is the last one, unless that one is a sign.

use std::fmt;
use std::str::FromStr;

/// The content of an offset node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The id of the last message that was consumed; -1 if it is not known.
    pub message_id: i64,
    /// Where the next message begins.
    pub offset: i64,
}

impl Progress {
    /// At an offset, with no message consumed yet.
    pub const fn at(offset: i64) -> Progress {
        Progress {
            message_id: -1,
            offset,
        }
    }
}

/// Text that is not a progress.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a consumer's progress: expected MESSAGE_ID-OFFSET")]
pub struct NotAProgress(pub String);

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.message_id, self.offset)
    }
}

impl FromStr for Progress {
    type Err = NotAProgress;

    fn from_str(text: &str) -> Result<Progress, NotAProgress> {
        let progress = match text.rfind('-').filter(|&dash| dash > 0) {
            Some(dash) => {
                let (message_id, offset) = text.split_at(dash);
                let offset = offset
                    .strip_prefix('-')
                    .and_then(|offset| offset.parse().ok());
                message_id.parse().ok().zip(offset)
            }
            None => text.parse().ok().map(|offset| (-1, offset)),
        };
        progress
            .map(|(message_id, offset)| Progress { message_id, offset })
            .ok_or_else(|| NotAProgress(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn check(text: &str, message_id: i64, offset: i64) {
        assert_eq!(
            text.parse(),
            Ok(Progress { message_id, offset }),
            "{text:?}"
        );
    }

    #[test]
    fn the_last_dash_separates_because_ids_may_be_negative() {
        check(
            "-5468916464436117504-6489",
            -5_468_916_464_436_117_504,
            6489,
        );
        check("1661382015569653763-25", 1_661_382_015_569_653_763, 25);
        check("-1-0", -1, 0);
        // An operator's skip.
        check("0-9223372036854775807", 0, i64::MAX);
    }

    #[test]
    fn a_plain_offset_of_an_old_client_is_understood() {
        check("6489", -1, 6489);
        check("-1", -1, -1);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-", "--", "a-1", "1-", "1-a", "1 - 2", "1--"] {
            assert!(text.parse::<Progress>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(message_id: i64, offset in 0..i64::MAX) {
            let progress = Progress { message_id, offset };
            prop_assert_eq!(progress.to_string().parse(), Ok(progress));
        }
    }
}
