//! A committed command changes the state: here, and only here, a write is judged.
//!
//! Everything follows from the command and the state, so every replica comes to the same result. What
//! is wrong with a request is found in ZooKeeper's order, because clients see which error comes first.
//!
//! A write takes a zxid whether it is done or refused. It is not even looked at if it is not the next of
//! the current generation of its session: a copy that was sent twice, or one that overtook another.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::QuotaExceeded;
use super::acl::{AclId, Identities, Permissions};
use super::command::{Action, AttachSession, Command, CreateSession, Op, Unreadable, Write};
use super::path;
use super::quota::{Added, Charged};
use super::session::Session;
use super::state::State;
use super::tree::{NewZnode, NodeId, Undo};
use super::vocabulary::{CreateMode, OperationReply, Refusal, Reply, Shared, Stat, permissions};
use crate::units::{WallTime, Zxid};

/// What happened to the tree, in order; for the watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Created(Shared),
    Deleted(Shared),
    DataSet(Shared),
}

/// What a command did beside changing the state.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub(super) changes: Vec<Change>,
    /// The ephemeral znodes of a session that ended, in no particular order; then there are no other changes.
    pub(super) deleted: Vec<Shared>,
    pub(super) exceeded: Vec<QuotaExceeded>,
    undo: Vec<Undo>,
}

impl Consequences {
    fn charged(&mut self, charged: Option<Charged>) {
        if let Some(charged) = charged {
            self.undo.extend(charged.undo);
            self.exceeded.extend(charged.exceeded);
        }
    }
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing: it came twice, too early or too late, or was empty.
    Nothing,
    /// A write was done or refused.
    Written {
        session: i64,
        generation: u64,
        sequence: u64,
        result: Result<Reply, Refusal>,
    },
    /// There is a new session.
    Created { session: Session },
    /// A session was not made: its id, or a later one of its server, was given out before.
    NotCreated { session: i64 },
    /// A session has a new connection.
    Attached { session: Session, request: u64 },
    /// A session could not be attached because it does not exist.
    Gone { request: u64 },
    /// A session could not be attached because that was decided without knowing what came before.
    Stale { request: u64 },
    /// Zxids go on from here.
    NewHistory { zxid: Zxid },
    /// A session ended.
    Closed {
        session: i64,
        /// Whether its client wanted that, with the last of its writes; otherwise it expired.
        asked_for: bool,
    },
}

/// What every operation of a command shares.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    session: i64,
    zxid: Zxid,
    wall: WallTime,
    asking: Identities<'a>,
    /// Which bits of which long lists were found to be granted: a multi may ask thousands of times.
    granted: &'a RefCell<BTreeSet<(AclId, i32)>>,
}

/// What one operation does.
enum Done {
    Created(Shared),
    Deleted,
    DataSet(Stat),
    AclSet(Stat),
    Checked,
}

impl State {
    /// Applies one command.
    ///
    /// # Errors
    /// [`Unreadable`]: nothing was changed, and nothing may be applied any more.
    pub(super) fn apply(
        &mut self,
        index: u64,
        command: &[u8],
        consequences: &mut Consequences,
    ) -> Result<Outcome, Unreadable> {
        let outcome = if command.is_empty() {
            Outcome::Nothing
        } else {
            match Command::decode(command)? {
                Command::Write(write) => self.write(&write, consequences),
                Command::CreateSession(create) => self.create_session(create),
                Command::AttachSession(attach) => self.attach_session(attach),
                Command::ExpireSession {
                    session,
                    generation,
                } => self.expire_session(session, generation, consequences),
                Command::NewHistory => self.new_history(),
            }
        };
        self.applied = index;
        Ok(outcome)
    }

    fn next_zxid(&mut self) -> Zxid {
        self.zxid = Zxid(self.zxid.0.wrapping_add(1));
        self.zxid
    }

    /// The time of a write. Clocks of servers differ, and time in the tree does not go backwards.
    fn time(&mut self, stamped: WallTime) -> WallTime {
        self.wall = self.wall.max(stamped);
        self.wall
    }

    /// The high half counts histories: no client that has seen more of a former one is refused for ever.
    fn new_history(&mut self) -> Outcome {
        let history = (self.zxid.0 >> 32).wrapping_add(1);
        self.zxid = Zxid(history << 32);
        Outcome::NewHistory { zxid: self.zxid }
    }

    fn create_session(&mut self, create: CreateSession) -> Outcome {
        let not_created = Outcome::NotCreated {
            session: create.session,
        };
        // A copy of a command may come when the session has ended long ago.
        if self.sessions.was_given_out(create.server, create.session) {
            return not_created;
        }
        self.sessions.note_id(create.server, create.session);
        let session = Session {
            id: create.session,
            timeout_ms: create.timeout_ms,
            generation: 1,
            sequence: 0,
            server: create.server,
        };
        if !self.sessions.insert(session) {
            return not_created;
        }
        self.next_zxid();
        Outcome::Created { session }
    }

    fn attach_session(&mut self, attach: AttachSession) -> Outcome {
        let request = attach.request;
        let attached = self.sessions.change(attach.session, |session| {
            if session.generation != attach.generation {
                return None;
            }
            session.generation = session.generation.wrapping_add(1);
            session.sequence = 0;
            session.timeout_ms = attach.timeout_ms;
            session.server = attach.server;
            Some(*session)
        });
        match attached {
            None => Outcome::Gone { request },
            Some(None) => Outcome::Stale { request },
            Some(Some(session)) => Outcome::Attached { session, request },
        }
    }

    fn expire_session(
        &mut self,
        id: i64,
        generation: u64,
        consequences: &mut Consequences,
    ) -> Outcome {
        let session = self.sessions.get(id);
        if session.is_none_or(|session| session.generation != generation) {
            return Outcome::Nothing;
        }
        let zxid = self.next_zxid();
        self.close_session(id, zxid, consequences);
        Outcome::Closed {
            session: id,
            asked_for: false,
        }
    }

    fn write(&mut self, write: &Write<'_>, consequences: &mut Consequences) -> Outcome {
        let is_next = self.sessions.change(write.session, |session| {
            let is_next = session.generation == write.generation
                && session.sequence.checked_add(1) == Some(write.sequence);
            if is_next {
                session.sequence = write.sequence;
            }
            is_next
        });
        if is_next != Some(true) {
            return Outcome::Nothing;
        }
        let granted = RefCell::default();
        let context = Context {
            granted: &granted,
            session: write.session,
            zxid: self.next_zxid(),
            wall: self.time(write.wall),
            asking: write.asking,
        };
        let result = match &write.action {
            Action::One(op) => self.one(op, context, consequences),
            Action::Multi(ops) => Ok(self.all_or_nothing(ops, context, consequences)),
            Action::Malformed => Err(Refusal::Marshalling),
            Action::CloseSession => {
                self.close_session(write.session, context.zxid, consequences);
                return Outcome::Closed {
                    session: write.session,
                    asked_for: true,
                };
            }
        };
        Outcome::Written {
            session: write.session,
            generation: write.generation,
            sequence: write.sequence,
            result,
        }
    }

    fn one(
        &mut self,
        op: &Op<'_>,
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Result<Reply, Refusal> {
        let done = self.perform(op, context, consequences);
        self.seal(consequences);
        Ok(match done? {
            Done::Created(path) => Reply::Created { path },
            Done::DataSet(stat) | Done::AclSet(stat) => Reply::Stat(stat),
            Done::Deleted | Done::Checked => Reply::Done,
        })
    }

    fn all_or_nothing(
        &mut self,
        ops: &[Op<'_>],
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Reply {
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            match self.perform(op, context, consequences) {
                Ok(done) => replies.push(match done {
                    Done::Created(path) => OperationReply::Created { path },
                    Done::DataSet(stat) | Done::AclSet(stat) => OperationReply::DataSet(stat),
                    Done::Deleted => OperationReply::Deleted,
                    Done::Checked => OperationReply::Checked,
                }),
                Err(refusal) => {
                    while let Some(undo) = consequences.undo.pop() {
                        self.tree.undo(undo);
                    }
                    consequences.changes.clear();
                    consequences.exceeded.clear();
                    return Reply::MultiRefused {
                        operations: ops.len(),
                        refused: replies.len(),
                        refusal,
                    };
                }
            }
        }
        self.seal(consequences);
        Reply::Multi(replies)
    }

    fn seal(&mut self, consequences: &mut Consequences) {
        for undo in consequences.undo.drain(..) {
            self.tree.seal(undo);
        }
    }

    fn close_session(&mut self, session: i64, zxid: Zxid, consequences: &mut Consequences) {
        consequences.deleted = self.tree.delete_ephemerals(session, zxid);
        self.sessions.remove(session);
    }

    fn perform(
        &mut self,
        op: &Op<'_>,
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Result<Done, Refusal> {
        match *op {
            Op::Create {
                path,
                data,
                permissions,
                mode,
            } => self.create(path, data, permissions, mode, context, consequences),
            Op::Delete { path, version } => self.delete(path, version, context, consequences),
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(path, data, version, context, consequences),
            Op::SetAcl {
                path,
                permissions,
                version,
            } => self.set_acl(path, permissions, version, context),
            Op::Check { path, version } => {
                let id = self.valid(path)?;
                self.permit(id, permissions::READ, context)?;
                expect(version, self.tree.get(id).body.version)?;
                Ok(Done::Checked)
            }
        }
    }

    fn create(
        &mut self,
        given: &[u8],
        data: Option<&[u8]>,
        acl: Permissions<'_>,
        mode: CreateMode,
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Result<Done, Refusal> {
        let (owner, sequential) = match mode {
            CreateMode::Persistent => (0, false),
            CreateMode::Ephemeral => (context.session, false),
            CreateMode::PersistentSequential => (0, true),
            CreateMode::EphemeralSequential => (context.session, true),
            CreateMode::Unknown(_) => return Err(Refusal::BadArguments),
        };
        let parent = path::parent_if_plausible(given).ok_or(Refusal::BadArguments)?;
        let acl = acl.resolve(context.asking).ok_or(Refusal::InvalidAcl)?;
        let parent = self.tree.find(parent).ok_or(Refusal::NoNode)?;
        self.permit(parent, permissions::CREATE, context)?;
        let parent_body = &self.tree.get(parent).body;
        let path: Shared = if sequential {
            let mut path = given.to_vec();
            path.extend_from_slice(format!("{:010}", parent_body.made).as_bytes());
            path.into()
        } else {
            given.into()
        };
        if !path::is_valid(&path) {
            return Err(Refusal::BadArguments);
        }
        let is_under_ephemeral = parent_body.owner != 0;
        if self.tree.find(&path).is_some() {
            return Err(Refusal::NodeExists);
        }
        if is_under_ephemeral {
            return Err(Refusal::NoChildrenForEphemerals);
        }
        let new = NewZnode {
            path: path.clone(),
            data,
            acl: self.tree.acls.take(acl.bytes()),
            owner,
        };
        let (id, undo) = self.tree.create(parent, new, context.zxid, context.wall);
        consequences.undo.push(undo);
        consequences.undo.extend(self.tree.measure_for(id));
        let added = Added {
            count: 1,
            bytes: length(data),
        };
        consequences.charged(self.tree.charge(&path, added));
        consequences.changes.push(Change::Created(path.clone()));
        Ok(Done::Created(path))
    }

    fn delete(
        &mut self,
        given: &[u8],
        version: i32,
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Result<Done, Refusal> {
        let parent = path::parent_if_plausible(given)
            .filter(|_| !path::is_kept(given))
            .ok_or(Refusal::BadArguments)?;
        let parent = self.tree.find(parent).ok_or(Refusal::NoNode)?;
        self.permit(parent, permissions::DELETE, context)?;
        let id = self.tree.find(given).ok_or(Refusal::NoNode)?;
        let znode = self.tree.get(id);
        expect(version, znode.body.version)?;
        if znode.has_children() {
            return Err(Refusal::NotEmpty);
        }
        self.delete_node(id, context.zxid, consequences);
        Ok(Done::Deleted)
    }

    fn delete_node(&mut self, id: NodeId, zxid: Zxid, consequences: &mut Consequences) {
        let body = &self.tree.get(id).body;
        let (path, bytes) = (body.path.clone(), length(body.data.as_deref()));
        consequences.undo.push(self.tree.delete(id, zxid));
        let added = Added {
            count: -1,
            bytes: -bytes,
        };
        consequences.charged(self.tree.charge(&path, added));
        consequences.changes.push(Change::Deleted(path));
    }

    fn set_data(
        &mut self,
        given: &[u8],
        data: Option<&[u8]>,
        version: i32,
        context: Context<'_>,
        consequences: &mut Consequences,
    ) -> Result<Done, Refusal> {
        let id = self.valid(given)?;
        self.permit(id, permissions::WRITE, context)?;
        let body = &self.tree.get(id).body;
        expect(version, body.version)?;
        let (path, before) = (body.path.clone(), length(body.data.as_deref()));
        let undo = self.tree.set_data(id, data, context.zxid, context.wall);
        consequences.undo.push(undo);
        let added = Added {
            count: 0,
            bytes: length(data) - before,
        };
        consequences.charged(self.tree.charge(&path, added));
        consequences.changes.push(Change::DataSet(path));
        Ok(Done::DataSet(self.tree.get(id).stat()))
    }

    fn set_acl(
        &mut self,
        given: &[u8],
        acl: Permissions<'_>,
        version: i32,
        context: Context<'_>,
    ) -> Result<Done, Refusal> {
        if !path::is_valid(given) {
            return Err(Refusal::BadArguments);
        }
        let acl = acl.resolve(context.asking).ok_or(Refusal::InvalidAcl)?;
        let id = self.tree.find(given).ok_or(Refusal::NoNode)?;
        self.permit(id, permissions::ADMIN, context)?;
        expect(version, self.tree.get(id).body.aversion)?;
        let acl: AclId = self.tree.acls.take(acl.bytes());
        self.tree.set_acl(id, acl);
        Ok(Done::AclSet(self.tree.get(id).stat()))
    }

    /// The znode with a well formed path.
    fn valid(&self, path: &[u8]) -> Result<NodeId, Refusal> {
        // A path that is in the tree is well formed, and most are.
        match self.tree.find(path) {
            Some(id) if !path.is_empty() => Ok(id),
            _ if path::is_valid(path) => Err(Refusal::NoNode),
            _ => Err(Refusal::BadArguments),
        }
    }

    fn permit(&self, id: NodeId, wanted: i32, context: Context<'_>) -> Result<(), Refusal> {
        let (acls, acl) = (&self.tree.acls, self.tree.get(id).body.acl);
        let is_long = acls.is_long(acl);
        if is_long && context.granted.borrow().contains(&(acl, wanted)) {
            return Ok(());
        }
        if !acls.permit(acl, wanted, context.asking) {
            return Err(Refusal::NoAuth);
        }
        if is_long {
            context.granted.borrow_mut().insert((acl, wanted));
        }
        Ok(())
    }
}

fn expect(wanted: i32, actual: i32) -> Result<(), Refusal> {
    if wanted == -1 || wanted == actual {
        Ok(())
    } else {
        Err(Refusal::BadVersion)
    }
}

fn length(data: Option<&[u8]>) -> i64 {
    i64::try_from(data.map_or(0, <[u8]>::len)).expect("data came in a frame")
}
