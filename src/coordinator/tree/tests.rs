use super::*;
use crate::coordinator::state::hasher;
use crate::units::Seed;

impl Tree {
    /// Memory fails.
    pub(in crate::coordinator) fn flip_a_bit(&mut self, id: NodeId) {
        self.node_mut(id).body.mtime.0 ^= 1 << 20;
    }
}

fn tree() -> Tree {
    Tree::new(&hasher(Seed(1)))
}

fn create(tree: &mut Tree, path: &str, data: &[u8], owner: i64) -> (NodeId, Undo) {
    let parent = tree
        .find(path::parent(path.as_bytes()))
        .expect("the parent exists");
    tree.acls.retain(AclId::OPEN);
    let new = NewZnode {
        path: path.as_bytes().into(),
        data: Some(data),
        acl: AclId::OPEN,
        owner,
    };
    tree.create(parent, new, Zxid(1), WallTime(1))
}

fn paths(tree: &Tree) -> Vec<String> {
    let mut paths: Vec<String> = tree
        .iter()
        .map(|znode| String::from_utf8_lossy(&znode.body.path).into_owned())
        .collect();
    paths.sort();
    paths
}

#[test]
fn counters_wrap_as_in_java() {
    let mut tree = tree();
    let (id, _) = create(&mut tree, "/a", b"", 0);
    let body = &mut tree.nodes.get_mut(id.0).expect("it was just made").body;
    body.made = i32::MAX;
    body.version = i32::MAX;
    body.aversion = -2;
    create(&mut tree, "/a/b", b"", 0);
    tree.set_data(id, None, Zxid(2), WallTime(2));
    tree.acls.retain(AclId::OPEN);
    tree.set_acl(id, AclId::OPEN);
    let znode = tree.get(id);
    assert_eq!(znode.body.made, i32::MIN);
    assert_eq!(znode.body.version, i32::MIN);
    assert_eq!(
        znode.body.aversion, -1,
        "the value that means any is passed through"
    );
    assert_eq!(
        znode.stat().cversion,
        -1,
        "twice the children made, less those there are"
    );
}

#[test]
fn every_change_can_be_taken_back() {
    let mut tree = tree();
    create(&mut tree, "/a", b"123", 0);
    create(&mut tree, "/a/e", b"12", 9);
    create(&mut tree, "/zookeeper/quota/a", b"", 0);
    create(&mut tree, "/zookeeper/quota/a/zookeeper_limits", b"", 0);
    let root = tree.find(b"/").expect("there is a root");
    let before = (
        paths(&tree),
        tree.bytes(),
        tree.ephemeral_count(),
        tree.get(root).stat(),
    );

    let mut undo = Vec::new();
    let id = |tree: &Tree, path: &[u8]| tree.find(path).expect("it is there");
    let ephemeral = id(&tree, b"/a/e");
    undo.push(tree.delete(ephemeral, Zxid(2)));
    let limits = id(&tree, b"/zookeeper/quota/a/zookeeper_limits");
    undo.push(tree.delete(limits, Zxid(2)));
    undo.push(create(&mut tree, "/b", b"x", 9).1);
    undo.push(create(&mut tree, "/a/e", b"another", 0).1);
    let a = id(&tree, b"/a");
    undo.push(tree.set_data(a, Some(b"longer"), Zxid(2), WallTime(2)));
    assert_eq!(tree.ephemerals(9).count(), 1);
    while let Some(last) = undo.pop() {
        tree.undo(last);
    }

    let after = (
        paths(&tree),
        tree.bytes(),
        tree.ephemeral_count(),
        tree.get(root).stat(),
    );
    assert_eq!(before, after);
    assert!(tree.ephemerals(9).eq([id(&tree, b"/a/e")]));
    let a = tree.get(id(&tree, b"/a"));
    assert_eq!(
        (a.body.version, a.body.mzxid, a.body.pzxid),
        (0, Zxid(1), Zxid(1))
    );
    assert!(
        tree.charge(b"/a/e", Added { count: 1, bytes: 1 }).is_some(),
        "the quota is in force again"
    );
}

/// A tree in which session 9 has a few of many children of one directory, all but one of another's, and the
/// limits of a quota; made in this order or the other.
fn crowded(backwards: bool) -> Tree {
    let mut tree = tree();
    for path in ["/few", "/most", "/zookeeper/quota/few"] {
        create(&mut tree, path, b"", 0);
    }
    create(&mut tree, "/zookeeper/quota/few/zookeeper_stats", b"", 0);
    let mut nodes: Vec<(String, i64)> = (0..2000)
        .map(|n| (format!("/few/{n:04}"), if n % 400 == 7 { 9 } else { 8 }))
        .chain((0..2000).map(|n| (format!("/most/{n:04}"), if n == 7 { 0 } else { 9 })))
        .collect();
    nodes.push(("/zookeeper/quota/few/zookeeper_limits".to_owned(), 9));
    if backwards {
        nodes.reverse();
    }
    for (path, owner) in nodes {
        create(&mut tree, &path, b"data", owner);
    }
    let stats = tree.find(b"/zookeeper/quota/few/zookeeper_stats");
    tree.set_derived_data(
        stats.expect("made above"),
        b"count=2001,bytes=8000"[..].into(),
    );
    tree
}

#[test]
fn a_session_takes_all_its_znodes_along_wherever_they_are() {
    for backwards in [false, true] {
        let mut tree = crowded(backwards);
        let before = tree.bytes();
        let mut deleted = tree.delete_ephemerals(9, Zxid(5));
        deleted.sort();
        let few = [7, 407, 807, 1207, 1607].map(|n| format!("/few/{n:04}"));
        let most = (0..2000).filter(|&n| n != 7);
        let expected: Vec<Shared> = few
            .into_iter()
            .chain(most.map(|n| format!("/most/{n:04}")))
            .chain(["/zookeeper/quota/few/zookeeper_limits".to_owned()])
            .map(|path| Shared::from(path.as_bytes()))
            .collect();
        assert_eq!(deleted, expected);
        let bytes: usize = expected.iter().map(|path| path.len() + 4).sum();
        assert_eq!(tree.bytes(), before - as_u64(bytes));
        assert_eq!(tree.ephemeral_count(), 1995);
        assert!(tree.delete_ephemerals(9, Zxid(6)).is_empty());
        for path in &expected {
            assert_eq!(tree.find(path), None);
        }
        let left = |path: &[u8]| {
            let id = tree.find(path).expect("it stays");
            let names = tree.children(id);
            assert!(names.is_sorted());
            (
                names.len(),
                tree.get(id).stat().children,
                tree.get(id).body.pzxid,
            )
        };
        assert_eq!(left(b"/few"), (1995, 1995, Zxid(5)));
        assert_eq!(left(b"/most"), (1, 1, Zxid(5)));
        assert_eq!(left(b"/"), (3, 3, Zxid(1)));
        let stats = tree.find(b"/zookeeper/quota/few/zookeeper_stats");
        let stats = &tree.get(stats.expect("it stays")).body;
        assert_eq!(
            stats.data.as_deref(),
            Some(&b"count=1996,bytes=7980"[..]),
            "what goes with the limits still counts"
        );
        assert!(tree.quotas.over(b"/few/0000").is_none());
    }
}

#[test]
fn children_are_listed_by_name() {
    let mut tree = tree();
    create(&mut tree, "/d", b"", 0);
    for number in (0..2000).rev().step_by(3).chain((0..2000).step_by(3)) {
        let path = format!("/d/{number:04}");
        if tree.find(path.as_bytes()).is_none() {
            create(&mut tree, &path, b"", 0);
        }
    }
    let directory = tree.find(b"/d").expect("it was made");
    let names: Vec<Vec<u8>> = tree
        .children(directory)
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), tree.get(directory).children.len());
    assert!(!tree.get(directory).children.is_ordered());
    for _ in 0..2 {
        assert!(
            tree.names(directory)
                .iter()
                .eq(names.iter().map(Vec::as_slice))
        );
        assert!(tree.get(directory).children.is_ordered());
        assert_eq!(tree.children(directory), names);
    }
    // What has moved is found all the same.
    for number in (0..2000).filter(|number| number % 7 != 0) {
        if let Some(id) = tree.find(format!("/d/{number:04}").as_bytes()) {
            tree.delete(id, Zxid(9));
        }
    }
    let left = tree.children(directory);
    let every = |name: &&[u8]| {
        str::from_utf8(name).is_ok_and(|it| it.parse::<u32>().is_ok_and(|it| it % 7 == 0))
    };
    assert!(left.is_sorted() && left.iter().all(every) && left.len() > 100);
}

#[test]
fn a_znode_takes_two_cache_lines_at_most() {
    assert!(size_of::<Znode>() <= 128, "{}", size_of::<Znode>());
}
