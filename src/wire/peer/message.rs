//! The messages of groups, many in a frame.

use bytes::{Bytes, BytesMut};

use super::{MESSAGES, Malformed, counted, flag, frame, length};
use crate::consensus::message::{Body, Hint, Message, Round};
use crate::consensus::{ENTRY_BYTES_MAX, Entry, EntryKind, Marker, STATE_BYTES_MAX};
use crate::cursor::{Reader, Writer};
use crate::units::GroupId;

#[cfg(test)]
mod tests;

// What a message says.
const APPEND: u8 = 1;
const APPENDED: u8 = 2;
const HEARTBEAT: u8 = 3;
const HEARD: u8 = 4;
const VOTE: u8 = 5;
const VOTED: u8 = 6;
const SNAPSHOT: u8 = 7;
const TIMEOUT_NOW: u8 = 8;
const READ_INDEX: u8 = 9;
const READ_AT: u8 = 10;

/// Writes a frame of these messages.
pub fn encode<'a>(messages: impl IntoIterator<Item = (GroupId, &'a Message)>, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(MESSAGES);
        for (group, message) in messages {
            writer.u32(group.0);
            encode_one(message, writer);
        }
    });
}

pub(super) fn decode(
    reader: &mut Reader<'_>,
    owner: &Bytes,
) -> Result<Vec<(GroupId, Message)>, Malformed> {
    let mut messages = Vec::new();
    while !reader.is_empty() {
        let group = GroupId(reader.u32()?);
        messages.push((group, decode_one(reader, owner)?));
    }
    Ok(messages)
}

fn encode_one(message: &Message, writer: &mut Writer<'_>) {
    writer.u8(match &message.body {
        Body::Append { .. } => APPEND,
        Body::Appended { .. } => APPENDED,
        Body::Heartbeat { .. } => HEARTBEAT,
        Body::Heard { .. } => HEARD,
        Body::Vote { .. } => VOTE,
        Body::Voted { .. } => VOTED,
        Body::Snapshot(_) => SNAPSHOT,
        Body::TimeoutNow => TIMEOUT_NOW,
        Body::ReadIndex(_) => READ_INDEX,
        Body::ReadAt { .. } => READ_AT,
    });
    writer.u64(message.from);
    writer.u64(message.to);
    writer.u64(message.term);
    match &message.body {
        Body::Append {
            index,
            log_term,
            commit,
            entries,
        } => {
            writer.u64(*index);
            writer.u64(*log_term);
            writer.u64(*commit);
            writer.u32(length(entries.len()));
            for entry in entries {
                encode_entry(entry, writer);
            }
        }
        Body::Appended {
            index,
            commit,
            refused,
        } => {
            writer.u64(*index);
            writer.u64(*commit);
            writer.bool(refused.is_some());
            if let Some(hint) = refused {
                writer.u64(hint.index);
                writer.u64(hint.log_term);
            }
        }
        Body::Heartbeat { commit, round } | Body::Heard { commit, round } => {
            writer.u64(*commit);
            writer.bool(round.is_some());
            if let Some(round) = round {
                encode_round(*round, writer);
            }
        }
        Body::Vote {
            pre,
            index,
            log_term,
            commit,
            commit_term,
            transfer,
        } => {
            writer.bool(*pre);
            writer.bool(*transfer);
            for number in [index, log_term, commit, commit_term] {
                writer.u64(*number);
            }
        }
        Body::Voted {
            pre,
            refused,
            commit,
            commit_term,
        } => {
            writer.bool(*pre);
            writer.bool(*refused);
            writer.u64(*commit);
            writer.u64(*commit_term);
        }
        Body::Snapshot(marker) => {
            writer.u64(marker.index);
            writer.u64(marker.term);
            writer.u32(length(marker.state.len()));
            writer.bytes(&marker.state);
        }
        Body::TimeoutNow => {}
        Body::ReadIndex(round) => encode_round(*round, writer),
        Body::ReadAt { round, index } => {
            encode_round(*round, writer);
            writer.u64(*index);
        }
    }
}

fn decode_one(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Message, Malformed> {
    let what = reader.u8()?;
    let (from, to, term) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let body = match what {
        APPEND => {
            let (index, log_term, commit) = (reader.u64()?, reader.u64()?, reader.u64()?);
            let count = reader.u32()?;
            let mut entries = Vec::new();
            for behind in 1..=u64::from(count) {
                let number = index.checked_add(behind);
                let number = number.ok_or(Malformed::Impossible("an index"))?;
                entries.push(decode_entry(number, reader, owner)?);
            }
            Body::Append {
                index,
                log_term,
                commit,
                entries,
            }
        }
        APPENDED => Body::Appended {
            index: reader.u64()?,
            commit: reader.u64()?,
            refused: match flag(reader)? {
                true => Some(Hint {
                    index: reader.u64()?,
                    log_term: reader.u64()?,
                }),
                false => None,
            },
        },
        HEARTBEAT => Body::Heartbeat {
            commit: reader.u64()?,
            round: decode_round_if_any(reader)?,
        },
        HEARD => Body::Heard {
            commit: reader.u64()?,
            round: decode_round_if_any(reader)?,
        },
        VOTE => {
            let (pre, transfer) = (flag(reader)?, flag(reader)?);
            Body::Vote {
                pre,
                index: reader.u64()?,
                log_term: reader.u64()?,
                commit: reader.u64()?,
                commit_term: reader.u64()?,
                transfer,
            }
        }
        VOTED => Body::Voted {
            pre: flag(reader)?,
            refused: flag(reader)?,
            commit: reader.u64()?,
            commit_term: reader.u64()?,
        },
        SNAPSHOT => {
            let (index, term, state) = (reader.u64()?, reader.u64()?, counted(reader, owner)?);
            if state.len() > STATE_BYTES_MAX {
                return Err(Malformed::Impossible("members of so many bytes"));
            }
            Body::Snapshot(Marker { index, term, state })
        }
        TIMEOUT_NOW => Body::TimeoutNow,
        READ_INDEX => Body::ReadIndex(decode_round(reader)?),
        READ_AT => Body::ReadAt {
            round: decode_round(reader)?,
            index: reader.u64()?,
        },
        kind => return Err(Malformed::Kind(kind)),
    };
    Ok(Message {
        from,
        to,
        term,
        body,
    })
}

/// The index follows from the place.
fn encode_entry(entry: &Entry, writer: &mut Writer<'_>) {
    writer.u64(entry.term);
    writer.u8(match entry.kind {
        EntryKind::Normal => 0,
        EntryKind::ConfChange => 1,
        EntryKind::ConfChangeV2 => 2,
    });
    writer.u32(length(entry.data.len()));
    writer.bytes(&entry.data);
}

fn decode_entry(index: u64, reader: &mut Reader<'_>, owner: &Bytes) -> Result<Entry, Malformed> {
    let term = reader.u64()?;
    let kind = match reader.u8()? {
        0 => EntryKind::Normal,
        1 => EntryKind::ConfChange,
        2 => EntryKind::ConfChangeV2,
        _ => return Err(Malformed::Impossible("a kind of entry")),
    };
    let data = counted(reader, owner)?;
    if data.len() > ENTRY_BYTES_MAX {
        return Err(Malformed::Impossible("an entry of so many bytes"));
    }
    Ok(Entry {
        index,
        term,
        kind,
        data,
    })
}

fn encode_round(round: Round, writer: &mut Writer<'_>) {
    writer.u64(round.member);
    writer.u64(round.number);
}

fn decode_round(reader: &mut Reader<'_>) -> Result<Round, Malformed> {
    Ok(Round {
        member: reader.u64()?,
        number: reader.u64()?,
    })
}

fn decode_round_if_any(reader: &mut Reader<'_>) -> Result<Option<Round>, Malformed> {
    match flag(reader)? {
        true => decode_round(reader).map(Some),
        false => Ok(None),
    }
}
