//! `chrysalis bench disk`: what the disk can do by itself, the baseline of every other figure.
//!
//! The same writes that the journal makes, through the same code: into a file that was filled before, each
//! on stable storage when it is answered.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::disk_error;
use super::progress;
use super::quantiles::{Quantiles, Times, per_second};
use crate::disk::{
    AlignedBuffer, Completion, Disk, File, Files, Lane, Mode, Operation, Options, Outcome, Owner,
    Token,
};

/// The file that is written over and over.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
const FILE_NAME: &str = ".chrysalis-bench-disk";
/// What is measured: bytes of a write, and how many are under way.
const SHAPES: [(usize, usize); 4] = [(4096, 1), (65536, 1), (65536, 4), (65536, 16)];

/// Measure a disk
///
/// Writes a file of 64 MiB in DIR over and over, each write on stable storage before it counts, and removes it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  chrysalis bench disk /var/lib/chrysalis --seconds 5")]
pub(super) struct BenchDisk {
    /// A folder on the disk
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How long to measure each kind of write
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl BenchDisk {
    /// Measures, and tells what came out.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let time = Duration::from_secs(self.seconds.into());
        let shapes = u32::try_from(SHAPES.len()).unwrap_or(u32::MAX);
        let what = format!("measuring the disk of {}", self.folder.display());
        let waiting = progress::countdown(what, time * shapes);
        let baseline = measure(&self.folder, &SHAPES, time)?;
        drop(waiting);
        match self.json {
            true => writeln!(out, "{}", baseline.json())?,
            false => write!(out, "{baseline}")?,
        }
        Ok(())
    }
}

/// What a disk can do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Baseline {
    folder: PathBuf,
    backend: String,
    direct: bool,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    write_bytes: usize,
    in_flight: usize,
    per_second: f64,
    times: Quantiles,
}

/// The one write that everything else is compared with: 4 KiB, one at a time.
pub(super) fn one_at_a_time(folder: &Path, time: Duration) -> anyhow::Result<Baseline> {
    let [first, ..] = SHAPES;
    measure(folder, &[first], time)
}

fn measure(folder: &Path, shapes: &[(usize, usize)], time: Duration) -> anyhow::Result<Baseline> {
    let most = SHAPES
        .map(|(_, in_flight)| in_flight)
        .into_iter()
        .max()
        .unwrap_or(1);
    let options = Options {
        journal_threads: most,
        ..Options::default()
    };
    let mut disk = Files::new(&options).map_err(disk_error)?;
    let backend = disk.chosen().to_string();
    let path = folder.join(FILE_NAME);
    let file = disk.reserve();
    let measured = (|| {
        let direct = prepare(&mut disk, file, &path)?;
        let rows: Result<Vec<Row>, _> = shapes
            .iter()
            .map(|&shape| row(&mut disk, file, shape, time))
            .collect();
        anyhow::Ok((direct, rows?))
    })();
    // The file goes away, also when something went wrong.
    let removed = disk.run(Operation::Remove { path });
    let (direct, rows) = measured?;
    removed?;
    Ok(Baseline {
        folder: folder.to_path_buf(),
        backend,
        direct,
        rows,
    })
}

/// Opens the file and fills it, so that no write changes more than bytes; whether the page cache is passed.
fn prepare(disk: &mut Files, file: File, path: &Path) -> anyhow::Result<bool> {
    let path = path.to_path_buf();
    let opened = disk.run(Operation::Open {
        file,
        path,
        mode: Mode::Durable,
    })?;
    disk.run(Operation::Fill {
        file,
        position: 0,
        length: FILE_BYTES,
    })?;
    Ok(matches!(opened, Outcome::Opened { direct: true, .. }))
}

fn row(
    disk: &mut Files,
    file: File,
    (write_bytes, in_flight): (usize, usize),
    time: Duration,
) -> anyhow::Result<Row> {
    let length = write_bytes as u64;
    let places = FILE_BYTES / length;
    let mut count = 0;
    let mut write = |disk: &mut Files, slot: usize, buffer: AlignedBuffer| {
        let position = count % places * length;
        count += 1;
        let token = Token::new(Owner::Journal, slot as u64);
        disk.submit(
            Lane::Journal,
            token,
            Operation::Write {
                file,
                position,
                buffer,
            },
        );
    };
    let started = Instant::now();
    let mut sent_at = vec![started; in_flight];
    for slot in 0..in_flight {
        let mut buffer = AlignedBuffer::new(write_bytes);
        buffer.extend(&vec![0xa5; write_bytes]);
        write(disk, slot, buffer);
    }
    let mut times = Times::new();
    let mut under_way = in_flight;
    let mut ended = started;
    let mut completions = Vec::new();
    while under_way > 0 {
        disk.wait(&mut completions);
        ended = Instant::now();
        for Completion { token, result } in completions.drain(..) {
            let slot = usize::try_from(token.number).context("a token of ours")?;
            let Outcome::Written(buffer) = result? else {
                anyhow::bail!("a write was not answered as one");
            };
            times.record(ended - sent_at[slot]);
            if ended - started < time {
                sent_at[slot] = ended;
                write(disk, slot, buffer);
            } else {
                under_way -= 1;
            }
        }
    }
    Ok(Row {
        write_bytes,
        in_flight,
        per_second: per_second(times.count(), ended - started),
        times: times.quantiles(),
    })
}

impl Baseline {
    /// One object.
    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "write_bytes": row.write_bytes,
                    "in_flight": row.in_flight,
                    "per_second": row.per_second,
                    "bytes_per_second": row.bytes_per_second(),
                    "latency_us": row.times.json(),
                })
            })
            .collect();
        json!({
            "bench": "disk",
            "folder": self.folder.display().to_string(),
            "backend": self.backend,
            "direct": self.direct,
            "writes": rows,
        })
    }
}

impl Row {
    fn bytes_per_second(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a write has no fifteen digits")]
        let bytes = self.write_bytes as f64;
        bytes * self.per_second
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cache = if self.direct {
            "O_DIRECT"
        } else {
            "through the page cache"
        };
        writeln!(
            f,
            "disk of {}, {}, {cache}, O_DSYNC",
            self.folder.display(),
            self.backend
        )?;
        for row in &self.rows {
            let (kib, in_flight) = (row.write_bytes / 1024, row.in_flight);
            let megabytes = row.bytes_per_second() / 1e6;
            let per_second = row.per_second;
            writeln!(
                f,
                "  {kib:>3} KiB x {in_flight:<2} {per_second:>9.0} writes/s {megabytes:>7.1} MB/s, {}",
                row.times
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let baseline = one_at_a_time(folder.path(), Duration::ZERO).expect("a measurement");
        assert_eq!(baseline.rows.len(), 1);
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            0
        );
        assert!(baseline.to_string().contains("4 KiB x 1"), "{baseline}");
    }
}
