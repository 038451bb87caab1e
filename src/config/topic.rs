//! What can be said of a topic: its name, its partitions, when its messages may go.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::checked::Origin;
use super::key::Written;

/// The longest name a topic may have: a folder is named after it, with a partition number behind.
pub const TOPIC_NAME_BYTES_MAX: usize = 200;

/// What a topic's name may be, to be read after "must be".
pub const TOPIC_NAME_WORDS: &str =
    "1 to 200 characters without space, control character, '/', '\\', quote or leading '.'";

/// Whether a folder, a ZooKeeper node and a word of the protocol can be named so; `*` passes.
pub fn topic_name_is_valid(name: &str) -> bool {
    let permitted =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '\\' | '"' | '\'');
    !name.is_empty()
        && name.len() <= TOPIC_NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.chars().all(permitted)
}

/// One topic, or all that a wildcard matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its name; `*` stands for any characters.
    pub name: String,
    /// What the operator wrote of it.
    pub own: OwnTopicSettings,
    /// What holds for it: its own settings over the broker's.
    pub settings: TopicSettings,
}

/// A setting of topics in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The topic in whose section it stands; none for the broker's, which holds for all.
    pub topic: Option<String>,
    /// The key, as it is called in `[topics.NAME]`.
    pub key: &'static str,
    /// The value as it was written.
    pub value: String,
    /// The section it stands in, such as `[topics.orders]` or `[system]`.
    pub section: String,
    /// Where it stands.
    pub origin: Origin,
}

/// What an operator may write of one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnTopicSettings {
    /// See [`TopicSettings::num_partitions`].
    pub num_partitions: Option<u32>,
    /// See [`TopicSettings::delete_policy`].
    pub delete_policy: Option<DeletePolicy>,
    /// See [`TopicSettings::delete_when`].
    pub delete_when: Option<Schedule>,
    /// See [`TopicSettings::accept_publish`].
    pub accept_publish: Option<bool>,
    /// See [`TopicSettings::accept_subscribe`].
    pub accept_subscribe: Option<bool>,
    /// See [`TopicSettings::statistics`].
    pub statistics: Option<bool>,
    /// See [`TopicSettings::folder`].
    pub folder: Option<PathBuf>,
}

/// What holds for a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// How many partitions it has on this broker.
    pub num_partitions: u32,
    /// Which of its segments may go.
    pub delete_policy: DeletePolicy,
    /// When they are looked for.
    pub delete_when: Schedule,
    /// Whether producers find it in ZooKeeper.
    pub accept_publish: bool,
    /// Whether consumers find it in ZooKeeper.
    pub accept_subscribe: bool,
    /// Whether its real-time statistics are collected.
    pub statistics: bool,
    /// The folder in which its partitions' folders lie.
    pub folder: PathBuf,
}

impl OwnTopicSettings {
    /// These settings, and the broker's where there is none.
    pub fn over(&self, broker: &TopicSettings) -> TopicSettings {
        TopicSettings {
            num_partitions: self.num_partitions.unwrap_or(broker.num_partitions),
            delete_policy: self.delete_policy.unwrap_or(broker.delete_policy),
            delete_when: self
                .delete_when
                .clone()
                .unwrap_or_else(|| broker.delete_when.clone()),
            accept_publish: self.accept_publish.unwrap_or(broker.accept_publish),
            accept_subscribe: self.accept_subscribe.unwrap_or(broker.accept_subscribe),
            statistics: self.statistics.unwrap_or(broker.statistics),
            folder: self.folder.clone().unwrap_or_else(|| broker.folder.clone()),
        }
    }
}

/// What becomes of a closed segment that is older than a given age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// It is removed.
    Delete {
        /// The age.
        older_than: Duration,
    },
    /// It is renamed to `.arc`, or packed into a `.zip`, and stays.
    Archive {
        /// The age.
        older_than: Duration,
        /// Whether it is packed.
        compress: bool,
    },
}

impl DeletePolicy {
    /// The age at which a segment may go.
    pub fn older_than(&self) -> Duration {
        match self {
            DeletePolicy::Delete { older_than } | DeletePolicy::Archive { older_than, .. } => {
                *older_than
            }
        }
    }
}

/// A delete policy that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a delete policy")]
pub struct NotADeletePolicy;

impl FromStr for DeletePolicy {
    type Err = NotADeletePolicy;

    fn from_str(text: &str) -> Result<DeletePolicy, NotADeletePolicy> {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        match words.as_slice() {
            ["delete", age] => Ok(DeletePolicy::Delete {
                older_than: read_age(age)?,
            }),
            ["archive", age] => Ok(DeletePolicy::Archive {
                older_than: read_age(age)?,
                compress: false,
            }),
            ["archive", age, compress] => {
                let compress = compress.parse().map_err(|_| NotADeletePolicy)?;
                Ok(DeletePolicy::Archive {
                    older_than: read_age(age)?,
                    compress,
                })
            }
            _ => Err(NotADeletePolicy),
        }
    }
}

/// An age in hours, or with `s`, `m` or `h` behind it.
fn read_age(text: &str) -> Result<Duration, NotADeletePolicy> {
    // Ten years; a longer age is a typing mistake and would not fit the arithmetic of file times.
    const SECONDS_MAX: u64 = 10 * 366 * 86_400;
    let (digits, seconds_each) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        _ => (text, 3600),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotADeletePolicy);
    }
    let count: u64 = digits.parse().map_err(|_| NotADeletePolicy)?;
    match count.checked_mul(seconds_each) {
        Some(seconds) if (1..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(NotADeletePolicy),
    }
}

impl fmt::Display for DeletePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = match self.older_than().as_secs() {
            seconds if seconds % 3600 == 0 => (seconds / 3600).to_string(),
            seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
            seconds => format!("{seconds}s"),
        };
        match self {
            DeletePolicy::Delete { .. } => write!(f, "delete,{age}"),
            DeletePolicy::Archive {
                compress: false, ..
            } => write!(f, "archive,{age}"),
            DeletePolicy::Archive { compress: true, .. } => write!(f, "archive,{age},true"),
        }
    }
}

impl Written for DeletePolicy {
    const WORDS: &'static str = "\"delete,AGE\", \"archive,AGE\" or \"archive,AGE,true\", where AGE is in hours, or with s, m or h behind it, from 1s to 87840h";
}

/// When something is done, in Quartz's notation: second, minute, hour, day, month, weekday.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    schedule: cron::Schedule,
}

impl Schedule {
    /// The schedule as a value that can be asked for its next time.
    pub fn cron(&self) -> &cron::Schedule {
        &self.schedule
    }
}

impl FromStr for Schedule {
    type Err = cron::error::Error;

    fn from_str(text: &str) -> Result<Schedule, cron::error::Error> {
        Ok(Schedule {
            text: text.to_owned(),
            schedule: text.parse()?,
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text
    }
}

impl Written for Schedule {
    const WORDS: &'static str = "six or seven fields \"second minute hour day month weekday [year]\", such as \"0 0 6,18 * * ?\"";
}

#[cfg(test)]
mod tests;
