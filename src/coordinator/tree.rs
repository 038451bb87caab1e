//! The znodes: create, set, delete, list. What is permitted was decided before; see `apply`.
//!
//! A znode is a numbered slot, found by one hash of its whole path; it knows its parent and its
//! children by number. Everything that follows from the znodes (bytes, the ephemerals of each session,
//! the quotas in force) is kept up to date here, and every change can be taken back with [`Undo`].
//!
//! Invariants:
//! - each znode but the root is among its parent's children, and no other way round;
//! - an ephemeral znode has no children, and is listed under its session;
//! - a znode counts as one use of its permissions;
//! - the digest is that of the znodes, whatever way led to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;

use super::acl::{AclId, AclTable};
use super::children::{Children, Removed};
use super::digest;
use super::index::Index;
use super::path;
use super::quota::{self, Added, Quotas};
use super::slab::{Scanned, Slab};
use super::vocabulary::{Names, Shared, Stat};
use crate::units::{WallTime, Zxid};

#[cfg(test)]
mod tests;

/// The number of a znode, while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

/// A znode without its children: what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) path: Shared,
    pub(super) data: Option<Shared>,
    /// What the data adds to the digest of the tree.
    pub(super) digest: u64,
    pub(super) acl: AclId,
    /// The session it goes with; 0 if it stays.
    pub(super) owner: i64,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: WallTime,
    pub(super) mtime: WallTime,
    pub(super) version: i32,
    /// How many children were ever made: the next sequential name. What clients see as `cversion`
    /// counts deletions too, and follows from this and the number of children.
    pub(super) made: i32,
    pub(super) aversion: i32,
}

impl Body {
    fn data_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }

    /// Path and data, as ZooKeeper measures the size of its data.
    fn bytes(&self) -> u64 {
        as_u64(self.path.len() + self.data_bytes())
    }
}

/// A znode.
#[derive(Debug)]
pub(super) struct Znode {
    pub(super) body: Body,
    parent: NodeId,
    /// Among its parent's children.
    place: u32,
    children: Children,
}

impl Znode {
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    pub(super) fn stat(&self) -> Stat {
        let body = &self.body;
        let children = clamped(self.children.len());
        Stat {
            czxid: body.czxid,
            mzxid: body.mzxid,
            ctime: body.ctime.0,
            mtime: body.mtime.0,
            version: body.version,
            cversion: body.made.wrapping_mul(2).wrapping_sub(children),
            aversion: body.aversion,
            ephemeral_owner: body.owner,
            data_length: clamped(body.data_bytes()),
            children,
            pzxid: body.pzxid,
        }
    }
}

impl Scanned for Znode {
    type Image = Body;

    fn image(&self) -> Body {
        self.body.clone()
    }
}

/// How to take a change back. Changes are taken back in the opposite order.
#[derive(Debug)]
pub(super) enum Undo {
    Created {
        id: NodeId,
        parent_pzxid: Zxid,
    },
    Deleted {
        id: NodeId,
        znode: Box<Znode>,
        parent_pzxid: Zxid,
    },
    DataSet {
        id: NodeId,
        data: Option<Shared>,
        version: i32,
        mzxid: Zxid,
        mtime: WallTime,
    },
}

/// A znode to be made.
#[derive(Debug)]
pub(super) struct NewZnode<'a> {
    pub(super) path: Shared,
    pub(super) data: Option<&'a [u8]>,
    /// Already counted as a use.
    pub(super) acl: AclId,
    pub(super) owner: i64,
}

/// What a znode takes beside its path and data: its slot, its places in the index and among its siblings,
/// and what the allocator adds.
pub(super) const ZNODE_BYTES: u64 = 256;

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Slab<Znode>,
    root: NodeId,
    index: Index,
    pub(super) acls: AclTable,
    pub(super) quotas: Quotas,
    ephemerals: HashMap<i64, BTreeSet<NodeId>, RandomState>,
    ephemeral_count: u64,
    bytes: u64,
    /// Of all znodes; see `digest`.
    digest: u64,
}

impl Tree {
    /// The tree of a new ensemble.
    pub(super) fn new(hasher: &RandomState) -> Tree {
        let mut tree = Tree::bare(hasher);
        for path in [b"/".as_slice(), path::PROC, path::QUOTA] {
            let body = Body {
                path: path.into(),
                data: Some(Shared::default()),
                digest: 0,
                acl: AclId::OPEN,
                owner: 0,
                czxid: Zxid(0),
                mzxid: Zxid(0),
                pzxid: Zxid(0),
                ctime: WallTime(0),
                mtime: WallTime(0),
                version: 0,
                made: 0,
                aversion: 0,
            };
            tree.acls.retain(AclId::OPEN);
            let id = tree.adopt(body).expect("three different paths");
            // These three were not created by anybody, so nobody's counters move.
            let parent = tree.find(path::parent(path)).unwrap_or(id);
            if id != tree.root {
                tree.link(parent, id);
            }
        }
        tree
    }

    /// No znodes at all, not even the root; see [`Tree::adopt`].
    pub(super) fn bare(hasher: &RandomState) -> Tree {
        Tree {
            nodes: Slab::new(),
            root: NodeId(0),
            index: Index::new(hasher.clone()),
            acls: AclTable::new(hasher.clone()),
            quotas: Quotas::new(hasher.clone()),
            ephemerals: HashMap::with_hasher(hasher.clone()),
            ephemeral_count: 0,
            bytes: 0,
            digest: 0,
        }
    }

    /// Takes in a znode of a snapshot, whose parent may not be there yet. `None` if there is one with
    /// this path. [`Tree::link_all`] has to follow.
    pub(super) fn adopt(&mut self, mut body: Body) -> Option<NodeId> {
        let hash = self.index.hash(&body.path);
        let nodes = &self.nodes;
        let is_it = |id| {
            nodes
                .get(id)
                .is_some_and(|znode| znode.body.path == body.path)
        };
        if self.index.find(hash, is_it).is_some() {
            return None;
        }
        self.bytes += body.bytes();
        let key = digest::key(&body.path);
        body.digest = digest::data(key, body.data.as_deref());
        self.digest = self.digest.wrapping_add(self.term(key, &body));
        let owner = body.owner;
        if let Some(prefix) = quota::limits_of(&body.path) {
            self.quotas.put_in_force(prefix.into());
        }
        let znode = Znode {
            body,
            parent: self.root,
            place: 0,
            children: Children::default(),
        };
        let id = NodeId(self.nodes.insert(znode));
        self.index.insert(hash, id.0);
        if owner != 0 {
            self.ephemerals.entry(owner).or_default().insert(id);
            self.ephemeral_count += 1;
        }
        Some(id)
    }

    /// Makes adopted znodes know their parents and children.
    ///
    /// # Errors
    /// The path of a znode that cannot have its place: no parent, or an ephemeral one, or no root.
    pub(super) fn link_all(&mut self) -> Result<(), Shared> {
        let root = self.index.find(self.index.hash(b"/"), |id| {
            self.nodes
                .get(id)
                .is_some_and(|znode| *znode.body.path == *b"/")
        });
        let root = root.ok_or_else(|| Shared::from(b"/".as_slice()))?;
        self.root = NodeId(root);
        self.node_mut(self.root).parent = self.root;
        let ids: Vec<u32> = self.nodes.iter().map(|(id, _)| id).collect();
        for id in ids.into_iter().filter(|&id| id != root) {
            let path = &self.get(NodeId(id)).body.path;
            let parent = self
                .find(path::parent(path))
                .filter(|&parent| self.get(parent).body.owner == 0)
                .ok_or_else(|| path.clone())?;
            self.link(parent, NodeId(id));
        }
        Ok(())
    }

    /// The znode with this path; an empty path is the root's, too.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<NodeId> {
        if path.is_empty() {
            return Some(self.root);
        }
        let hash = self.index.hash(path);
        let is_it = |id| {
            self.nodes
                .get(id)
                .is_some_and(|znode| *znode.body.path == *path)
        };
        self.index.find(hash, is_it).map(NodeId)
    }

    /// A znode.
    ///
    /// # Panics
    /// It does not live any more.
    #[inline]
    pub(super) fn get(&self, id: NodeId) -> &Znode {
        self.nodes
            .get(id.0)
            .expect("ids of dead znodes are not kept")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Znode {
        self.nodes
            .get_mut(id.0)
            .expect("ids of dead znodes are not kept")
    }

    /// Changes what is stored of a znode and changes with its children.
    fn alter<T>(&mut self, id: NodeId, change: impl FnOnce(&mut Body) -> T) -> T {
        let body = &mut self.node_mut(id).body;
        let key = digest::key(&body.path);
        let left = digest::moving(key, body);
        let value = change(body);
        let come = digest::moving(key, body);
        self.digest = self.digest.wrapping_sub(left).wrapping_add(come);
        value
    }

    /// What the permissions of a znode, and all else that its data and children leave alone, add to the digest.
    fn resting(&self, key: u64, body: &Body) -> u64 {
        let permitted = digest::permitted(key, self.acls.digest(body.acl));
        permitted.wrapping_add(digest::resting(key, body))
    }

    /// What a znode adds to the digest.
    fn term(&self, key: u64, body: &Body) -> u64 {
        let moving = digest::moving(key, body);
        let resting = self.resting(key, body);
        body.digest.wrapping_add(moving).wrapping_add(resting)
    }

    /// A number for all znodes; see `digest`.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// How many znodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of all paths and data.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many znodes go with a session.
    pub(super) fn ephemeral_count(&self) -> u64 {
        self.ephemeral_count
    }

    /// The names of a znode's children, in order.
    pub(super) fn children(&self, id: NodeId) -> Vec<&[u8]> {
        let start = self.names_start(id);
        let children = self.child_ids(id).map(|child| self.get(child));
        let mut names: Vec<&[u8]> = children.map(|child| &child.body.path[start..]).collect();
        if !self.get(id).children.is_ordered() {
            names.sort_unstable();
        }
        names
    }

    /// Where in their paths the names of a znode's children begin.
    fn names_start(&self, id: NodeId) -> usize {
        match id == self.root {
            true => 1,
            false => self.get(id).body.path.len() + 1,
        }
    }

    pub(super) fn child_ids(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.get(id).children.iter().map(NodeId)
    }

    /// The names of a znode's children, in order, packed for a reply. The order lasts for the next one who asks.
    pub(super) fn names(&mut self, id: NodeId) -> Names {
        if !self.get(id).children.is_ordered() {
            let mut children = std::mem::take(self.children_mut(id));
            children.sort(|child| &self.get(NodeId(child)).body.path);
            *self.children_mut(id) = children;
            self.learn_places(id);
        }
        let start = self.names_start(id);
        let mut names = Names::with_capacity(self.get(id).children.len() * 24);
        for child in self.child_ids(id) {
            names.push(&self.get(child).body.path[start..]);
        }
        names
    }

    /// The znodes that go with a session, in the order in which they lie in memory.
    pub(super) fn ephemerals(&self, session: i64) -> impl Iterator<Item = NodeId> {
        let ids = self.ephemerals.get(&session);
        ids.into_iter().flatten().copied()
    }

    /// The sessions that have ephemeral znodes, in ascending order.
    pub(super) fn ephemeral_owners(&self) -> Vec<i64> {
        let mut owners: Vec<i64> = self.ephemerals.keys().copied().collect();
        owners.sort_unstable();
        owners
    }

    /// Makes a znode under a parent that has none of this name.
    pub(super) fn create(
        &mut self,
        parent: NodeId,
        new: NewZnode<'_>,
        zxid: Zxid,
        wall: WallTime,
    ) -> (NodeId, Undo) {
        let body = Body {
            path: new.path,
            data: new.data.map(Shared::from),
            digest: 0,
            acl: new.acl,
            owner: new.owner,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: wall,
            mtime: wall,
            version: 0,
            made: 0,
            aversion: 0,
        };
        let id = self
            .adopt(body)
            .expect("the caller looked whether it exists");
        self.link(parent, id);
        let parent_pzxid = self.alter(parent, |parent| {
            parent.made = parent.made.wrapping_add(1);
            std::mem::replace(&mut parent.pzxid, zxid)
        });
        (id, Undo::Created { id, parent_pzxid })
    }

    /// Deletes a znode without children.
    ///
    /// What comes back keeps its use of the permissions until [`Tree::seal`].
    pub(super) fn delete(&mut self, id: NodeId, zxid: Zxid) -> Undo {
        let parent = self.get(id).parent;
        let znode = self.take(id);
        let parent_pzxid = self.alter(parent, |parent| {
            let later = parent.pzxid.max(zxid);
            std::mem::replace(&mut parent.pzxid, later)
        });
        Undo::Deleted {
            id,
            znode: Box::new(znode),
            parent_pzxid,
        }
    }

    /// Deletes all znodes that go with a session, for good, and returns their paths. There may be a million,
    /// and everybody waits: they are taken in the order in which they lie in memory.
    pub(super) fn delete_ephemerals(&mut self, session: i64, zxid: Zxid) -> Vec<Shared> {
        let ids = self.ephemerals.remove(&session).unwrap_or_default();
        self.ephemeral_count -= as_u64(ids.len());
        self.disown(&ids, zxid);
        let mut paths = Vec::with_capacity(ids.len());
        let mut freed: BTreeMap<Shared, Added> = BTreeMap::new();
        let mut lifted = Vec::new();
        for id in ids {
            let body = self.vacate(id).body;
            self.acls.release(body.acl);
            // What counts for which quota does not depend on the order.
            if let Some(prefix) = self.quotas.over(&body.path) {
                let freed = freed.entry(prefix).or_insert(Added { count: 0, bytes: 0 });
                freed.count -= 1;
                freed.bytes -= i64::try_from(body.data_bytes()).expect("data came in a frame");
            }
            if quota::limits_of(&body.path).is_some() {
                lifted.push(body.path.clone());
            }
            paths.push(body.path);
        }
        for (prefix, freed) in freed {
            self.charge_subtree(&prefix, freed);
        }
        for path in lifted {
            if let Some(prefix) = quota::limits_of(&path) {
                self.quotas.lift(prefix);
            }
        }
        paths
    }

    /// Takes all of one session's ephemeral znodes from among their parents' children.
    fn disown(&mut self, ids: &BTreeSet<NodeId>, zxid: Zxid) {
        let mut parents = BTreeSet::new();
        for &id in ids {
            self.unlink(id);
            parents.insert(self.get(id).parent);
        }
        for parent in parents {
            self.alter(parent, |parent| parent.pzxid = parent.pzxid.max(zxid));
        }
    }

    /// Replaces the data of a znode. How many bytes it had before follows from the undo.
    pub(super) fn set_data(
        &mut self,
        id: NodeId,
        data: Option<&[u8]>,
        zxid: Zxid,
        wall: WallTime,
    ) -> Undo {
        self.replace_data(id, data.map(Shared::from), |body| {
            body.version = body.version.wrapping_add(1);
            body.mzxid = zxid;
            body.mtime = wall;
        })
    }

    /// Replaces the data and nothing else: the server's own notes in znodes.
    pub(super) fn set_derived_data(&mut self, id: NodeId, data: Shared) -> Undo {
        self.replace_data(id, Some(data), |_| {})
    }

    /// Replaces the data, and what goes with it.
    fn replace_data(
        &mut self,
        id: NodeId,
        data: Option<Shared>,
        change: impl FnOnce(&mut Body),
    ) -> Undo {
        let body = &mut self.node_mut(id).body;
        let (before, (version, mzxid, mtime)) =
            (body.bytes(), (body.version, body.mzxid, body.mtime));
        let key = digest::key(&body.path);
        let left = body.digest.wrapping_add(digest::moving(key, body));
        let data = std::mem::replace(&mut body.data, data);
        body.digest = digest::data(key, body.data.as_deref());
        change(body);
        let come = body.digest.wrapping_add(digest::moving(key, body));
        let after = body.bytes();
        self.bytes = self.bytes - before + after;
        self.digest = self.digest.wrapping_sub(left).wrapping_add(come);
        Undo::DataSet {
            id,
            data,
            version,
            mzxid,
            mtime,
        }
    }

    /// Replaces the permissions of a znode; `acl` is already counted as a use.
    pub(super) fn set_acl(&mut self, id: NodeId, acl: AclId) {
        let body = &self.get(id).body;
        let key = digest::key(&body.path);
        let left = self.resting(key, body);
        let body = &mut self.node_mut(id).body;
        let former = std::mem::replace(&mut body.acl, acl);
        body.aversion = body.aversion.wrapping_add(1);
        let come = self.resting(key, &self.get(id).body);
        self.digest = self.digest.wrapping_sub(left).wrapping_add(come);
        self.acls.release(former);
    }

    /// Takes a change back.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Created { id, parent_pzxid } => {
                let parent = self.get(id).parent;
                let znode = self.take(id);
                self.acls.release(znode.body.acl);
                self.alter(parent, |parent| {
                    parent.made = parent.made.wrapping_sub(1);
                    parent.pzxid = parent_pzxid;
                });
            }
            Undo::Deleted {
                id,
                znode,
                parent_pzxid,
            } => {
                let parent = znode.parent;
                let again = self.adopt(znode.body);
                assert_eq!(
                    again,
                    Some(id),
                    "changes are taken back in the opposite order, so the slot is free"
                );
                self.link(parent, id);
                self.alter(parent, |parent| parent.pzxid = parent_pzxid);
            }
            Undo::DataSet {
                id,
                data,
                version,
                mzxid,
                mtime,
            } => {
                self.replace_data(id, data, |body| {
                    (body.version, body.mzxid, body.mtime) = (version, mzxid, mtime);
                });
            }
        }
    }

    /// Makes a change final.
    pub(super) fn seal(&mut self, undo: Undo) {
        if let Undo::Deleted { znode, .. } = undo {
            self.acls.release(znode.body.acl);
        }
    }

    /// Puts a znode among its parent's children.
    fn link(&mut self, parent: NodeId, child: NodeId) {
        let mut children = std::mem::take(self.children_mut(parent));
        // Paths of siblings are ordered as their names are.
        let path = &self.get(child).body.path;
        let place = children.push(child.0, |last| *self.get(NodeId(last)).body.path < **path);
        *self.children_mut(parent) = children;
        let znode = self.unseen_mut(child);
        (znode.parent, znode.place) = (parent, place);
    }

    /// Takes a znode from among its parent's children.
    fn unlink(&mut self, id: NodeId) {
        let Znode { parent, place, .. } = *self.get(id);
        match self.children_mut(parent).remove(place) {
            Removed::Child(child) => assert_eq!(child, id.0, "a znode knows its place"),
            Removed::Moved(child) => {
                assert_eq!(child, id.0, "a znode knows its place");
                self.learn_places(parent);
            }
            Removed::Nothing => unreachable!("a znode is among its parent's children"),
        }
    }

    /// A znode's children have moved.
    fn learn_places(&mut self, parent: NodeId) {
        let children = std::mem::take(self.children_mut(parent));
        for (child, place) in children.places() {
            self.unseen_mut(NodeId(child)).place = place;
        }
        *self.children_mut(parent) = children;
    }

    /// A znode, of which only what no snapshot shows is to change.
    fn unseen_mut(&mut self, id: NodeId) -> &mut Znode {
        let znode = self.nodes.get_mut_outside_image(id.0);
        znode.expect("ids of dead znodes are not kept")
    }

    fn children_mut(&mut self, parent: NodeId) -> &mut Children {
        &mut self.unseen_mut(parent).children
    }

    /// Takes a znode out of everything.
    fn take(&mut self, id: NodeId) -> Znode {
        self.unlink(id);
        let znode = self.vacate(id);
        if let Some(prefix) = quota::limits_of(&znode.body.path) {
            self.quotas.lift(prefix);
        }
        if znode.body.owner != 0 {
            self.ephemeral_count -= 1;
            if let Some(ids) = self.ephemerals.get_mut(&znode.body.owner) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.ephemerals.remove(&znode.body.owner);
                }
            }
        }
        znode
    }

    /// Takes a znode out of its slot, so that it is not found any more.
    fn vacate(&mut self, id: NodeId) -> Znode {
        let znode = self
            .nodes
            .remove(id.0)
            .expect("ids of dead znodes are not kept");
        self.index.remove(self.index.hash(&znode.body.path), id.0);
        self.bytes -= znode.body.bytes();
        let key = digest::key(&znode.body.path);
        self.digest = self.digest.wrapping_sub(self.term(key, &znode.body));
        znode
    }

    /// All znodes, in no particular order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Znode> {
        self.nodes.iter().map(|(_, znode)| znode)
    }

    /// The slots, to be scanned for a snapshot.
    pub(super) fn slots(&mut self) -> &mut Slab<Znode> {
        &mut self.nodes
    }
}

fn clamped(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).expect("a usize has at most 64 bits")
}
