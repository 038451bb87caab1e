//! The coordinator once more, slow and obvious: one map from path to znode, copied whole before a
//! multi, searched from end to end. It says which effects a request must have.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::{
    Acl, Create, CreateMode, Effect, Operation, OperationReply, Quota, QuotaExceeded, Refusal,
    Reply, Request, Stat, WatchEvent, WatchEventKind, permissions,
};
use crate::units::{ConnectionId, WallTime, Zxid};

#[derive(Clone, Debug)]
struct Znode {
    data: Option<Vec<u8>>,
    acl: Vec<Acl>,
    stat: Stat,
    made: i32,
}

/// Whoever asks: its session and what it has shown (scheme and id).
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) connection: ConnectionId,
    pub(super) session: i64,
    pub(super) shown: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    znodes: BTreeMap<String, Znode>,
    pub(super) zxid: i64,
    /// Whether of children, the path, the connection.
    watches: BTreeSet<(bool, String, ConnectionId)>,
}

type Happened = Vec<Effect>;

impl Model {
    pub(super) fn new() -> Model {
        let znode = Znode {
            data: Some(Vec::new()),
            acl: vec![Acl::open()],
            stat: Stat::default(),
            made: 0,
        };
        let paths = ["/", "/zookeeper", "/zookeeper/quota"];
        Model {
            znodes: paths.map(|path| (path.to_owned(), znode.clone())).into(),
            zxid: 0,
            watches: BTreeSet::new(),
        }
    }

    /// What a request does, all of it, but for its reply's connection and number.
    pub(super) fn request(
        &mut self,
        request: &Request,
        asking: &Asking,
        wall: WallTime,
    ) -> (Happened, Result<Reply, Refusal>) {
        let mut happened = Vec::new();
        let result = match request {
            Request::Create(create) => self.one(
                Operation::Create(create.clone()),
                asking,
                wall,
                &mut happened,
            ),
            Request::Delete(delete) => self.one(
                Operation::Delete(delete.clone()),
                asking,
                wall,
                &mut happened,
            ),
            Request::SetData(set) => {
                self.one(Operation::SetData(set.clone()), asking, wall, &mut happened)
            }
            Request::SetAcl { path, acl, version } => {
                self.zxid += 1;
                self.set_acl(&text(path), acl, *version, asking)
            }
            Request::Multi(operations) => {
                self.zxid += 1;
                Ok(self.multi(operations, asking, wall, &mut happened))
            }
            Request::CloseSession => {
                happened = self.close(asking.session);
                Ok(Reply::Done)
            }
            Request::Exists { path, watch } => {
                let path = known_as(&text(path));
                if *watch {
                    self.watches
                        .insert((false, path.clone(), asking.connection));
                }
                self.znode(&path).map(|_| Reply::Stat(self.stat(&path)))
            }
            Request::GetData { path, watch } => self.readable(&text(path), asking).map(|path| {
                if *watch {
                    self.watches
                        .insert((false, path.clone(), asking.connection));
                }
                let data = self.znodes[&path].data.clone();
                let (data, stat) = (data.map(Into::into), self.stat(&path));
                Reply::Data { data, stat }
            }),
            Request::GetChildren2 { path, watch } => {
                self.readable(&text(path), asking).map(|path| {
                    if *watch {
                        self.watches.insert((true, path.clone(), asking.connection));
                    }
                    let names = self.children(&path);
                    Reply::Children2 {
                        names: names.iter().map(String::as_bytes).collect(),
                        stat: self.stat(&path),
                    }
                })
            }
            Request::GetAcl { path } => self.acl(&known_as(&text(path)), asking),
            other => panic!("{other:?} is not asked here"),
        };
        (happened, result)
    }

    fn acl(&self, path: &str, asking: &Asking) -> Result<Reply, Refusal> {
        self.permitted(path, permissions::READ | permissions::ADMIN, asking)?;
        let mut acl = self.znodes[path].acl.clone();
        if self.permitted(path, permissions::ADMIN, asking).is_err() {
            for line in acl.iter_mut().filter(|line| line.scheme == "digest") {
                let id = text(&line.id);
                line.id = format!("{}:x", id.split(':').next().unwrap_or_default()).into();
            }
        }
        let stat = self.stat(path);
        Ok(Reply::Acl { acl, stat })
    }

    /// A session ends: its ephemerals go.
    pub(super) fn close(&mut self, session: i64) -> Happened {
        self.zxid += 1;
        let owned = self
            .znodes
            .iter()
            .filter(|(_, znode)| znode.stat.ephemeral_owner == session);
        let owned: Vec<String> = owned.map(|(path, _)| path.clone()).collect();
        let mut changes = Vec::new();
        let mut exceeded = Vec::new();
        for path in owned {
            self.remove(&path, &mut changes, &mut exceeded);
        }
        let mut happened = self.tell(&changes);
        happened.extend(exceeded);
        happened
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.watches.retain(|(_, _, who)| *who != connection);
    }

    fn one(
        &mut self,
        operation: Operation,
        asking: &Asking,
        wall: WallTime,
        happened: &mut Happened,
    ) -> Result<Reply, Refusal> {
        self.zxid += 1;
        let (mut changes, mut exceeded) = (Vec::new(), Vec::new());
        let reply = self.operation(&operation, asking, wall, &mut changes, &mut exceeded)?;
        *happened = self.tell(&changes);
        happened.extend(exceeded);
        Ok(match reply {
            OperationReply::Created { path } => Reply::Created { path },
            OperationReply::DataSet(stat) => Reply::Stat(stat),
            OperationReply::Deleted | OperationReply::Checked => Reply::Done,
        })
    }

    fn multi(
        &mut self,
        operations: &[Operation],
        asking: &Asking,
        wall: WallTime,
        happened: &mut Happened,
    ) -> Reply {
        let before = self.clone();
        let (mut changes, mut exceeded) = (Vec::new(), Vec::new());
        let mut replies = Vec::new();
        for (refused, operation) in operations.iter().enumerate() {
            match self.operation(operation, asking, wall, &mut changes, &mut exceeded) {
                Ok(reply) => replies.push(reply),
                Err(refusal) => {
                    *self = before;
                    let operations = operations.len();
                    return Reply::MultiRefused {
                        operations,
                        refused,
                        refusal,
                    };
                }
            }
        }
        *happened = self.tell(&changes);
        happened.extend(exceeded);
        Reply::Multi(replies)
    }

    fn operation(
        &mut self,
        operation: &Operation,
        asking: &Asking,
        wall: WallTime,
        changes: &mut Vec<(WatchEventKind, String)>,
        exceeded: &mut Happened,
    ) -> Result<OperationReply, Refusal> {
        match operation {
            Operation::Create(create) => self.create(create, asking, wall, changes, exceeded),
            Operation::Delete(delete) => {
                let path = text(&delete.path);
                let (parent, _) = path.rsplit_once('/').ok_or(Refusal::BadArguments)?;
                if ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"]
                    .contains(&path.as_str())
                {
                    return Err(Refusal::BadArguments);
                }
                self.permitted(&known_as(parent), permissions::DELETE, asking)?;
                let stat = self.znode(&path)?.stat;
                expect(delete.version, stat.version)?;
                if !self.children(&path).is_empty() {
                    return Err(Refusal::NotEmpty);
                }
                self.remove(&path, changes, exceeded);
                Ok(OperationReply::Deleted)
            }
            Operation::SetData(set) => {
                let path = valid(&text(&set.path))?;
                self.permitted(&path, permissions::WRITE, asking)?;
                expect(set.version, self.znodes[&path].stat.version)?;
                let zxid = Zxid(self.zxid);
                let znode = self.znodes.get_mut(&path).expect("it is permitted");
                let before = length(znode.data.as_deref());
                znode.data = set.data.as_ref().map(|data| data.to_vec());
                znode.stat.version += 1;
                znode.stat.mzxid = zxid;
                znode.stat.mtime = wall.0;
                let added = length(znode.data.as_deref()) - before;
                changes.push((WatchEventKind::DataChanged, path.clone()));
                self.charge(&path, 0, added, exceeded);
                Ok(OperationReply::DataSet(self.stat(&path)))
            }
            Operation::Check { path, version } => {
                let path = valid(&text(path))?;
                self.permitted(&path, permissions::READ, asking)?;
                expect(*version, self.znodes[&path].stat.version)?;
                Ok(OperationReply::Checked)
            }
        }
    }

    fn create(
        &mut self,
        create: &Create,
        asking: &Asking,
        wall: WallTime,
        changes: &mut Vec<(WatchEventKind, String)>,
        exceeded: &mut Happened,
    ) -> Result<OperationReply, Refusal> {
        let (is_ephemeral, is_sequential) = match create.mode {
            CreateMode::Persistent => (false, false),
            CreateMode::Ephemeral => (true, false),
            CreateMode::PersistentSequential => (false, true),
            CreateMode::EphemeralSequential => (true, true),
            CreateMode::Unknown(_) => return Err(Refusal::BadArguments),
        };
        let mut path = text(&create.path);
        let (parent, _) = path.rsplit_once('/').ok_or(Refusal::BadArguments)?;
        let parent = known_as(parent);
        let acl = resolve(&create.acl, asking)?;
        self.permitted(&parent, permissions::CREATE, asking)?;
        if is_sequential {
            path = format!("{path}{:010}", self.znodes[&parent].made);
        }
        let path = valid(&path)?;
        if self.znodes.contains_key(&path) {
            return Err(Refusal::NodeExists);
        }
        let zxid = Zxid(self.zxid);
        let parent = self.znodes.get_mut(&parent).expect("it is permitted");
        if parent.stat.ephemeral_owner != 0 {
            return Err(Refusal::NoChildrenForEphemerals);
        }
        parent.made += 1;
        parent.stat.pzxid = zxid;
        let data = create.data.as_ref().map(|data| data.to_vec());
        let bytes = length(data.as_deref());
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: wall.0,
            mtime: wall.0,
            ephemeral_owner: if is_ephemeral { asking.session } else { 0 },
            ..Stat::default()
        };
        let made = 0;
        self.znodes.insert(
            path.clone(),
            Znode {
                data,
                acl,
                stat,
                made,
            },
        );
        if let Some(over) = path
            .strip_prefix("/zookeeper/quota")
            .and_then(|path| path.strip_suffix("/zookeeper_stats"))
        {
            let over = known_as(over);
            let below = if over == "/" {
                "/".to_owned()
            } else {
                format!("{over}/")
            };
            let measured = self.znodes.iter();
            let measured = measured.filter(|(path, _)| **path == over || path.starts_with(&below));
            let (mut count, mut bytes) = (0, 0);
            for (_, znode) in measured {
                count += 1;
                bytes += length(znode.data.as_deref());
            }
            self.note(&path, count, bytes);
        }
        changes.push((WatchEventKind::Created, path.clone()));
        self.charge(&path, 1, bytes, exceeded);
        Ok(OperationReply::Created {
            path: path.as_bytes().into(),
        })
    }

    fn set_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        version: i32,
        asking: &Asking,
    ) -> Result<Reply, Refusal> {
        let path = valid(path)?;
        let acl = resolve(acl, asking)?;
        self.permitted(&path, permissions::ADMIN, asking)?;
        let znode = self.znodes.get_mut(&path).expect("it is permitted");
        expect(version, znode.stat.aversion)?;
        znode.acl = acl;
        znode.stat.aversion += 1;
        Ok(Reply::Stat(self.stat(&path)))
    }

    fn remove(
        &mut self,
        path: &str,
        changes: &mut Vec<(WatchEventKind, String)>,
        exceeded: &mut Happened,
    ) {
        let removed = self.znodes.remove(path).expect("it is there");
        let zxid = Zxid(self.zxid);
        self.znodes
            .get_mut(&parent(path))
            .expect("a parent is there")
            .stat
            .pzxid = zxid;
        changes.push((WatchEventKind::Deleted, path.to_owned()));
        self.charge(path, -1, -length(removed.data.as_deref()), exceeded);
    }

    /// Counts a change for the longest path above it that has a quota.
    fn charge(&mut self, path: &str, count: i64, bytes: i64, exceeded: &mut Happened) {
        let mut over = path.to_owned();
        while !self
            .znodes
            .contains_key(&format!("/zookeeper/quota{over}/zookeeper_limits"))
        {
            if over == "/" {
                return;
            }
            over = parent(&over);
        }
        if over == "/" {
            return;
        }
        let stats = format!("/zookeeper/quota{over}/zookeeper_stats");
        let Some(used) = self.measure(&stats) else {
            return;
        };
        let used = (used.0 + count, used.1 + bytes);
        self.note(&stats, used.0, used.1);
        let limits = self.measure(&format!("/zookeeper/quota{over}/zookeeper_limits"));
        let limits = limits.expect("it is in force");
        for (what, used, limit, added) in [
            (Quota::Count, used.0, limits.0, count),
            (Quota::Bytes, used.1, limits.1, bytes),
        ] {
            if limit > -1 && used > limit && added > 0 {
                let path = over.as_bytes().into();
                exceeded.push(Effect::QuotaExceeded(QuotaExceeded {
                    path,
                    what,
                    used,
                    limit,
                }));
            }
        }
    }

    fn measure(&self, path: &str) -> Option<(i64, i64)> {
        let data = self.znodes.get(path)?.data.clone().unwrap_or_default();
        let data = String::from_utf8_lossy(&data).into_owned();
        let value = |key: &str| {
            let part = data
                .split([',', ';'])
                .find_map(|part| part.strip_prefix(key));
            part.and_then(|value| value.parse().ok()).unwrap_or(-1)
        };
        Some((value("count="), value("bytes=")))
    }

    fn note(&mut self, path: &str, count: i64, bytes: i64) {
        let data = format!("count={count},bytes={bytes}").into_bytes();
        self.znodes.get_mut(path).expect("it is there").data = Some(data);
    }

    /// Those who watch are told, and forgotten.
    fn tell(&mut self, changes: &[(WatchEventKind, String)]) -> Happened {
        let mut happened = Vec::new();
        for (kind, path) in changes {
            let told = self.fire(false, path, *kind, &BTreeSet::new(), &mut happened);
            if *kind == WatchEventKind::Deleted {
                self.fire(true, path, *kind, &told, &mut happened);
            }
            if *kind != WatchEventKind::DataChanged {
                let kind = WatchEventKind::ChildrenChanged;
                self.fire(true, &parent(path), kind, &BTreeSet::new(), &mut happened);
            }
        }
        happened
    }

    fn fire(
        &mut self,
        of_children: bool,
        path: &str,
        kind: WatchEventKind,
        told: &BTreeSet<ConnectionId>,
        happened: &mut Happened,
    ) -> BTreeSet<ConnectionId> {
        let fired: Vec<_> = self
            .watches
            .iter()
            .filter(|(children, watched, _)| *children == of_children && watched == path)
            .cloned()
            .collect();
        for watch in &fired {
            self.watches.remove(watch);
            if !told.contains(&watch.2) {
                happened.push(Effect::Notify {
                    connection: watch.2,
                    event: WatchEvent {
                        kind,
                        path: path.as_bytes().into(),
                    },
                });
            }
        }
        fired
            .into_iter()
            .map(|(_, _, connection)| connection)
            .collect()
    }

    fn znode(&self, path: &str) -> Result<&Znode, Refusal> {
        self.znodes.get(path).ok_or(Refusal::NoNode)
    }

    fn children(&self, path: &str) -> Vec<String> {
        let below = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let names = self
            .znodes
            .keys()
            .filter_map(|other| other.strip_prefix(&below));
        let names = names.filter(|name| !name.is_empty() && !name.contains('/'));
        names.map(str::to_owned).collect()
    }

    fn stat(&self, path: &str) -> Stat {
        let znode = &self.znodes[path];
        let children = i32::try_from(self.children(path).len()).expect("few");
        Stat {
            cversion: 2 * znode.made - children,
            data_length: i32::try_from(length(znode.data.as_deref())).expect("short"),
            children,
            ..znode.stat
        }
    }

    fn readable(&self, path: &str, asking: &Asking) -> Result<String, Refusal> {
        let path = known_as(path);
        self.permitted(&path, permissions::READ, asking)?;
        Ok(path)
    }

    /// Refuses what does not exist or is not permitted.
    fn permitted(&self, path: &str, wanted: i32, asking: &Asking) -> Result<(), Refusal> {
        let permitted = self.znode(path)?.acl.iter().any(|line| {
            let (scheme, id) = (text(&line.scheme), text(&line.id));
            line.permissions & wanted != 0
                && (scheme == "world" || asking.shown.contains(&(scheme, id)))
        });
        if permitted {
            Ok(())
        } else {
            Err(Refusal::NoAuth)
        }
    }
}

/// The permissions that are stored for those given. Only `world`, `auth` and `ip` are tried here.
fn resolve(given: &[Acl], asking: &Asking) -> Result<Vec<Acl>, Refusal> {
    let mut resolved: Vec<Acl> = Vec::new();
    for (place, line) in given.iter().enumerate() {
        if given[..place].contains(line) {
            continue;
        }
        if line.scheme == "auth" {
            let shown = asking.shown.iter().filter(|(scheme, _)| scheme == "digest");
            let before = resolved.len();
            resolved.extend(shown.map(|(scheme, id)| Acl {
                permissions: line.permissions,
                scheme: scheme.clone().into(),
                id: id.clone().into(),
            }));
            if resolved.len() == before {
                return Err(Refusal::InvalidAcl);
            }
        } else {
            resolved.push(line.clone());
        }
    }
    if resolved.is_empty() {
        Err(Refusal::InvalidAcl)
    } else {
        Ok(resolved)
    }
}

fn expect(wanted: i32, actual: i32) -> Result<(), Refusal> {
    if wanted == -1 || wanted == actual {
        Ok(())
    } else {
        Err(Refusal::BadVersion)
    }
}

/// Only slashes are wrong with the paths that are tried here.
fn valid(path: &str) -> Result<String, Refusal> {
    let is_valid = path == "/"
        || path.starts_with('/') && path.split('/').skip(1).all(|name| !name.is_empty());
    if is_valid {
        Ok(path.to_owned())
    } else {
        Err(Refusal::BadArguments)
    }
}

/// An empty path is the root's.
fn known_as(path: &str) -> String {
    if path.is_empty() {
        "/".to_owned()
    } else {
        path.to_owned()
    }
}

fn parent(path: &str) -> String {
    known_as(path.rsplit_once('/').map_or("", |(parent, _)| parent))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("only text is tried here")
}

fn length(data: Option<&[u8]>) -> i64 {
    i64::try_from(data.map_or(0, <[u8]>::len)).expect("short")
}
