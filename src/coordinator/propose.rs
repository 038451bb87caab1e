//! A request comes in: a write becomes a command, a read is answered or waits for its turn.
//!
//! Nothing about a write is judged here, not even whether its path makes sense: the state it meets is
//! the one in which it is applied.

use super::command::Origin;
use super::connection::{Connection, Early, Phase, Waiting, WaitingFor, weight};
use super::vocabulary::{Operation, Refusal, Reply, Request};
use super::{CloseReason, Coordinator, Effect, Limit};
use crate::units::{ConnectionId, Moment, WallTime, Zxid};

impl Coordinator {
    /// A frame that is not the first of its connection.
    pub(super) fn request(
        &mut self,
        id: ConnectionId,
        xid: i32,
        wall: WallTime,
        request: Request,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let bytes = weight(&request);
        let has_room = self.has_room_for(&request, bytes);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let established = match &mut connection.phase {
            Phase::Fresh => return self.close(id, CloseReason::OutOfTurn, effects),
            Phase::Connecting(connecting) => {
                // The node stops reading meanwhile; this is what one read had brought.
                if connecting.early.len() >= self.options.connection_outstanding_max {
                    return self.close(id, CloseReason::OutOfTurn, effects);
                }
                return connecting.early.push(Early { xid, wall, request });
            }
            Phase::Established(established) => established,
        };
        if established.closing {
            return;
        }
        if established.read_only {
            return self.request_read_only(id, xid, request, now, effects);
        }
        // Who only shows who he is does not keep his session alive, as with ZooKeeper: kazoo's SASL loop ends so.
        let shows_who = matches!(request, Request::Auth { .. } | Request::Sasl { .. });
        let pings = matches!(request, Request::Ping);
        if pings || !shows_who && self.expiry.is_none() {
            self.touches.gather(established.session, now);
        }
        if let Some(expiry) = &mut self.expiry
            && !shows_who
        {
            let bucket = expiry.bucket(now, established.timeout_ms);
            if bucket != established.touched {
                established.touched = bucket;
                expiry.touch(established.session, bucket);
            }
        }
        if !has_room {
            return self.refuse_in_turn(id, xid, bytes, effects);
        }
        let asking;
        let mut origin = Origin {
            session: established.session,
            generation: established.generation,
            sequence: established.sequence.wrapping_add(1),
            wall,
            asking: {
                asking = connection.credentials.share();
                &asking
            },
        };
        let encoder = &mut self.encoder;
        let command = match request {
            Request::Create(create) => encoder.operation(origin, &Operation::Create(create)),
            Request::Delete(delete) => encoder.operation(origin, &Operation::Delete(delete)),
            Request::SetData(set) => encoder.operation(origin, &Operation::SetData(set)),
            Request::SetAcl { path, acl, version } => encoder.set_acl(origin, &path, &acl, version),
            Request::Multi(operations) => encoder.multi(origin, &operations),
            Request::Malformed { write: true } => encoder.malformed(origin),
            Request::CloseSession => {
                established.closing = true;
                origin.asking = &[];
                encoder.close_session(origin)
            }
            Request::Auth { scheme, data } => {
                return self.authenticate(id, xid, &scheme, &data, effects);
            }
            Request::Sasl { .. } => {
                return effects.push(Effect::Reply {
                    connection: id,
                    xid,
                    zxid: Zxid(0),
                    result: Ok(Reply::Sasl { token: None }),
                });
            }
            Request::Sync { path } => {
                let (round, ask) = self.syncs.join(id, now);
                let what = WaitingFor::Sync { path, round };
                self.connections.wait(id, Waiting { xid, bytes, what });
                if ask {
                    effects.push(Effect::ReadIndex { round });
                }
                return;
            }
            Request::Ping => {
                let round = self.touches.join(id, now);
                let what = WaitingFor::Touch { round };
                return self.connections.wait(id, Waiting { xid, bytes, what });
            }
            Request::Exists { .. }
            | Request::GetData { .. }
            | Request::GetAcl { .. }
            | Request::GetChildren { .. }
            | Request::GetChildren2 { .. }
            | Request::SetWatches { .. }
            | Request::Malformed { write: false }
            | Request::Unknown { .. } => {
                if !connection.has_waiting() {
                    self.answer(id, xid, request, &asking, effects);
                    return;
                }
                let what = WaitingFor::Turn { request, asking };
                return self.connections.wait(id, Waiting { xid, bytes, what });
            }
        };
        established.sequence = origin.sequence;
        let bytes = bytes.max(command.len());
        let what = WaitingFor::Command {
            sequence: origin.sequence,
            command: command.clone(),
        };
        self.connections.wait(id, Waiting { xid, bytes, what });
        effects.push(Effect::Propose(command));
    }

    /// The tree is full: what would make it grow is refused, behind all that came before it.
    fn refuse_in_turn(
        &mut self,
        id: ConnectionId,
        xid: i32,
        bytes: usize,
        effects: &mut Vec<Effect>,
    ) {
        self.limit_reached(id, Limit::Tree, effects);
        let refusal = Refusal::LimitReached;
        let connection = self.connections.get(id);
        if connection.is_some_and(Connection::has_waiting) {
            let what = WaitingFor::Refused(refusal);
            return self.connections.wait(id, Waiting { xid, bytes, what });
        }
        effects.push(Effect::Reply {
            connection: id,
            xid,
            zxid: self.state.zxid,
            result: Err(refusal),
        });
    }

    /// An auth packet: answered at once, whatever else waits.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        xid: i32,
        scheme: &[u8],
        data: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let super_digest = self.options.super_digest.as_deref();
        let address = connection.address;
        let convinced = connection
            .credentials
            .authenticate(scheme, data, address, super_digest);
        effects.push(Effect::Reply {
            connection: id,
            xid,
            zxid: Zxid(0),
            result: if convinced {
                Ok(Reply::Done)
            } else {
                Err(Refusal::AuthFailed)
            },
        });
        if !convinced {
            self.close(id, CloseReason::AuthFailed, effects);
        }
    }
}
