//! Owner nodes as they are met, and what is told of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Znodes that hold something, by path.
#[derive(Default)]
struct Tree(BTreeMap<String, String>);

impl Tree {
    /// A tree with these owner nodes of the group `g`.
    fn with(nodes: &[(&str, &str)]) -> Tree {
        let node = |&(path, consumer): &(&str, &str)| {
            (
                format!("/meta/consumers/g/owners/{path}"),
                consumer.to_owned(),
            )
        };
        Tree(nodes.iter().map(node).collect())
    }

    fn owned(&mut self) -> Owned {
        owned(self, "/meta", "g", ServerId(1))
    }
}

impl Znodes for Tree {
    fn children(&mut self, path: &str) -> Vec<String> {
        let below = |node: &String| {
            let rest = node.strip_prefix(path)?.strip_prefix('/')?;
            rest.split('/').next().map(str::to_owned)
        };
        let names: BTreeSet<String> = self.0.keys().filter_map(below).collect();
        names.into_iter().collect()
    }

    fn content(&mut self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }
}

fn owner(topic: &str, partition: i32, consumer: &str) -> Owner {
    Owner {
        topic: topic.to_owned(),
        partition,
        consumer: consumer.to_owned(),
        position: None,
    }
}

#[test]
fn each_partition_of_this_broker_is_told_with_its_consumer() {
    let owned = Tree::with(&[("t/1-0", "a"), ("t/1-1", "b"), ("u/1-7", "a")]).owned();
    let here = [owner("t", 0, "a"), owner("t", 1, "b"), owner("u", 7, "a")];
    assert_eq!(owned.here, here);
    assert_eq!(owned.elsewhere, BTreeMap::new());
}

#[test]
fn a_consumer_that_owns_partitions_of_another_broker_of_whatever_topic_is_told() {
    let nodes = [
        ("t/1-0", "a"),
        ("t/11-0", "b"),
        ("t/2-0", "c"),
        ("t/2-1", "c"),
        ("u/2-0", "a"),
    ];
    let owned = Tree::with(&nodes).owned();
    assert_eq!(owned.here, [owner("t", 0, "a")]);
    let elsewhere = [("a", 2), ("b", 11), ("c", 2)];
    let elsewhere =
        elsewhere.map(|(name, broker)| (name.to_owned(), BTreeSet::from([Some(ServerId(broker))])));
    assert_eq!(owned.elsewhere, BTreeMap::from(elsewhere));
}

#[test]
fn what_is_no_owner_node_and_what_is_of_another_group_is_passed_over() {
    let mut tree = Tree::with(&[
        ("t/1-x", "a"),
        ("t/x-1", "a"),
        ("t/1", "a"),
        ("t/1-00", "a"),
        ("t/01-0", "a"),
        ("t/1-+0", "a"),
    ]);
    let other = "/meta/consumers/gg/owners/t/1-0";
    tree.0.insert(other.to_owned(), "a".to_owned());
    assert_eq!(tree.owned(), Owned::default());
}

#[test]
fn the_path_of_an_owner_node_is_the_one_that_consumers_make() {
    let path = path_of("/meta", "g", "t", 3, ServerId(1));
    assert_eq!(path, "/meta/consumers/g/owners/t/1-3");
    assert_eq!(path, path_of("meta/", "g", "t", 3, ServerId(1)));
}
