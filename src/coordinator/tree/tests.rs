use super::*;
use crate::coordinator::state::hasher;
use crate::units::Seed;

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
        tree.charge(b"/a/e", quota::Added { count: 1, bytes: 1 })
            .is_some(),
        "the quota is in force again"
    );
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
    let names: Vec<&[u8]> = tree.children(directory).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), tree.get(directory).children.len());
    assert!(tree.names(directory).iter().eq(names));
}

#[test]
fn a_znode_takes_two_cache_lines_at_most() {
    assert!(size_of::<Znode>() <= 128, "{}", size_of::<Znode>());
}
