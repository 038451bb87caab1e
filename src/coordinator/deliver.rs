//! What was committed is applied, and whoever waits for it is told: watchers first, then the client
//! whose write it was, then what waited behind that write.

use super::acl::Identities;
use super::apply::Outcome;
use super::command::WriteNumber;
use super::connection::WaitingFor;
use super::read::Reader;
use super::vocabulary::{Refusal, Reply, Request};
use super::{CloseReason, Coordinator, Effect, Limit};
use crate::units::{ConnectionId, Moment, Zxid};

/// Names of children that the answers of one event may hold, before those are closed that asked for many:
/// what waited behind a write is answered at once, before anything can be written.
const NAMES_BYTES_MAX: usize = 64 << 20;
/// How much of that is everybody's, however much others asked for.
const NAMES_BYTES_FAIR: usize = 64 << 10;

impl Coordinator {
    /// A command is committed.
    pub(super) fn committed(
        &mut self,
        index: u64,
        command: &[u8],
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.end_read_only(effects);
        self.let_a_write_overtake(command, effects);
        let outcome = match self.state.apply(index, command, &mut self.consequences) {
            Ok(outcome) => outcome,
            Err(unreadable) => {
                self.halted = true;
                return effects.push(Effect::Halt {
                    index,
                    newer: unreadable.is_newer(),
                    reason: unreadable.to_string(),
                });
            }
        };
        for change in self.consequences.changes.drain(..) {
            self.watches.fire(&change, effects);
        }
        let deleted = std::mem::take(&mut self.consequences.deleted);
        self.watches.fire_deleted(&deleted, effects);
        let exceeded = self.consequences.exceeded.drain(..);
        effects.extend(exceeded.map(Effect::QuotaExceeded));
        match outcome {
            Outcome::Nothing => {}
            Outcome::Written {
                session,
                generation,
                sequence,
                result,
            } => self.written(session, generation, sequence, result, effects),
            Outcome::Created { session } => self.session_created(session, now, effects),
            Outcome::NotCreated { session } => self.create_again(session, effects),
            Outcome::Attached { session, request } => {
                self.session_attached(session, request, now, effects);
            }
            Outcome::NewHistory { zxid } => effects.push(Effect::NewHistory { zxid }),
            Outcome::Gone { request } => self.session_gone(request, effects),
            Outcome::Stale { request } => self.attach_again(request, effects),
            Outcome::Closed { session, asked_for } => {
                self.session_closed(session, asked_for, effects);
            }
        }
    }

    /// All commands of an entry are applied.
    pub(super) fn entry_end(&mut self, index: u64, effects: &mut Vec<Effect>) {
        self.ended = index;
        self.syncs_over(effects);
        self.touches_over(effects);
    }

    fn written(
        &mut self,
        session: i64,
        generation: u64,
        sequence: u64,
        result: Result<Reply, Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(&id) = self.local.get(&session) else {
            return;
        };
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let is_of_this_connection = connection
            .established()
            .is_some_and(|established| established.generation == generation);
        if !is_of_this_connection {
            return;
        }
        let first = self.connections.next_waiting(id);
        let first = first.expect("a write waits until it is applied");
        assert!(
            matches!(first.what, WaitingFor::Command { sequence: first, .. } if first == sequence),
            "the writes of a connection are applied in their order, and nothing waits before them"
        );
        effects.push(Effect::Reply {
            connection: id,
            xid: first.xid,
            zxid: self.state.zxid,
            result,
        });
        self.answer_waiting(id, effects);
    }

    fn session_closed(&mut self, session: i64, asked_for: bool, effects: &mut Vec<Effect>) {
        if let Some(expiry) = &mut self.expiry {
            expiry.forget(session);
        }
        self.origins.forget(session);
        let Some(&id) = self.local.get(&session) else {
            return;
        };
        if !asked_for {
            return self.close(id, CloseReason::SessionExpired, effects);
        }
        if let Some(first) = self.connections.next_waiting(id) {
            effects.push(Effect::Reply {
                connection: id,
                xid: first.xid,
                zxid: self.state.zxid,
                result: Ok(Reply::Done),
            });
        }
        self.close(id, CloseReason::SessionClosed, effects);
    }

    /// A write is about to be applied whose connection asked for a sync or sent a ping before it, and that is not
    /// answered yet. It can be: all that was committed when the sync came lies before this write in the log, and is
    /// applied; and the leader has led, and heard of the session, by the write. What stands between the two is answered
    /// as well, from the state before the write.
    fn let_a_write_overtake(&mut self, command: &[u8], effects: &mut Vec<Effect>) {
        if !self.syncs.is_anybody_waiting() && !self.touches.is_anybody_waiting() {
            return;
        }
        let Some(write) = WriteNumber::of(command) else {
            return;
        };
        let Some(&id) = self.local.get(&write.session) else {
            return;
        };
        let is_next = self.connections.get(id).is_some_and(|connection| {
            let established = connection.established();
            established.is_some_and(|known| known.generation == write.generation)
                && connection.next_write() == Some(write.sequence)
        });
        if is_next {
            self.answer_up_to_write(id, true, effects);
        }
    }

    /// Answers what waited, up to the next write or sync that has to wait on.
    pub(super) fn answer_waiting(&mut self, id: ConnectionId, effects: &mut Vec<Effect>) {
        self.answer_up_to_write(id, false, effects);
    }

    /// The same; with `a_write_is_next` no sync and no ping has to wait on.
    fn answer_up_to_write(
        &mut self,
        id: ConnectionId,
        a_write_is_next: bool,
        effects: &mut Vec<Effect>,
    ) {
        let mut own_bytes = 0;
        loop {
            if own_bytes > NAMES_BYTES_FAIR && self.names_bytes > NAMES_BYTES_MAX {
                return self.close(id, CloseReason::AskedTooMuch, effects);
            }
            let first = self
                .connections
                .get(id)
                .and_then(|connection| connection.first());
            match first.map(|first| &first.what) {
                Some(WaitingFor::Turn { .. } | WaitingFor::Refused(_)) => {}
                Some(WaitingFor::Sync { round, .. })
                    if a_write_is_next || self.syncs.is_over(*round) => {}
                Some(WaitingFor::Touch { round })
                    if a_write_is_next || self.touches.is_over(*round) => {}
                Some(
                    WaitingFor::Sync { .. } | WaitingFor::Touch { .. } | WaitingFor::Command { .. },
                )
                | None => return,
            }
            let first = self.connections.next_waiting(id);
            let first = first.expect("it was just looked at");
            match first.what {
                WaitingFor::Turn { request, asking } => {
                    let bytes = self.answer(id, first.xid, request, &asking, effects);
                    own_bytes += bytes;
                    self.names_bytes += bytes;
                }
                WaitingFor::Sync { path, .. } => effects.push(Effect::Reply {
                    connection: id,
                    xid: first.xid,
                    zxid: self.state.zxid,
                    result: Ok(Reply::Synced { path }),
                }),
                WaitingFor::Touch { .. } => effects.push(Effect::Reply {
                    connection: id,
                    xid: first.xid,
                    zxid: self.state.zxid,
                    result: Ok(Reply::Done),
                }),
                WaitingFor::Refused(refusal) => effects.push(Effect::Reply {
                    connection: id,
                    xid: first.xid,
                    zxid: self.state.zxid,
                    result: Err(refusal),
                }),
                WaitingFor::Command { .. } => unreachable!("it was just looked at"),
            }
        }
    }

    /// Answers a read now. Returns how many bytes of names the answer holds; all else is shared with the tree.
    pub(super) fn answer(
        &mut self,
        id: ConnectionId,
        xid: i32,
        request: Request,
        asking: &[u8],
        effects: &mut Vec<Effect>,
    ) -> usize {
        let is_unknown = matches!(request, Request::Unknown { .. });
        let is_set_watches = matches!(request, Request::SetWatches { .. });
        let mut reader = Reader {
            connection: id,
            asking: Identities::parse(asking).expect("credentials are canonical"),
            watches: &mut self.watches,
            watch_bytes_max: self.options.watch_bytes_per_connection_max,
        };
        let result = self.state.read(request, &mut reader, &mut self.missed);
        let names_bytes = match &result {
            Ok(Reply::Children(names) | Reply::Children2 { names, .. }) => names.packed_len(),
            _ => 0,
        };
        let too_many_watches = result == Err(Refusal::LimitReached);
        let missed = self.missed.drain(..);
        effects.extend(missed.map(|event| Effect::Notify {
            connection: id,
            event,
        }));
        effects.push(Effect::Reply {
            connection: id,
            xid,
            zxid: if is_unknown {
                Zxid(-1)
            } else {
                self.state.zxid
            },
            result,
        });
        if too_many_watches {
            self.limit_reached(id, Limit::WatchesOfConnection, effects);
        }
        if is_unknown {
            self.close(id, CloseReason::UnknownRequest, effects);
        } else if too_many_watches && is_set_watches {
            self.close(id, CloseReason::TooManyWatches, effects);
        }
        self.shed_watches(effects);
        names_bytes
    }

    /// The group has committed this much.
    pub(super) fn read_index(
        &mut self,
        round: u64,
        index: u64,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(round) = self.syncs.answer(round, index, now) {
            effects.push(Effect::ReadIndex { round });
        }
        self.syncs_over(effects);
    }

    fn syncs_over(&mut self, effects: &mut Vec<Effect>) {
        for id in self.syncs.applied(self.ended) {
            self.answer_waiting(id, effects);
        }
    }
}
