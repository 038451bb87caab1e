//! Read-only mode: a server to which nobody leads serves what it has to clients that are content with that.
//!
//! Whether it does is the node's to say; here is what it means. A client gets a local session: one that this server alone
//! knows, that never enters the log and ends by this server's clock. Who brings a session of the ensemble goes on under its
//! id, so that he has it still when somebody leads again; nothing is done to that session here. Reads, watches, pings and
//! `auth` are answered as ever, everything that would need a leader is refused.
//!
//! Invariants:
//! - nothing is proposed, asked or told to others for these clients;
//! - they are all gone before anything more is applied, so none is told of what came later: it comes again, and hears it with
//!   its watches.

use std::collections::HashMap;

use ahash::RandomState;

use super::connection::{Established, Phase};
use super::expiry::{Bucket, Expiry};
use super::session::{is_local, local_id, password};
use super::vocabulary::{ConnectReply, ConnectRequest, Refusal, Reply, Request};
use super::{CloseReason, Coordinator, Effect};
use crate::units::{ConnectionId, Moment, Zxid};

/// What is served while nobody leads.
#[derive(Debug)]
pub(super) struct ReadOnly {
    /// The sessions that are used here, with their connections; local ones stay for their time without one.
    sessions: HashMap<i64, Option<ConnectionId>, RandomState>,
    /// How many of them are local.
    local: usize,
    expiry: Expiry,
}

impl ReadOnly {
    /// How many sessions are used here.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many sessions only this server knows.
    pub(super) fn local(&self) -> usize {
        self.local
    }

    /// Says that the server is awake.
    pub(super) fn wake(&mut self, now: Moment) {
        self.expiry.wake(now);
    }

    /// When a session may be over.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.expiry.deadline()
    }

    /// A connection is gone. A local session may come again; one of the ensemble is not this server's to keep.
    pub(super) fn disconnected(&mut self, session: i64, connection: ConnectionId) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        if *known != Some(connection) {
            return;
        }
        *known = None;
        if !is_local(session) {
            self.end(session);
        }
    }

    /// A session is used on a connection from now on. The one that it was used on before.
    fn begin(
        &mut self,
        session: i64,
        connection: ConnectionId,
        until: Bucket,
    ) -> Option<ConnectionId> {
        self.expiry.begin(session, until);
        let former = self.sessions.insert(session, Some(connection));
        self.local += usize::from(former.is_none() && is_local(session));
        former.flatten()
    }

    fn end(&mut self, session: i64) -> Option<ConnectionId> {
        self.expiry.forget(session);
        let former = self.sessions.remove(&session);
        self.local -= usize::from(former.is_some() && is_local(session));
        former.flatten()
    }
}

impl Coordinator {
    /// Nobody leads: from here on clients that are content with reading are served.
    pub(super) fn begin_read_only(&mut self, now: Moment) {
        self.read_only.get_or_insert_with(|| ReadOnly {
            sessions: HashMap::with_hasher(self.hasher.clone()),
            local: 0,
            expiry: Expiry::new(self.options.tick, now, &self.hasher),
        });
    }

    /// Somebody leads, or what this server has is not to be shown: those clients go.
    pub(super) fn end_read_only(&mut self, effects: &mut Vec<Effect>) {
        let Some(read_only) = self.read_only.take() else {
            return;
        };
        for id in self.connections.sorted_ids() {
            if self.is_read_only_client(id) {
                self.close(id, CloseReason::ReadOnlyOver, effects);
            }
        }
        let mut sessions: Vec<i64> = read_only.sessions.into_keys().collect();
        sessions.sort_unstable();
        for session in sessions.into_iter().filter(|it| is_local(*it)) {
            self.origins.forget(session);
        }
    }

    /// The first frame of a connection, while nobody leads.
    pub(super) fn connect_read_only(
        &mut self,
        id: ConnectionId,
        request: &ConnectRequest,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Fresh) {
            return self.close(id, CloseReason::OutOfTurn, effects);
        }
        if request.read_only != Some(true) {
            return self.close(id, CloseReason::NoLeader, effects);
        }
        let (seen, applied) = (request.last_zxid_seen, self.state.zxid);
        if seen > applied {
            return self.close(id, CloseReason::ClientAhead { seen, applied }, effects);
        }
        let session = request.session;
        if session != 0 && *request.password != password(session) {
            return self.refuse(id, true, effects);
        }
        let is_used = |it: &ReadOnly| it.sessions.contains_key(&session);
        let is_used = self.read_only.as_ref().is_some_and(is_used);
        if is_local(session) && !is_used {
            return self.refuse(id, true, effects);
        }
        // It may have begun in what is not applied here, so it is not for this server to say that it is over.
        if session != 0 && !is_local(session) && self.state.sessions.get(session).is_none() {
            return self.close(id, CloseReason::SessionElsewhere, effects);
        }
        let address = connection.address;
        // One of the ensemble counts already.
        if session == 0
            && let Err(limit) = self.admit_session(address)
        {
            self.limit_reached(id, limit, effects);
            return self.close(id, CloseReason::TooManySessions, effects);
        }
        let session = match session {
            0 => self.new_local_session(),
            session => session,
        };
        self.origins.note(session, address);
        self.establish_read_only(id, session, request.timeout_ms, now, effects);
    }

    /// An id that no session of the ensemble has, nor any that is used here.
    fn new_local_session(&mut self) -> i64 {
        loop {
            let id = local_id(self.options.server, self.random.next());
            let used = self.read_only.as_ref();
            if !used.is_some_and(|it| it.sessions.contains_key(&id)) {
                return id;
            }
        }
    }

    fn establish_read_only(
        &mut self,
        id: ConnectionId,
        session: i64,
        timeout_ms: i32,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let timeout_ms = self.options.grant(timeout_ms);
        let Some(read_only) = &mut self.read_only else {
            return;
        };
        let touched = read_only.expiry.bucket(now, timeout_ms);
        let former = read_only.begin(session, id, touched);
        // The client has left it, whatever it was for.
        let former = former.or_else(|| self.local.get(&session).copied());
        if let Some(former) = former {
            self.close(former, CloseReason::SessionMoved, effects);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.phase = Phase::Established(Established {
                session,
                generation: 0,
                timeout_ms,
                sequence: 0,
                touched,
                closing: false,
                read_only: true,
            });
        }
        effects.push(Effect::ConnectReply {
            connection: id,
            reply: ConnectReply {
                timeout_ms,
                session,
                password: password(session),
                read_only: Some(true),
            },
        });
    }

    /// A request of a client that can only read. Nothing of it waits, so its turn is now.
    pub(super) fn request_read_only(
        &mut self,
        id: ConnectionId,
        xid: i32,
        request: Request,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(connection), Some(read_only)) =
            (self.connections.get_mut(id), &mut self.read_only)
        else {
            return;
        };
        let Phase::Established(established) = &mut connection.phase else {
            return;
        };
        let session = established.session;
        if !matches!(request, Request::Auth { .. } | Request::Sasl { .. }) {
            let bucket = read_only.expiry.bucket(now, established.timeout_ms);
            if bucket != established.touched {
                established.touched = bucket;
                read_only.expiry.touch(session, bucket);
            }
        }
        let asking = connection.credentials.share();
        let (zxid, result) = match request {
            Request::Auth { scheme, data } => {
                return self.authenticate(id, xid, &scheme, &data, effects);
            }
            Request::Sasl { .. } => (Zxid(0), Ok(Reply::Sasl { token: None })),
            Request::CloseSession if is_local(session) => {
                read_only.end(session);
                self.origins.forget(session);
                (self.state.zxid, Ok(Reply::Done))
            }
            Request::Create(_)
            | Request::Delete(_)
            | Request::SetData(_)
            | Request::SetAcl { .. }
            | Request::Multi(_)
            | Request::Sync { .. }
            | Request::CloseSession
            | Request::Malformed { write: true } => (self.state.zxid, Err(Refusal::NotReadOnly)),
            Request::Exists { .. }
            | Request::GetData { .. }
            | Request::GetAcl { .. }
            | Request::GetChildren { .. }
            | Request::GetChildren2 { .. }
            | Request::SetWatches { .. }
            | Request::Ping
            | Request::Malformed { write: false }
            | Request::Unknown { .. } => {
                self.answer(id, xid, request, &asking, effects);
                return;
            }
        };
        let is_closed = matches!(result, Ok(Reply::Done));
        effects.push(Effect::Reply {
            connection: id,
            xid,
            zxid,
            result,
        });
        if is_closed {
            self.close(id, CloseReason::SessionClosed, effects);
        }
    }

    /// Ends the sessions here whose time is over.
    pub(super) fn expire_read_only(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(read_only) = &mut self.read_only else {
            return;
        };
        for session in read_only.expiry.expired(now) {
            let connection = self.read_only.as_mut().and_then(|it| it.end(session));
            if is_local(session) {
                self.origins.forget(session);
            }
            if let Some(connection) = connection {
                self.close(connection, CloseReason::SessionExpired, effects);
            }
        }
    }
}
