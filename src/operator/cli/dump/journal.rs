//! `chrysalis dump journal`: the batches of a journal, how it ends, and what is missing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::ServerFolder;
use crate::consensus::{EntryKind, Record};
use crate::disk::{Backend, Class, Files, Options};
use crate::journal::{Damage, DumpEnd, DumpedBatch, DumpedRecord, OpenError, dump};
use crate::operator::cli::disk_error;
use crate::operator::cli::place::{self, FolderArgument};
use crate::report::{Code, Error};
use crate::units::{GroupId, counted};

/// Print the batches of a journal
///
/// DIR is a server's folder, or a journal's. Prints a line for each batch (its number, file and byte) and a line for
/// each record in it. Changes nothing, and needs no server. If the server runs, the last batch may be half written.
/// If acknowledged data is damaged, it names what is missing and ends with 11; if a newer version wrote some of
/// it, with 16.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis dump journal server1 | tail\n  \
    chrysalis dump journal server1/data/journal --json | jq 'select(.behind)'")]
pub(super) struct Journal {
    #[command(flatten)]
    folder: FolderArgument,
    /// One JSON object a line: batches, then the end
    #[arg(long)]
    json: bool,
}

impl Journal {
    pub(in crate::operator::cli) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let named = self.folder.path()?;
        let inner = named.join("data").join("journal");
        let is_servers = match fs::metadata(&inner) {
            Ok(inner) => inner.is_dir(),
            Err(error) => error.kind() == ErrorKind::PermissionDenied,
        };
        let folder = if is_servers { inner } else { named };
        let end = journal(&folder, self.json, out)?;
        match (end.damage, end.newer) {
            (Some(damage), _) => Err(damaged(&folder, &damage).into()),
            (None, Some(newer)) => Err(of_newer_version(newer).into()),
            (None, None) => Ok(()),
        }
    }
}

/// Prints the journal in `folder`, and gives back how it ends and what is wrong with it.
///
/// # Errors
/// The files cannot be read, are of a newer format, or the output is closed.
pub(in crate::operator::cli) fn journal(
    folder: &Path,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<DumpEnd> {
    let options = Options {
        backend: Backend::Threads,
        ..Options::default()
    };
    let mut disk = Files::new(&options).map_err(disk_error)?;
    let mut written = Ok(());
    let mut missing = Missing::default();
    let end = dump(&mut disk, folder, &mut |batch| {
        missing.note(&batch);
        if written.is_ok() {
            written = if json {
                writeln!(out, "{}", as_json(&batch))
            } else {
                as_text(&batch, out)
            };
        }
    });
    let end = end.map_err(|error| cannot_read(folder, error))?;
    written?;
    if json {
        writeln!(out, "{}", end_as_json(&end))?;
    } else {
        end_as_text(&end, &missing, out)?;
    }
    Ok(end)
}

fn cannot_read(folder: &Path, error: OpenError) -> Error {
    let code = match &error {
        OpenError::Damaged(_) => Code::E0201,
        OpenError::Newer { .. } => return of_newer_version(error),
        OpenError::Disk(error) if error.class == Class::Missing => Code::E0307,
        OpenError::Disk(error) if error.class == Class::Permission => Code::E0103,
        OpenError::Disk(_) | OpenError::Options(_) => Code::E0104,
    };
    let told = Error::new(code, format!("read the journal in {}", folder.display())).because(error);
    match code {
        Code::E0307 => told.cure("Name a server's folder, or its data/journal."),
        _ => told,
    }
}

fn of_newer_version(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::E0106, "read the journal")
        .because(why)
        .means("A newer version of Chrysalis wrote it; this one cannot read all of it, and changes nothing.")
        .cure("Take the dump with the version that wrote it: chrysalis explain E0106")
}

fn damaged(journal: &Path, damage: &Damage) -> Error {
    let server = journal
        .parent()
        .and_then(Path::parent)
        .map(ServerFolder::new);
    let server = server.filter(|server| server.journal() == journal && place::is_one(server));
    Error::new(
        Code::E0201,
        format!("batch {} at {}, byte {}: {}", damage.sequence, damage.path.display(), damage.position, damage.what),
    )
    .means("The server does not start with this journal; what was acknowledged up to the damage is whole.")
    .cure(format!(
        "Copy the folder, and restore a backup; or chrysalis run --accept-loss{}: everything written after the damage is \
         lost, also what is whole.",
        place::in_folder(server.as_ref())
    ))
}

fn as_text(batch: &DumpedBatch, out: &mut dyn Write) -> std::io::Result<()> {
    let DumpedBatch {
        path,
        position,
        bytes,
        kind,
        incarnation,
        sequence,
        durable,
        file,
        ..
    } = batch;
    let name = path.file_name().unwrap_or_default().display();
    let behind = if batch.behind { "  BEHIND THE END" } else { "" };
    writeln!(
        out,
        "batch {sequence}  {name} byte {position}  {bytes} bytes  {kind}  file {file}  \
         incarnation {incarnation}  durable {durable}{behind}"
    )?;
    for (group, record) in &batch.records {
        writeln!(out, "    group {group}  {}", record_as_text(record))?;
    }
    Ok(())
}

fn record_as_text(record: &DumpedRecord) -> String {
    match record {
        DumpedRecord::Entry {
            index,
            term,
            kind,
            bytes,
        } => {
            let kind = if *kind == EntryKind::Normal {
                ""
            } else {
                "  change of the voters"
            };
            format!("entry {index}  term {term}  {bytes} bytes{kind}")
        }
        DumpedRecord::Other(Record::HardState(state)) => {
            format!(
                "hard state  term {}  vote {}  commit {}",
                state.term, state.vote, state.commit
            )
        }
        DumpedRecord::Other(Record::Marker(marker)) => {
            format!(
                "marker {}  term {}  {} bytes",
                marker.index,
                marker.term,
                marker.state.len()
            )
        }
        DumpedRecord::Other(Record::Reset(marker)) => {
            format!(
                "reset to {}  term {}  {} bytes",
                marker.index,
                marker.term,
                marker.state.len()
            )
        }
        DumpedRecord::Other(Record::Incomplete) => "something may be gone".to_owned(),
        DumpedRecord::Other(Record::Healed) => "made good".to_owned(),
        DumpedRecord::Other(Record::Entry(entry)) => format!("entry {}", entry.index),
        DumpedRecord::Newer { kind } => match kind {
            Some(kind) => format!("a record of kind {kind}, OF A NEWER VERSION"),
            None => "an entry OF A NEWER VERSION".to_owned(),
        },
        DumpedRecord::State {
            term,
            vote,
            commit,
            marker,
            last,
            incomplete,
        } => {
            let incomplete = if *incomplete { "  incomplete" } else { "" };
            format!(
                "state  term {term}  vote {vote}  commit {commit}  marker {marker}  last entry {last}{incomplete}"
            )
        }
    }
}

/// What the batches behind the end hold, by group.
#[derive(Default)]
struct Missing {
    batches: u64,
    entries: BTreeMap<GroupId, (u64, u64)>,
}

impl Missing {
    fn note(&mut self, batch: &DumpedBatch) {
        if !batch.behind {
            return;
        }
        self.batches += 1;
        for (group, record) in &batch.records {
            if let DumpedRecord::Entry { index, .. } = record {
                let range = self.entries.entry(*group).or_insert((*index, *index));
                *range = (range.0.min(*index), range.1.max(*index));
            }
        }
    }
}

fn end_as_text(end: &DumpEnd, missing: &Missing, out: &mut dyn Write) -> std::io::Result<()> {
    let DumpEnd {
        path,
        position,
        sequence,
        damage,
        newer,
    } = end;
    if let Some(newer) = newer {
        writeln!(
            out,
            "NEWER: {newer}; what follows from the records was not checked"
        )?;
    }
    let Some(damage) = damage else {
        writeln!(
            out,
            "end behind batch {sequence}, {} byte {position}",
            path.display()
        )?;
        if missing.batches > 0 {
            writeln!(
                out,
                "in flight behind it, and never acknowledged: {}",
                counted(missing.batches, "batches")
            )?;
        }
        return Ok(());
    };
    writeln!(
        out,
        "DAMAGE at batch {}, {} byte {}: {}; acknowledged up to batch {}",
        damage.sequence,
        damage.path.display(),
        damage.position,
        damage.what,
        damage.acknowledged
    )?;
    writeln!(
        out,
        "missing: batch {} (what was in it cannot be told)",
        damage.sequence
    )?;
    for (group, (first, last)) in &missing.entries {
        writeln!(
            out,
            "missing: entries {first} to {last} of group {group}, readable above but behind the damage"
        )?;
    }
    Ok(())
}

fn as_json(batch: &DumpedBatch) -> Value {
    let records: Vec<Value> = batch
        .records
        .iter()
        .map(|(group, r)| record_as_json(*group, r))
        .collect();
    json!({
        "batch": batch.sequence,
        "path": batch.path.to_string_lossy(),
        "position": batch.position,
        "bytes": batch.bytes,
        "kind": batch.kind,
        "file": batch.file,
        "oldest_file": batch.oldest,
        "incarnation": batch.incarnation,
        "durable": batch.durable,
        "behind": batch.behind,
        "records": records,
    })
}

fn record_as_json(group: GroupId, record: &DumpedRecord) -> Value {
    let group = group.0;
    match record {
        DumpedRecord::Entry {
            index,
            term,
            kind,
            bytes,
        } => json!({
            "group": group, "record": "entry", "index": index, "term": term, "bytes": bytes,
            "voters": *kind != EntryKind::Normal,
        }),
        DumpedRecord::Other(Record::HardState(state)) => json!({
            "group": group, "record": "hard state", "term": state.term, "vote": state.vote, "commit": state.commit,
        }),
        DumpedRecord::Other(Record::Marker(marker)) => json!({
            "group": group, "record": "marker", "index": marker.index, "term": marker.term, "bytes": marker.state.len(),
        }),
        DumpedRecord::Other(Record::Reset(marker)) => json!({
            "group": group, "record": "reset", "index": marker.index, "term": marker.term, "bytes": marker.state.len(),
        }),
        DumpedRecord::Other(Record::Incomplete) => {
            json!({ "group": group, "record": "incomplete" })
        }
        DumpedRecord::Other(Record::Healed) => json!({ "group": group, "record": "healed" }),
        DumpedRecord::Newer { kind } => json!({ "group": group, "record": "newer", "kind": kind }),
        DumpedRecord::Other(Record::Entry(entry)) => json!({
            "group": group, "record": "entry", "index": entry.index, "term": entry.term,
        }),
        DumpedRecord::State {
            term,
            vote,
            commit,
            marker,
            last,
            incomplete,
        } => json!({
            "group": group, "record": "state", "term": term, "vote": vote, "commit": commit, "marker": marker,
            "last": last, "incomplete": incomplete,
        }),
    }
}

fn end_as_json(end: &DumpEnd) -> Value {
    let damage = end.damage.as_ref().map(|damage| {
        json!({
            "batch": damage.sequence,
            "path": damage.path.to_string_lossy(),
            "position": damage.position,
            "acknowledged": damage.acknowledged,
            "what": damage.what,
        })
    });
    json!({
        "end": end.sequence,
        "path": end.path.to_string_lossy(),
        "position": end.position,
        "damage": damage,
        "newer": end.newer,
    })
}

#[cfg(test)]
mod tests;
