//! A read request is answered from what is applied, and its watch is set in the same moment.

use super::acl::Identities;
use super::state::State;
use super::tree::NodeId;
use super::vocabulary::{Refusal, Reply, Request, Shared, WatchEvent, WatchEventKind, permissions};
use super::watch::{self, Table, Watches};
use crate::units::{ConnectionId, Zxid};

/// Whoever reads, and the watches it sets.
pub(super) struct Reader<'a> {
    pub(super) connection: ConnectionId,
    pub(super) asking: Identities<'a>,
    pub(super) watches: &'a mut Watches,
    /// What the watches of the connection may weigh.
    pub(super) watch_bytes_max: usize,
}

impl State {
    /// Answers a request that changes nothing. What set_watches finds changed is pushed to `missed`.
    pub(super) fn read(
        &mut self,
        request: Request,
        reader: &mut Reader<'_>,
        missed: &mut Vec<WatchEvent>,
    ) -> Result<Reply, Refusal> {
        match request {
            Request::Exists { path, watch } => {
                if path.contains(&0) {
                    return Err(Refusal::BadArguments);
                }
                let found = self.tree.find(&path);
                if watch {
                    self.watch(Table::Data, found, &path, reader)?;
                }
                let id = found.ok_or(Refusal::NoNode)?;
                Ok(Reply::Stat(self.tree.get(id).stat()))
            }
            Request::GetData { path, watch } => {
                let id = self.readable(&path, reader)?;
                if watch {
                    self.watch(Table::Data, Some(id), &path, reader)?;
                }
                let znode = self.tree.get(id);
                Ok(Reply::Data {
                    data: znode.body.data.clone(),
                    stat: znode.stat(),
                })
            }
            Request::GetAcl { path } => {
                let id = self.tree.find(&path).ok_or(Refusal::NoNode)?;
                let znode = self.tree.get(id);
                let acl = self.tree.acls.reveal(znode.body.acl, reader.asking);
                Ok(Reply::Acl {
                    acl: acl.ok_or(Refusal::NoAuth)?,
                    stat: znode.stat(),
                })
            }
            Request::GetChildren { path, watch } => {
                let id = self.readable(&path, reader)?;
                if watch {
                    self.watch(Table::Child, Some(id), &path, reader)?;
                }
                Ok(Reply::Children(self.tree.names(id)))
            }
            Request::GetChildren2 { path, watch } => {
                let id = self.readable(&path, reader)?;
                if watch {
                    self.watch(Table::Child, Some(id), &path, reader)?;
                }
                Ok(Reply::Children2 {
                    names: self.tree.names(id),
                    stat: self.tree.get(id).stat(),
                })
            }
            Request::SetWatches {
                relative_zxid,
                data,
                exist,
                child,
            } => {
                for path in data {
                    let changed = |zxids: Zxids| zxids.mzxid > relative_zxid;
                    let kind = WatchEventKind::DataChanged;
                    self.watch_again(Table::Data, &path, changed, kind, reader, missed)?;
                }
                for path in exist {
                    match self.tree.find(&path) {
                        Some(id) => missed.push(WatchEvent {
                            kind: WatchEventKind::Created,
                            path: self.tree.get(id).body.path.clone(),
                        }),
                        None => self.watch(Table::Data, None, &path, reader)?,
                    }
                }
                for path in child {
                    let changed = |zxids: Zxids| zxids.pzxid > relative_zxid;
                    let kind = WatchEventKind::ChildrenChanged;
                    self.watch_again(Table::Child, &path, changed, kind, reader, missed)?;
                }
                Ok(Reply::Done)
            }
            Request::Malformed { .. } => Err(Refusal::Marshalling),
            Request::Unknown { .. } => Err(Refusal::Unimplemented),
            Request::Ping => Ok(Reply::Done),
            Request::Create(_)
            | Request::Delete(_)
            | Request::SetData(_)
            | Request::SetAcl { .. }
            | Request::Sync { .. }
            | Request::Multi(_)
            | Request::Auth { .. }
            | Request::Sasl { .. }
            | Request::CloseSession => unreachable!("these are no reads; see propose"),
        }
    }

    fn readable(&self, path: &[u8], reader: &Reader<'_>) -> Result<NodeId, Refusal> {
        let id = self.tree.find(path).ok_or(Refusal::NoNode)?;
        let acl = self.tree.get(id).body.acl;
        if self.tree.acls.permit(acl, permissions::READ, reader.asking) {
            Ok(id)
        } else {
            Err(Refusal::NoAuth)
        }
    }

    /// # Errors
    /// [`Refusal::LimitReached`]: the connection has too many watches already.
    fn watch(
        &self,
        table: Table,
        found: Option<NodeId>,
        path: &[u8],
        reader: &mut Reader<'_>,
    ) -> Result<(), Refusal> {
        let path = match found {
            Some(id) => self.tree.get(id).body.path.clone(),
            None => Shared::from(path),
        };
        let (watches, connection) = (&mut *reader.watches, reader.connection);
        let added = watch::weight(&path);
        if watches.weight_of(connection) + added > reader.watch_bytes_max
            && !watches.is_set(table, &path, connection)
        {
            return Err(Refusal::LimitReached);
        }
        watches.add(table, path, connection);
        Ok(())
    }

    fn watch_again(
        &self,
        table: Table,
        path: &[u8],
        changed: impl Fn(Zxids) -> bool,
        kind: WatchEventKind,
        reader: &mut Reader<'_>,
        missed: &mut Vec<WatchEvent>,
    ) -> Result<(), Refusal> {
        let Some(id) = self.tree.find(path) else {
            missed.push(WatchEvent {
                kind: WatchEventKind::Deleted,
                path: path.into(),
            });
            return Ok(());
        };
        let body = &self.tree.get(id).body;
        let zxids = Zxids {
            mzxid: body.mzxid,
            pzxid: body.pzxid,
        };
        if changed(zxids) {
            missed.push(WatchEvent {
                kind,
                path: body.path.clone(),
            });
            Ok(())
        } else {
            self.watch(table, Some(id), path, reader)
        }
    }
}

/// What setWatches compares with.
struct Zxids {
    mzxid: Zxid,
    pzxid: Zxid,
}
