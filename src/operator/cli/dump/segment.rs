//! `chrysalis dump segment`: the records of a message file.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use crate::operator::cli::progress;
use crate::report::{Code, Error};
use crate::segments::dump::{next_record_after, split};
use crate::segments::format::{
    DATA_BYTES_MAX, HEADER_BYTES, Header, Next, Record, file_number, next_record,
};
use crate::units::counted;

/// Print the records of a message file
///
/// Prints a line for each record: its offset in the partition, its message id and the time in it, its
/// flag, its length, and the beginning of its data. The original broker's files work, too, and so do files
/// in use. Damage is a line of its own, and the dump goes on at the next whole record, as skip-damage does. It ends
/// with 11 then.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis dump segment data/topics/orders-0/00000000000000000000.meta | tail\n  \
    chrysalis dump segment 00000000000000000000.meta --from 264 --count 1 --data > message")]
pub(super) struct Segment {
    /// The file, such as data/topics/orders-0/00000000000000000000.meta
    file: PathBuf,
    /// The offset of the record to begin with; it must be a record's first byte
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Print at most this many records
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print only the records' data, as it is
    #[arg(long, conflicts_with = "json")]
    data: bool,
    /// One JSON object a line: records, damage, and a record that is not whole
    #[arg(long)]
    json: bool,
}

impl Segment {
    pub(in crate::operator::cli) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let name = self
            .file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        // A copy may have any name: then offsets count from the file's first byte.
        let start = file_number(name).unwrap_or(0);
        let cannot_read = |error: std::io::Error| cannot_read(&self.file, error);
        let file = File::open(&self.file).map_err(cannot_read)?;
        let mut records =
            Records::new(file, self.from.unwrap_or(start), start).map_err(cannot_read)?;
        let bar = progress::bar("reading", records.unread);
        let total = records.unread;
        let mut printed = 0;
        let mut damage = Damage::default();
        while self.count.is_none_or(|count| printed < count) {
            let offset = records.offset;
            let found = records.next().map_err(cannot_read)?;
            if let Found::End = found {
                break;
            }
            self.print(offset, &found, out)?;
            match found {
                Found::Record(_) => printed += 1,
                Found::Damaged { zeros, .. } => damage.note(offset, zeros),
                Found::End | Found::Unfinished(_) => break,
            }
            bar.done(total - records.unread);
        }
        match damage.first {
            Some(first) => Err(damage.error(&self.file, first, first.0 - start).into()),
            None => Ok(()),
        }
    }

    fn print(&self, offset: u64, found: &Found, out: &mut dyn Write) -> std::io::Result<()> {
        if self.data {
            return match found {
                Found::Record(record) => out.write_all(&record.data),
                _ => Ok(()),
            };
        }
        if self.json {
            return writeln!(out, "{}", as_json(offset, found));
        }
        match found {
            Found::Record(record) => writeln!(out, "{}", line(offset, record)),
            Found::Unfinished(bytes) => writeln!(
                out,
                "{offset:>20}  {} of a record that is not whole: being written, or cut off",
                counted(*bytes, "bytes")
            ),
            Found::Damaged { bytes, zeros } => {
                writeln!(
                    out,
                    "{offset:>20}  DAMAGED: {}, {}",
                    counted(*bytes, "bytes"),
                    what_is_wrong(*zeros)
                )
            }
            Found::End => Ok(()),
        }
    }
}

fn what_is_wrong(zeros: bool) -> &'static str {
    match zeros {
        true => "zeros where a crash lost a write",
        false => "no record, or one that does not match its checksum",
    }
}

/// One object; a payload that is not text is in base 64, and an id is text, as `consume --json` has them.
fn as_json(offset: u64, found: &Found) -> Value {
    match found {
        Found::Record(record) => {
            let Header {
                message_id, flag, ..
            } = record.header;
            let (attribute, payload) = split(flag, record.data.clone());
            let (field, text) = match std::str::from_utf8(&payload) {
                Ok(text) => ("payload", text.to_owned()),
                Err(_) => (
                    "payload_base64",
                    base64::engine::general_purpose::STANDARD.encode(&payload),
                ),
            };
            json!({
                "offset": offset,
                "id": message_id.to_string(),
                "time": time_of(message_id),
                "flag": flag,
                "attribute": attribute,
                "size_bytes": payload.len(),
                field: text,
            })
        }
        Found::Damaged { bytes, zeros } => {
            json!({ "offset": offset, "damaged_bytes": bytes, "what": what_is_wrong(*zeros) })
        }
        Found::Unfinished(bytes) => json!({ "offset": offset, "unfinished_bytes": bytes }),
        Found::End => Value::Null,
    }
}

/// The damage that was met.
#[derive(Default)]
struct Damage {
    /// Where the first is, and whether zeros are there.
    first: Option<(u64, bool)>,
    places: u64,
}

impl Damage {
    fn note(&mut self, offset: u64, zeros: bool) {
        self.first = self.first.or(Some((offset, zeros)));
        self.places += 1;
    }

    fn error(&self, file: &Path, (offset, zeros): (u64, bool), position: u64) -> Error {
        let file = file.display();
        let more = match self.places {
            1 => String::new(),
            places => format!(" and at {} more", places - 1),
        };
        let what = format!("no record at offset {offset}, byte {position} of {file}{more}");
        let error = Error::new(Code::E0203, what)
            .means("Gets that would return it are answered with 500.")
            .cure(
                "Copy the file; chrysalis partition skip-damage leads consumers past the damage.",
            );
        match zeros {
            true => error.because(what_is_wrong(true)),
            false => error,
        }
    }
}

fn line(offset: u64, record: &Record) -> String {
    let Header {
        length,
        message_id,
        flag,
        ..
    } = record.header;
    format!(
        "{offset:>20}  id {message_id}{}  flag {flag}  length {length}  {}",
        time_of(message_id).map_or_else(String::new, |time| format!(" ({time})")),
        beginning(&record.data)
    )
}

/// When an id was given out, if it says so: the ids of the original's later versions do not.
fn time_of(message_id: i64) -> Option<String> {
    // The moment from which ids count milliseconds, above 22 bits of broker and sequence.
    const EPOCH_MS: i64 = 1_303_895_660_503;
    let given_out = chrono::DateTime::from_timestamp_millis((message_id >> 22) + EPOCH_MS);
    let given_out = given_out.filter(|_| message_id >= 1 << 22)?;
    Some(given_out.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// How the data begins, as text that cannot disturb a terminal.
fn beginning(data: &[u8]) -> String {
    const BYTES_MAX: usize = 60;
    let shown = data[..data.len().min(BYTES_MAX)].escape_ascii();
    let more = if data.len() > BYTES_MAX { "..." } else { "" };
    format!("\"{shown}\"{more}")
}

fn cannot_read(file: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    let code = match error.kind() {
        ErrorKind::PermissionDenied => Code::E0103,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Code::E0307,
        _ => Code::E0104,
    };
    let error = Error::new(code, format!("read {}", file.display())).because(error);
    match code {
        Code::E0307 => {
            error.cure("Name a message file: DIR/data/topics/TOPIC-PARTITION/OFFSET.meta.")
        }
        _ => error,
    }
}

/// What comes next in a file.
enum Found {
    Record(Record),
    End,
    /// So many bytes that are not a whole record.
    Unfinished(usize),
    /// So many bytes up to the next whole record, or to the end; perhaps zeros.
    Damaged {
        bytes: u64,
        zeros: bool,
    },
}

/// The records of a file, read in pieces.
struct Records {
    file: File,
    /// The offset of the next record.
    offset: u64,
    /// Read and not yet taken.
    buffer: Bytes,
    /// Bytes of the file that were not read yet; it may grow meanwhile, and that is not looked at.
    unread: u64,
}

impl Records {
    fn new(mut file: File, from: u64, start: u64) -> std::io::Result<Records> {
        let length = file.metadata()?.len();
        let position = from.saturating_sub(start).min(length);
        file.seek(SeekFrom::Start(position))?;
        Ok(Records {
            file,
            offset: start + position,
            buffer: Bytes::new(),
            unread: length - position,
        })
    }

    fn next(&mut self) -> std::io::Result<Found> {
        loop {
            let whole = self.buffer.clone();
            let before = whole.len();
            match next_record(&mut self.buffer) {
                Next::Record(record) if record.header.is_hole() => {
                    self.buffer = whole;
                    return self.pass_over(true);
                }
                Next::Record(record) => {
                    let taken = u64::try_from(before - self.buffer.len()).expect("a usize fits");
                    self.offset += taken;
                    return Ok(Found::Record(record));
                }
                Next::Damaged => return self.pass_over(false),
                Next::Incomplete if self.unread > 0 => self.read_on()?,
                Next::Incomplete if before == 0 => return Ok(Found::End),
                // A wrong length reaches beyond the end.
                Next::Incomplete if next_record_after(&whole, 0).is_some() => {
                    return self.pass_over(false);
                }
                Next::Incomplete => return Ok(Found::Unfinished(before)),
            }
        }
    }

    /// Goes to the next whole record behind what is none.
    fn pass_over(&mut self, zeros: bool) -> std::io::Result<Found> {
        const RECORD_BYTES_MAX: usize = HEADER_BYTES + DATA_BYTES_MAX;
        let mut bytes = 0;
        loop {
            let next = next_record_after(&self.buffer, 0);
            let skipped = match next {
                Some(next) => next,
                None if self.unread == 0 => self.buffer.len(),
                // A record that begins behind the byte that is kept may not be whole in what was read.
                None => self.buffer.len().saturating_sub(RECORD_BYTES_MAX + 1),
            };
            drop(self.buffer.split_to(skipped));
            bytes += skipped as u64;
            if next.is_some() || self.unread == 0 {
                self.offset += bytes;
                return Ok(Found::Damaged { bytes, zeros });
            }
            self.read_on()?;
        }
    }

    /// Reads on: a good piece, or the rest of the record that is begun, but never more than there is.
    fn read_on(&mut self) -> std::io::Result<()> {
        const PIECE_BYTES: u64 = 1 << 20;
        let begun = self
            .buffer
            .first_chunk::<HEADER_BYTES>()
            .and_then(Header::decode);
        let wanted = begun
            .map_or(0, |header| header.record_bytes())
            .max(PIECE_BYTES)
            .min(self.unread);
        let mut buffer = BytesMut::from(&self.buffer[..]);
        let held = buffer.len();
        buffer.resize(
            held + usize::try_from(wanted).map_err(std::io::Error::other)?,
            0,
        );
        self.file.read_exact(&mut buffer[held..])?;
        self.unread -= wanted;
        self.buffer = buffer.freeze();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
