//! A connection gets its session: a new one, or one that it had before.
//!
//! Both go through the log. While that lasts nothing else of the connection is looked at; what the
//! client sent already is kept and follows.

use super::command::{AttachSession, Command, CreateSession};
use super::connection::{Connecting, Established, PendingSession, Phase, Waiting, WaitingFor};
use super::expiry::Bucket;
use super::session::{Session, is_local, password};
use super::vocabulary::{ConnectReply, ConnectRequest, Refusal, Reply};
use super::{CloseReason, Coordinator, Effect};
use crate::units::{ConnectionId, Moment, WallTime};

impl Coordinator {
    /// The first frame of a connection.
    pub(super) fn connect(
        &mut self,
        id: ConnectionId,
        wall: WallTime,
        request: &ConnectRequest,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Fresh) {
            return self.close(id, CloseReason::OutOfTurn, effects);
        }
        // Another server may be further; on this one the client would go back in time. Who leads knows at once, and who
        // follows when the session's entry comes: all that the client can have seen lies before it.
        let (seen, applied) = (request.last_zxid_seen, self.state.zxid);
        let leads = self.expiry.is_some();
        if leads && seen > applied {
            return self.close(id, CloseReason::ClientAhead { seen, applied }, effects);
        }
        let timeout_ms = self.options.grant(request.timeout_ms);
        let address = connection.address;
        let (pending, command) = if request.session == 0 {
            if let Err(limit) = self.admit_session(address) {
                self.limit_reached(id, limit, effects);
                return self.close(id, CloseReason::TooManySessions, effects);
            }
            let last = self.state.sessions.last_id(self.options.server);
            let session = self.session_ids.next(wall, last);
            let create = CreateSession {
                session,
                timeout_ms,
                server: self.options.server,
            };
            self.creating.insert(session, id);
            self.origins.note(session, address);
            (
                PendingSession::New(session),
                self.encoder.create_session(create),
            )
        } else {
            let session = request.session;
            // A local session is over with the read-only mode it was for, and no server's log is to hear of it.
            let is_over = is_local(session) && self.state.sessions.get(session).is_none();
            if is_over || *request.password != password(session) {
                return self.refuse(id, request.read_only.is_some(), effects);
            }
            let number = self.random.next();
            self.attaching.insert(number, id);
            let command = self.attach_command(session, timeout_ms, number);
            let request = number;
            (PendingSession::Old { session, request }, command)
        };
        effects.push(Effect::Propose(command.clone()));
        if let Some(connection) = self.connections.get_mut(id) {
            connection.phase = Phase::Connecting(Connecting {
                pending,
                timeout_ms,
                sent_read_only: request.read_only.is_some(),
                seen,
                command,
                early: Vec::new(),
            });
        }
    }

    fn attach_command(&mut self, session: i64, timeout_ms: i32, request: u64) -> bytes::Bytes {
        let known = self.state.sessions.get(session);
        let attach = AttachSession {
            session,
            generation: known.map_or(0, |session| session.generation),
            timeout_ms,
            server: self.options.server,
            request,
        };
        self.encoder.attach_session(attach)
    }

    /// A new session was applied.
    pub(super) fn session_created(
        &mut self,
        session: Session,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.begin_session(session, now);
        if let Some(id) = self.creating.remove(&session.id) {
            self.establish(id, session, now, effects);
        }
    }

    /// A new session was not made. If nobody waits for it, the command was a copy that came late. Otherwise a later one came
    /// before it, because it was lost on its way: once more, with another id.
    pub(super) fn create_again(&mut self, session: i64, effects: &mut Vec<Effect>) {
        let Some(id) = self.creating.remove(&session) else {
            return;
        };
        let last = self.state.sessions.last_id(self.options.server);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let Phase::Connecting(connecting) = &mut connection.phase else {
            return;
        };
        // The time counts only for the first id that a server gives out.
        let again = self.session_ids.next(WallTime(0), last);
        connecting.pending = PendingSession::New(again);
        connecting.command = self.encoder.create_session(CreateSession {
            session: again,
            timeout_ms: connecting.timeout_ms,
            server: self.options.server,
        });
        effects.push(Effect::Propose(connecting.command.clone()));
        let address = connection.address;
        self.creating.insert(again, id);
        self.origins.forget(session);
        self.origins.note(again, address);
    }

    /// A session got another connection, here or on another server.
    pub(super) fn session_attached(
        &mut self,
        session: Session,
        request: u64,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.begin_session(session, now);
        if let Some(&former) = self.local.get(&session.id) {
            self.refuse_moved(former, effects);
            self.close(former, CloseReason::SessionMoved, effects);
        }
        if let Some(id) = self.attaching.remove(&request) {
            self.establish(id, session, now, effects);
        }
    }

    /// What this connection still waits for is done by nobody: its session has moved. As with ZooKeeper 3.4, a multi is told
    /// so by an error inside of it, and everything else by the end of the connection: the client that lost its session may
    /// be the one that has it, on a connection that it thought dead, and -118 in a header would be an error to it that it
    /// does not try again.
    fn refuse_moved(&mut self, id: ConnectionId, effects: &mut Vec<Effect>) {
        let operations = |waiting: &Waiting| match &waiting.what {
            WaitingFor::Command { command, .. } => Command::operations_of_multi(command),
            _ => None,
        };
        while let Some(connection) = self.connections.get(id)
            && let Some(operations) = connection.first().and_then(operations)
            && let Some(first) = self.connections.next_waiting(id)
        {
            let reply = Reply::MultiRefused {
                operations,
                refused: 0,
                refusal: Refusal::SessionMoved,
            };
            effects.push(Effect::Reply {
                connection: id,
                xid: first.xid,
                zxid: self.state.zxid,
                result: Ok(reply),
            });
        }
    }

    /// A session that a connection wanted back does not exist (any more).
    pub(super) fn session_gone(&mut self, request: u64, effects: &mut Vec<Effect>) {
        if let Some(id) = self.attaching.remove(&request) {
            let connection = self.connections.get(id);
            let sent_read_only = connection.is_some_and(|connection| match &connection.phase {
                Phase::Connecting(connecting) => connecting.sent_read_only,
                Phase::Fresh | Phase::Established(_) => false,
            });
            self.refuse(id, sent_read_only, effects);
        }
    }

    /// A session was attached elsewhere in between: once more, knowing that.
    pub(super) fn attach_again(&mut self, request: u64, effects: &mut Vec<Effect>) {
        let Some(&id) = self.attaching.get(&request) else {
            return;
        };
        let Some(Phase::Connecting(connecting)) =
            self.connections.get(id).map(|connection| &connection.phase)
        else {
            return;
        };
        let (PendingSession::Old { session, .. }, timeout_ms) =
            (connecting.pending, connecting.timeout_ms)
        else {
            return;
        };
        let again = self.attach_command(session, timeout_ms, request);
        effects.push(Effect::Propose(again.clone()));
        if let Some(connection) = self.connections.get_mut(id)
            && let Phase::Connecting(connecting) = &mut connection.phase
        {
            connecting.command = again;
        }
    }

    fn begin_session(&mut self, session: Session, now: Moment) {
        if let Some(expiry) = &mut self.expiry {
            let bucket = expiry.bucket(now, session.timeout_ms);
            expiry.begin(session.id, bucket);
        }
    }

    fn establish(
        &mut self,
        id: ConnectionId,
        session: Session,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let established = Phase::Established(Established {
            session: session.id,
            generation: session.generation,
            timeout_ms: session.timeout_ms,
            sequence: 0,
            touched: Bucket::default(),
            closing: false,
            read_only: false,
        });
        let Phase::Connecting(connecting) = std::mem::replace(&mut connection.phase, established)
        else {
            unreachable!("only connecting connections are in the tables of pending sessions");
        };
        let address = connection.address;
        self.origins.note(session.id, address);
        self.local.insert(session.id, id);
        let (seen, applied) = (connecting.seen, self.state.zxid);
        if seen > applied {
            return self.close(id, CloseReason::ClientAhead { seen, applied }, effects);
        }
        effects.push(Effect::ConnectReply {
            connection: id,
            reply: ConnectReply {
                timeout_ms: session.timeout_ms,
                session: session.id,
                password: password(session.id),
                read_only: connecting.sent_read_only.then_some(false),
            },
        });
        for early in connecting.early {
            self.request(id, early.xid, early.wall, early.request, now, effects);
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: ConnectionId,
        sent_read_only: bool,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::ConnectReply {
            connection: id,
            reply: ConnectReply {
                timeout_ms: 0,
                session: 0,
                password: [0; 16],
                read_only: sent_read_only.then_some(self.read_only.is_some()),
            },
        });
        self.close(id, CloseReason::SessionInvalid, effects);
    }
}
