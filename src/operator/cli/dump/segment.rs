//! `chrysalis dump segment`: the records of a message file.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::operator::cli::progress;
use crate::report::{Code, Error};
use crate::segments::format::{HEADER_BYTES, Header, Next, Record, file_number, next_record};

/// Print the records of a message file
///
/// Prints a line for each record: its offset in the partition, its message id and the time in it, its
/// flag, its length, and the beginning of its data. The original broker's files work, too, and so do files
/// in use. Ends with 11 if a record is damaged, or if zeros stand where a
/// crash lost one.
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
    #[arg(long)]
    data: bool,
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
        while self.count.is_none_or(|count| printed < count) {
            let offset = records.offset;
            match records.next().map_err(cannot_read)? {
                Found::Record(record) if self.data => out.write_all(&record.data)?,
                Found::Record(record) => writeln!(out, "{}", line(offset, &record))?,
                Found::End => break,
                Found::Unfinished(bytes) => {
                    if !self.data {
                        writeln!(
                            out,
                            "{offset:>20}  {bytes} bytes of a record that is not whole: being written, or cut off"
                        )?;
                    }
                    break;
                }
                Found::Damaged => return Err(damaged(&self.file, offset, offset - start).into()),
                Found::Hole => {
                    let why = "zeros, which a crash leaves of what was not written";
                    return Err(damaged(&self.file, offset, offset - start)
                        .because(why)
                        .into());
                }
            }
            printed += 1;
            bar.done(total - records.unread);
        }
        Ok(())
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
        time_of(message_id),
        beginning(&record.data)
    )
}

/// When an id was given out, if it says so: the ids of the original's later versions do not.
fn time_of(message_id: i64) -> String {
    // The moment from which ids count milliseconds, above 22 bits of broker and sequence.
    const EPOCH_MS: i64 = 1_303_895_660_503;
    let given_out = chrono::DateTime::from_timestamp_millis((message_id >> 22) + EPOCH_MS);
    match given_out.filter(|_| message_id >= 1 << 22) {
        Some(time) => format!(" ({})", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
        None => String::new(),
    }
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

fn damaged(file: &Path, offset: u64, position: u64) -> Error {
    Error::new(
        Code::E0203,
        format!(
            "no record at offset {offset}, byte {position} of {}",
            file.display()
        ),
    )
    .means("Gets that would return it are answered with 500.")
    .cure("Copy the file; chrysalis partition skip-damage leads consumers past the damage.")
}

/// What comes next in a file.
enum Found {
    Record(Record),
    End,
    /// So many bytes that are not a whole record.
    Unfinished(usize),
    Damaged,
    /// Zeros.
    Hole,
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
            let before = self.buffer.len();
            match next_record(&mut self.buffer) {
                Next::Record(record) if record.header.is_hole() => return Ok(Found::Hole),
                Next::Record(record) => {
                    let taken = u64::try_from(before - self.buffer.len()).expect("a usize fits");
                    self.offset += taken;
                    return Ok(Found::Record(record));
                }
                Next::Damaged => return Ok(Found::Damaged),
                Next::Incomplete if self.unread > 0 => self.read_on()?,
                Next::Incomplete if before == 0 => return Ok(Found::End),
                Next::Incomplete => return Ok(Found::Unfinished(before)),
            }
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
