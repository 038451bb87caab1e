//! Transcripts: a command, dashes, everything that happened.
//!
//! `UPDATE=1 cargo test --lib segments` writes them anew; read the difference as a specification.
//!
//! ```text
//!   files START+LENGTH[@WRITTEN]...        a partition's files, written in this run
//!   opened START+LENGTH[@WRITTEN]...       the same, found at the start
//!   visible OFFSET       lookup OFFSET BYTES        nearest OFFSET
//!   good START FROM TO   bad START FROM AT          a check of the file at START began at FROM and found
//!   append OFFSET BYTES [rolls]            retire FIRST       operations
//!   policy POLICY [bytes=N]                first WALL          (milliseconds; WRITTEN too)
//!   when EXPRESSION; after TIME [utc=S]    the moment after it, as TIME
//!   promise START+LENGTH... [retired=START]...   what the checkpoint says (none: there is none)
//!   found START+LENGTH...                  the files in the folder
//!   tail VALID_TO MESSAGES                 what the scan found
//!   scans   cut OFFSET   adopt   retired FIRST   open [accept_loss] [forsaken]
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::segments::append::{Run, Writes};
use crate::segments::checkpoint::{Checkpoint, PartitionCheckpoint, SegmentCheckpoint};
use crate::segments::partition::{Segment, Segments};
use crate::segments::recovery::{Damage, Found, FoundFile, Opening, Settled, Tail};
use crate::segments::retention::{Action, Policy, Retired, When};
use crate::segments::verify::Outcome;
use crate::segments::walk::Fault;
use crate::segments::{FileOperation, PartitionId};
use crate::tests::transcript::{happen, scripts};
use crate::units::WallTime;

const PARTITION: PartitionId = PartitionId(0);

scripts! {
    "src/segments/scripts":
    appending, lookups, recovering, retiring, verifying => play;
}

fn play(script: &str) -> String {
    let mut runner = Runner::default();
    happen(script, |command| runner.command(command))
}

#[derive(Default)]
struct Runner {
    segments: Segments,
    visible: u64,
    writes: Writes,
    policy: Policy,
    promise: Option<Vec<SegmentCheckpoint>>,
    retired: Vec<Retired>,
    found: Vec<FoundFile>,
    tail: Option<Tail>,
    accept_loss: bool,
    forsaken: bool,
}

/// `START+LENGTH[@WRITTEN]`.
fn segment(word: &str) -> SegmentCheckpoint {
    let (place, modified) = word.split_once('@').unwrap_or((word, "0"));
    let (start, length) = place.split_once('+').expect("START+LENGTH");
    SegmentCheckpoint {
        start: start.parse().unwrap(),
        length: length.parse().unwrap(),
        messages: 0,
        modified: WallTime(modified.parse().unwrap()),
    }
}

fn segments_text<'a>(segments: impl Iterator<Item = &'a Segment>) -> String {
    let list: Vec<String> = segments
        .map(|one| format!("{}+{}", one.start, one.length))
        .collect();
    if list.is_empty() {
        "no files".to_owned()
    } else {
        list.join(" ")
    }
}

fn operation_text(operation: &FileOperation) -> String {
    let start = operation.file().start;
    match operation {
        FileOperation::Create { .. } => format!("create {start}"),
        FileOperation::Write {
            position, slices, ..
        } => {
            let bytes: usize = slices.iter().map(Bytes::len).sum();
            format!(
                "write {start} at {position}: {bytes} bytes in {} slices",
                slices.len()
            )
        }
        FileOperation::Truncate { length, .. } => format!("cut {start} to {length}"),
        FileOperation::Remove { .. } => format!("remove {start}"),
        FileOperation::Archive {
            compress: false, ..
        } => format!("archive {start}"),
        FileOperation::Archive { compress: true, .. } => format!("archive {start}, compressed"),
    }
}

impl Runner {
    fn command(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<u64>().expect("a number");
        match words[0] {
            "files" | "opened" => {
                let build = |word: &&str| {
                    let found = segment(word);
                    let mut built = Segment::opened(&found);
                    if words[0] == "files" {
                        built = Segment::begun(found.start, found.modified);
                        built.length = found.length;
                    }
                    built
                };
                let list: VecDeque<Segment> = words[1..].iter().map(build).collect();
                self.segments = Segments::new(list);
                self.visible = self.segments.end();
            }
            "visible" => self.visible = number(1),
            "lookup" => {
                let found = self
                    .segments
                    .lookup(PARTITION, number(1), self.visible, number(2));
                return vec![lookup_text(&format!("{found:?}"))];
            }
            "nearest" => return vec![self.segments.nearest(number(1), self.visible).to_string()],
            "good" | "bad" => {
                let outcome = match words[0] {
                    "good" => Outcome::Good { to: number(3) },
                    _ => Outcome::Bad {
                        at: number(3),
                        fault: Fault::Checksum,
                    },
                };
                let segment = self.segments.starting_at(number(1)).unwrap();
                segment.verified.learn(number(2), outcome);
            }
            "append" => {
                let records = Bytes::from(vec![0; words[2].parse().unwrap()]);
                let run = Run {
                    offset: number(1),
                    records,
                    rolls: words.contains(&"rolls"),
                };
                self.segments
                    .append(PARTITION, run, WallTime(0), &mut self.writes);
            }
            "retire" => {
                let gone = self.segments.retire(number(1));
                return vec![format!(
                    "{gone:?} go, {} stay",
                    segments_text(self.segments.iter())
                )];
            }
            "operations" => return self.writes.take().iter().map(operation_text).collect(),
            "policy" => match Policy::parse(words[1], "0 0 6,18 * * ?") {
                Ok(policy) => {
                    let bytes = words.get(2).and_then(|word| word.strip_prefix("bytes="));
                    self.policy = policy;
                    self.policy.partition_bytes_max = bytes.map(|bytes| bytes.parse().unwrap());
                    let (action, age_max) = (self.policy.action, self.policy.age_max);
                    return vec![format!("{action:?} after {age_max:?}")];
                }
                Err(unclear) => return vec![unclear.to_string()],
            },
            "first" => {
                let wall = WallTime(words[1].parse().unwrap());
                return vec![
                    self.segments
                        .first_after_retention(&self.policy, wall, self.visible)
                        .to_string(),
                ];
            }
            "when" => return vec![when(line)],
            _ => return self.recovery(&words),
        }
        Vec::new()
    }

    fn recovery(&mut self, words: &[&str]) -> Vec<String> {
        let number = |index: usize| words[index].parse::<u64>().expect("a number");
        match words[0] {
            "promise" => {
                let none = words.contains(&"none");
                let segments = words[1..].iter().filter(|word| word.contains('+'));
                self.promise = (!none).then(|| segments.map(|one| segment(one)).collect());
                let retired = words[1..]
                    .iter()
                    .filter_map(|word| word.strip_prefix("retired="));
                let action = Action::Archive { compress: false };
                let retired = retired.map(|start| Retired {
                    start: start.parse().unwrap(),
                    action,
                });
                self.retired = retired.collect();
                self.tail = None;
                self.accept_loss = false;
                self.forsaken = false;
            }
            "found" => {
                let found = |word: &&str| {
                    let SegmentCheckpoint {
                        start,
                        length,
                        modified,
                        ..
                    } = segment(word);
                    FoundFile {
                        start,
                        length,
                        modified,
                    }
                };
                self.found = words[1..].iter().map(found).collect();
                self.tail = None;
            }
            "tail" => {
                let (valid_to, messages) = (number(1), number(2));
                self.tail = Some(Tail {
                    valid_to,
                    messages,
                    last_message_id: None,
                });
            }
            "open" => {
                self.accept_loss = words.contains(&"accept_loss");
                self.forsaken = words.contains(&"forsaken");
                return self
                    .open()
                    .err()
                    .map(|damage| damage.to_string())
                    .into_iter()
                    .collect();
            }
            "scans" => match self.open() {
                Ok(opening) => {
                    let text = |scan: &crate::segments::recovery::Scan| {
                        format!(
                            "{}/{} from {} to {}",
                            scan.folder, scan.file, scan.from, scan.to
                        )
                    };
                    return opening.scans().iter().map(text).collect();
                }
                Err(damage) => return vec![damage.to_string()],
            },
            "cut" | "adopt" | "retired" => {
                let mut opening = match self.open() {
                    Ok(opening) => opening,
                    Err(damage) => return vec![damage.to_string()],
                };
                let mut partition = opening.partitions.remove(0);
                let mut out = Vec::new();
                if words[0] == "retired" {
                    out.push(format!("{:?} go", partition.retire(number(1))));
                }
                let settled = match words[0] {
                    "cut" => partition.cut(PARTITION, number(1)),
                    _ => partition.adopt(PARTITION),
                };
                out.extend(settled_text(settled));
                return out;
            }
            other => panic!("no command {other}"),
        }
        Vec::new()
    }

    fn open(&self) -> Result<Opening, Damage> {
        let files = self.found.clone();
        let found = Found {
            topic: "test".to_owned(),
            number: 0,
            data_folder: 0,
            files,
        };
        let checkpoint = self.promise.clone().map(|segments| Checkpoint {
            applied: 7,
            last_message_id: 0,
            partitions: vec![PartitionCheckpoint {
                topic: "test".to_owned(),
                number: 0,
                segments,
                retired: self.retired.clone(),
            }],
        });
        let mut opening = Opening::new(vec![found], checkpoint, self.accept_loss)?;
        if let Some(tail) = self.tail {
            opening.scanned(0, tail);
        }
        if self.forsaken {
            opening.forsake();
        }
        Ok(opening)
    }
}

fn settled_text(settled: Result<Settled, Damage>) -> Vec<String> {
    let settled = match settled {
        Ok(settled) => settled,
        Err(damage) => return vec![damage.to_string()],
    };
    let mut out: Vec<String> = settled.operations.iter().map(operation_text).collect();
    let adopted = if settled.adopted { ", adopted" } else { "" };
    out.push(format!(
        "{}{adopted}",
        segments_text(settled.segments.iter())
    ));
    out
}

/// The debug form without what every line repeats.
fn lookup_text(debug: &str) -> String {
    debug
        .replace("FileId { partition: PartitionId(0), start: ", "file ")
        .replace(" }, ", ", ")
        .replace("Place(Place { ", "place { ")
        .replace("})", "}")
        .replace("Check(Range ", "check ")
}

/// `when EXPRESSION; after TIME [utc=S]`.
fn when(line: &str) -> String {
    let (expression, after) = line.split_once(';').expect("an expression; and a time");
    let expression = expression.trim_start_matches("when ").trim();
    let mut words = after.split_whitespace().skip(1);
    let time: DateTime<Utc> = words.next().unwrap().parse().expect("a time");
    let utc = words.next().and_then(|word| word.strip_prefix("utc="));
    let utc_offset_s = utc.map_or(0, |utc| utc.parse().unwrap());
    match When::parse(expression) {
        Ok(when) => match when.next_after(WallTime(time.timestamp_millis()), utc_offset_s) {
            Some(next) => DateTime::from_timestamp_millis(next.0).unwrap().to_string(),
            None => "never".to_owned(),
        },
        Err(unclear) => unclear.to_string(),
    }
}
