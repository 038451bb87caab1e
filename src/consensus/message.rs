//! What the members of a group tell each other.
//!
//! These are the `raft` crate's messages with only the fields that each kind has, so that a codec of ours can carry
//! them. Proposals are not among them: a server that does not lead forwards commands itself, in the order of its clients.

use bytes::{BufMut as _, Bytes, BytesMut};
use raft::eraftpb::{self, MessageType, SnapshotMetadata};

use super::membership::Membership;
use super::record::{Entry, Marker};

/// A message from one member to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub from: u64,
    /// To whom.
    pub to: u64,
    /// The sender's term; for a vote that which it stands for, and 0 for a question about an index.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Entries that follow one that both are to have.
    Append {
        /// Index of the entry before them.
        index: u64,
        /// Its term.
        log_term: u64,
        /// Up to here the sender has committed.
        commit: u64,
        /// The entries, without a gap; none to tell of `commit` or to try `index`.
        entries: Vec<Entry>,
    },
    /// How an append, or a snapshot, went. Sent when what it says is on disk.
    Appended {
        /// Up to here the logs agree; where it was refused, the index that was tried.
        index: u64,
        /// Up to here the sender has committed.
        commit: u64,
        /// The logs differ there.
        refused: Option<Hint>,
    },
    /// A leader says that it leads.
    Heartbeat {
        /// Up to here the receiver may commit.
        commit: u64,
        /// Comes back with the answer: which reads it confirms.
        round: Option<Round>,
    },
    /// The answer.
    Heard {
        /// Up to here the sender has committed.
        commit: u64,
        /// As it came.
        round: Option<Round>,
    },
    /// Somebody wants to lead.
    Vote {
        /// Only asks whether it would be elected.
        pre: bool,
        /// Its last entry.
        index: u64,
        /// And that one's term.
        log_term: u64,
        /// Up to here it has committed.
        commit: u64,
        /// The term of that entry.
        commit_term: u64,
        /// The leader has asked it to, so that nobody waits for the leader's silence.
        transfer: bool,
    },
    /// The answer.
    Voted {
        /// To a question that was not meant yet.
        pre: bool,
        /// It is not elected.
        refused: bool,
        /// Up to here the sender has committed, where it refuses.
        commit: u64,
        /// The term of that entry.
        commit_term: u64,
    },
    /// A snapshot takes the place of what the receiver lacks. To be handed to its group when it has all of the
    /// snapshot on disk.
    Snapshot(Marker),
    /// The receiver is to lead.
    TimeoutNow,
    /// Which index is committed now?
    ReadIndex(Round),
    /// This one is, and the sender still led when it was asked.
    ReadAt {
        /// The question.
        round: Round,
        /// The index.
        index: u64,
    },
}

/// Where logs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// They may agree here.
    pub index: u64,
    /// The term of the sender's entry there.
    pub log_term: u64,
}

/// A member's question about an index. Questions of one member rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round {
    /// Who asks.
    pub member: u64,
    /// Its number.
    pub number: u64,
}

/// What a leader writes into a vote that it has asked for, by the crate's convention.
const TRANSFER: &[u8] = b"CampaignTransfer";

impl Round {
    /// As the crate carries it.
    pub(super) fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(16);
        bytes.put_u64(self.member);
        bytes.put_u64(self.number);
        bytes.freeze()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Round> {
        let (member, number) = bytes.split_at_checked(8)?;
        Some(Round {
            member: u64::from_be_bytes(member.try_into().ok()?),
            number: u64::from_be_bytes(number.try_into().ok()?),
        })
    }
}

impl Message {
    /// Whether it may leave before what the sender has decided is on disk: it promises nothing.
    pub(super) fn promises_nothing(&self) -> bool {
        match &self.body {
            Body::Heard { .. } | Body::ReadIndex(_) | Body::ReadAt { .. } => true,
            Body::Vote { pre, .. } | Body::Voted { pre, .. } => *pre,
            _ => false,
        }
    }

    /// Whether only a leader says so.
    pub(super) fn is_of_a_leader(&self) -> bool {
        matches!(
            self.body,
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot(_)
        )
    }

    /// The bytes of entries that it carries.
    pub fn entry_bytes(&self) -> usize {
        match &self.body {
            Body::Append { entries, .. } => entries.iter().map(|entry| entry.data.len()).sum(),
            _ => 0,
        }
    }

    /// The crate's message as ours; `None` for one that stays inside.
    pub(super) fn from_raft(mut message: eraftpb::Message) -> Option<Message> {
        let round = Round::from_bytes(&message.context);
        let asked = |message: &eraftpb::Message| {
            let asked = message.entries.first()?;
            Round::from_bytes(&asked.data)
        };
        let kind = message.get_msg_type();
        let body = match kind {
            MessageType::MsgAppend => Body::Append {
                index: message.index,
                log_term: message.log_term,
                commit: message.commit,
                entries: message
                    .take_entries()
                    .into_iter()
                    .map(Entry::from_raft)
                    .collect(),
            },
            MessageType::MsgAppendResponse => Body::Appended {
                index: message.index,
                commit: message.commit,
                refused: message.reject.then_some(Hint {
                    index: message.reject_hint,
                    log_term: message.log_term,
                }),
            },
            MessageType::MsgHeartbeat => Body::Heartbeat {
                commit: message.commit,
                round,
            },
            MessageType::MsgHeartbeatResponse => Body::Heard {
                commit: message.commit,
                round,
            },
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Body::Vote {
                pre: kind == MessageType::MsgRequestPreVote,
                index: message.index,
                log_term: message.log_term,
                commit: message.commit,
                commit_term: message.commit_term,
                transfer: message.context == TRANSFER,
            },
            MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
                Body::Voted {
                    pre: kind == MessageType::MsgRequestPreVoteResponse,
                    refused: message.reject,
                    commit: message.commit,
                    commit_term: message.commit_term,
                }
            }
            MessageType::MsgSnapshot => Body::Snapshot(marker_of(message.get_snapshot())),
            MessageType::MsgTimeoutNow => Body::TimeoutNow,
            MessageType::MsgReadIndex => Body::ReadIndex(asked(&message)?),
            MessageType::MsgReadIndexResp => Body::ReadAt {
                round: asked(&message)?,
                index: message.index,
            },
            _ => return None,
        };
        Some(Message {
            from: message.from,
            to: message.to,
            term: message.term,
            body,
        })
    }

    /// Our message as the crate's; `None` where a snapshot's membership cannot be read.
    pub(super) fn into_raft(self) -> Option<eraftpb::Message> {
        let mut message = eraftpb::Message {
            from: self.from,
            to: self.to,
            term: self.term,
            ..eraftpb::Message::default()
        };
        let asks = |round: Round| {
            let entry = eraftpb::Entry {
                data: round.to_bytes(),
                ..eraftpb::Entry::default()
            };
            vec![entry]
        };
        let kind = match self.body {
            Body::Append {
                index,
                log_term,
                commit,
                entries,
            } => {
                (message.index, message.log_term, message.commit) = (index, log_term, commit);
                let entries: Vec<_> = entries.into_iter().map(Entry::into_raft).collect();
                message.set_entries(entries.into());
                MessageType::MsgAppend
            }
            Body::Appended {
                index,
                commit,
                refused,
            } => {
                (message.index, message.commit) = (index, commit);
                if let Some(hint) = refused {
                    message.reject = true;
                    (message.reject_hint, message.log_term) = (hint.index, hint.log_term);
                }
                MessageType::MsgAppendResponse
            }
            Body::Heartbeat { commit, round } => {
                message.commit = commit;
                message.context = round.map_or_else(Bytes::new, Round::to_bytes);
                MessageType::MsgHeartbeat
            }
            Body::Heard { commit, round } => {
                message.commit = commit;
                message.context = round.map_or_else(Bytes::new, Round::to_bytes);
                MessageType::MsgHeartbeatResponse
            }
            Body::Vote {
                pre,
                index,
                log_term,
                commit,
                commit_term,
                transfer,
            } => {
                (message.index, message.log_term) = (index, log_term);
                (message.commit, message.commit_term) = (commit, commit_term);
                if transfer {
                    message.context = Bytes::from_static(TRANSFER);
                }
                match pre {
                    true => MessageType::MsgRequestPreVote,
                    false => MessageType::MsgRequestVote,
                }
            }
            Body::Voted {
                pre,
                refused,
                commit,
                commit_term,
            } => {
                message.reject = refused;
                (message.commit, message.commit_term) = (commit, commit_term);
                match pre {
                    true => MessageType::MsgRequestPreVoteResponse,
                    false => MessageType::MsgRequestVoteResponse,
                }
            }
            Body::Snapshot(marker) => {
                let membership = Membership::decode(&marker.state).ok()?;
                message.set_snapshot(snapshot_of(&marker, &membership));
                MessageType::MsgSnapshot
            }
            Body::TimeoutNow => MessageType::MsgTimeoutNow,
            Body::ReadIndex(round) => {
                message.set_entries(asks(round).into());
                MessageType::MsgReadIndex
            }
            Body::ReadAt { round, index } => {
                message.index = index;
                message.set_entries(asks(round).into());
                MessageType::MsgReadIndexResp
            }
        };
        message.set_msg_type(kind);
        Some(message)
    }
}

/// What a snapshot stands for.
pub(super) fn marker_of(snapshot: &eraftpb::Snapshot) -> Marker {
    let metadata = snapshot.get_metadata();
    Marker {
        index: metadata.index,
        term: metadata.term,
        state: snapshot.data.clone(),
    }
}

/// The same as the crate has it; what it does not know of the members goes along as data.
pub(super) fn snapshot_of(marker: &Marker, membership: &Membership) -> eraftpb::Snapshot {
    let mut metadata = SnapshotMetadata::default();
    metadata.set_conf_state(membership.to_raft());
    (metadata.index, metadata.term) = (marker.index, marker.term);
    let mut snapshot = eraftpb::Snapshot {
        data: marker.state.clone(),
        ..eraftpb::Snapshot::default()
    };
    snapshot.set_metadata(metadata);
    snapshot
}
