//! What is read, when, and what is told, against a ZooKeeper that is a map.

use super::super::{Owned, Owner};
use super::*;

const FOLDER: &str = "/meta/consumers/g/owners";

/// A cache, the znodes it reads, and the clock of both.
struct World {
    cache: Cache,
    znodes: BTreeMap<String, String>,
    watches: BTreeSet<Place>,
    now: Instant,
    /// Reads since this was last asked.
    reads: usize,
}

impl World {
    /// Connected, with these owner nodes of the group `g`.
    fn new(nodes: &[(&str, &str)]) -> World {
        let now = Instant::now();
        let mut cache = Cache::new("/meta", ServerId(1), now);
        cache.connected();
        let node =
            |&(node, consumer): &(&str, &str)| (format!("{FOLDER}/{node}"), consumer.to_owned());
        World {
            cache,
            znodes: nodes.iter().map(node).collect(),
            watches: BTreeSet::new(),
            now,
            reads: 0,
        }
    }

    fn ask_owner(&mut self, partition: i32) {
        let question = Question::Owner {
            group: "g".to_owned(),
            topic: "t".to_owned(),
            partition,
        };
        self.cache.ask(self.now, question);
    }

    fn ask_owned(&mut self) {
        let group = "g".to_owned();
        self.cache.ask(self.now, Question::Owned { group });
    }

    fn find(&self, place: &Place) -> Found {
        let path = &*place.path;
        if place.part == Part::Content {
            let content = self.znodes.get(path).cloned();
            return content.map_or(Found::Absent, Found::Content);
        }
        let below = |node: &String| {
            let rest = node.strip_prefix(path)?.strip_prefix('/')?;
            rest.split('/').next().map(str::to_owned)
        };
        let names: BTreeSet<String> = self.znodes.keys().filter_map(below).collect();
        match names.is_empty() {
            true => Found::Absent,
            false => Found::Children(names.into_iter().collect()),
        }
    }

    /// Ends a read with what is there now.
    fn finish(&mut self, read: &Read) {
        self.reads += 1;
        let found = self.find(&read.place);
        let watched = read.watch && found != Found::Absent;
        if watched {
            self.watches.insert(read.place.clone());
        }
        let outcome = Outcome::Found { found, watched };
        self.cache.read(self.now, &read.place, outcome);
    }

    /// Carries out reads until none may begin.
    fn read(&mut self) {
        while let Some(read) = self.cache.next_read(self.now) {
            self.finish(&read);
        }
    }

    fn fire(&mut self, path: String, part: Part) {
        let path = path.into();
        let place = Place { path, part };
        if self.watches.remove(&place) {
            self.cache.changed(&place);
        }
    }

    /// A node changes hands, appears or goes; its watches and its parent's fire.
    fn set(&mut self, node: &str, consumer: Option<&str>) {
        let path = format!("{FOLDER}/{node}");
        match consumer {
            Some(consumer) => self.znodes.insert(path.clone(), consumer.to_owned()),
            None => self.znodes.remove(&path),
        };
        let topic = node.split('/').next().expect("a node has a topic");
        self.fire(path, Part::Content);
        self.fire(format!("{FOLDER}/{topic}"), Part::Children);
    }

    /// The group tells how far it has come in a partition.
    fn tell_position(&mut self, node: &str, offset: u64) {
        let path = format!("/meta/consumers/g/offsets/{node}");
        self.znodes.insert(path.clone(), format!("-7-{offset}"));
        self.fire(path, Part::Content);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.cache.tick(self.now);
    }

    /// What was told of owners since this was last asked; `nobody` for none.
    fn owners(&mut self) -> Vec<String> {
        let answers = self.cache.take_answers().into_iter();
        answers
            .map(|answer| match answer {
                Answer::Owner { consumer, .. } => consumer.unwrap_or_else(|| "nobody".to_owned()),
                Answer::Owned { .. } => panic!("nobody asked for a group"),
            })
            .collect()
    }

    /// What was told of the group: once.
    fn owned(&mut self) -> Owned {
        let mut answers = self.cache.take_answers();
        match (answers.pop(), answers.is_empty()) {
            (Some(Answer::Owned { owned, .. }), true) => owned,
            other => panic!("not one answer about a group: {other:?}"),
        }
    }

    fn reads(&mut self) -> usize {
        std::mem::take(&mut self.reads)
    }
}

#[test]
fn an_owner_is_read_once_and_again_only_when_it_changed() {
    let mut world = World::new(&[("t/1-0", "a")]);
    world.ask_owner(0);
    world.ask_owner(0);
    world.read();
    assert_eq!(world.owners(), ["a", "a"]);
    world.wait(Duration::from_secs(60));
    world.ask_owner(0);
    assert_eq!(world.owners(), ["a"]);
    assert_eq!(world.reads(), 1);
    world.set("t/1-0", Some("b"));
    world.ask_owner(0);
    world.read();
    assert_eq!(world.owners(), ["b"]);
    assert_eq!(world.reads(), 1);
}

#[test]
fn what_changes_while_it_is_read_is_read_again() {
    let mut world = World::new(&[("t/1-0", "a")]);
    world.ask_owner(0);
    world.read();
    world.owners();
    // Its watch outlives the connection, so the next read sets none.
    world.cache.lost();
    world.cache.connected();
    world.ask_owner(0);
    let read = world.cache.next_read(world.now).expect("it is read");
    assert!(!read.watch);
    let before = Outcome::Found {
        found: world.find(&read.place),
        watched: false,
    };
    world.set("t/1-0", Some("b"));
    world.cache.read(world.now, &read.place, before);
    assert!(world.owners().is_empty());
    world.read();
    assert_eq!(world.owners(), ["b"]);
}

#[test]
fn a_group_is_told_when_all_of_it_is_read_and_then_from_memory() {
    let nodes = [("t/1-0", "a"), ("t/2-0", "b"), ("u/1-0", "b")];
    let mut world = World::new(&nodes);
    world.tell_position("u/1-0", 4096);
    let whole = Owned {
        here: [("t", "a"), ("u", "b")]
            .map(|(topic, consumer)| Owner {
                topic: topic.to_owned(),
                partition: 0,
                consumer: consumer.to_owned(),
                position: (topic == "u").then_some(4096),
            })
            .to_vec(),
        elsewhere: BTreeMap::from([("b".to_owned(), BTreeSet::from([Some(ServerId(2))]))]),
    };
    world.ask_owned();
    world.read();
    assert_eq!(world.owned(), whole);
    // The folder, its two topics, three nodes, two positions, of which one is not there.
    assert_eq!(world.reads(), 8);
    world.ask_owned();
    assert_eq!(world.owned(), whole);
    world.set("t/1-0", None);
    world.ask_owned();
    world.read();
    assert_eq!(world.owned().here.len(), 1);
    // The topic that lost a node.
    assert_eq!(world.reads(), 1);
    world.tell_position("u/1-0", 8192);
    world.ask_owned();
    world.read();
    assert_eq!(world.owned().here[0].position, Some(8192));
    assert_eq!(world.reads(), 1);
}

#[test]
fn a_group_without_positions_is_told_however_long_its_reading_takes() {
    let names: Vec<String> = (0..4000).map(|number| format!("t/1-{number}")).collect();
    let nodes: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
    let mut world = World::new(&nodes);
    world.ask_owned();
    world.read();
    while world.cache.answers.is_empty() {
        let due = world.cache.deadline();
        world.wait(due - world.now);
        world.read();
    }
    let owned = world.owned();
    assert_eq!(owned.here.len(), 4000);
    assert!(owned.elsewhere.is_empty(), "nothing was left out");
    assert_eq!(world.reads(), 8002);
}

#[test]
fn who_owns_nothing_and_asks_without_end_is_not_passed_on_each_time() {
    let mut world = World::new(&[]);
    for _ in 0..1000 {
        world.ask_owner(0);
        world.read();
        assert_eq!(world.owners(), ["nobody"]);
        world.wait(Duration::from_millis(1));
    }
    assert!((1..=5).contains(&world.reads()));
    assert!(world.cache.nodes.len() <= 1);
    // However long nobody asked: it is looked for again.
    world.now += Duration::from_secs(10);
    world.ask_owner(0);
    world.read();
    assert_eq!(world.owners(), ["nobody"]);
    assert_eq!(world.reads(), 1);
}

#[test]
fn a_node_that_was_just_missing_is_looked_for_again_when_something_came() {
    let mut world = World::new(&[("t/1-1", "a")]);
    world.ask_owned();
    world.ask_owner(0);
    world.read();
    world.cache.take_answers();
    world.set("t/1-0", Some("b"));
    world.ask_owner(0);
    world.read();
    assert_eq!(world.owners(), ["b"]);
}

#[test]
fn nothing_is_believed_once_the_connection_was_lost() {
    let mut world = World::new(&[("t/1-0", "a"), ("t/1-1", "a")]);
    world.ask_owner(0);
    world.read();
    world.owners();
    world.ask_owner(1);
    world.cache.lost();
    assert_eq!(world.owners(), ["nobody"], "who waits is told at once");
    assert_eq!(world.cache.standing(), Standing::Away);
    world.ask_owner(0);
    assert_eq!(world.owners(), ["nobody"], "and who asks");
    // No watch of it fired: it changed while nobody looked.
    let path = format!("{FOLDER}/t/1-0");
    world.znodes.insert(path, "b".to_owned());
    world.cache.connected();
    world.reads();
    world.ask_owner(0);
    world.ask_owner(1);
    world.read();
    assert_eq!(world.owners(), ["b", "a"]);
    assert_eq!(world.reads(), 2);
}

#[test]
fn a_zookeeper_that_does_not_answer_keeps_nobody_waiting() {
    let mut world = World::new(&[("t/1-0", "a")]);
    world.ask_owner(0);
    let read = world.cache.next_read(world.now).expect("it is read");
    let due = world.cache.deadline();
    world.wait(due - world.now);
    assert_eq!(world.owners(), ["nobody"]);
    assert_eq!(world.cache.standing(), Standing::Silent);
    world.ask_owner(0);
    assert_eq!(world.owners(), ["nobody"]);
    assert!(world.cache.deadline() > world.now, "nothing is due");
    // It answers after all.
    world.finish(&read);
    assert_eq!(world.cache.standing(), Standing::Read);
    world.ask_owner(0);
    world.read();
    assert_eq!(world.owners(), ["a"]);
}

#[test]
fn reads_are_spread_out_and_gets_that_wait_go_first() {
    let names: Vec<String> = (0..3000).map(|number| format!("t/1-{number}")).collect();
    let nodes: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
    let mut world = World::new(&nodes);
    world.ask_owned();
    for partition in 0..3000 {
        world.ask_owner(partition);
    }
    let mut begun = Vec::new();
    while let Some(read) = world.cache.next_read(world.now) {
        assert_eq!(
            read.place.part,
            Part::Content,
            "the group's folder can wait"
        );
        begun.push(read);
    }
    assert_eq!(begun.len(), READING_MAX);
    begun.iter().for_each(|read| world.finish(read));
    world.read();
    assert_eq!(world.reads(), 2000);
    // What is left is read as soon as it may be.
    while world.cache.answers.len() < 3001 {
        let due = world.cache.deadline();
        assert!(due > world.now, "nothing is asked in vain");
        world.wait(due - world.now);
        world.read();
    }
    // Each node once, for all who asked, its position, and two folders.
    assert_eq!(world.reads(), 4002);
}

#[test]
fn a_group_that_changes_faster_than_it_is_read_is_told_with_all_under_suspicion() {
    let mut world = World::new(&[("t/1-0", "a"), ("t/1-1", "b")]);
    world.ask_owned();
    let began = world.now;
    while world.cache.answers.is_empty() {
        while let Some(read) = world.cache.next_read(world.now) {
            // Whichever is read, the other one has just changed.
            let other = if read.place.path.ends_with("1-0") {
                1
            } else {
                0
            };
            world.fire(format!("{FOLDER}/t/1-{other}"), Part::Content);
            world.finish(&read);
        }
        world.wait(Duration::from_millis(100));
    }
    assert_eq!(world.now - began, GROUP_PATIENCE);
    let owned = world.owned();
    let consumer = &owned.here.first().expect("one was read last").consumer;
    assert!(owned.elsewhere.contains_key(consumer), "{owned:?}");
}

#[test]
fn a_group_that_nobody_asks_for_is_forgotten() {
    let mut world = World::new(&[("t/1-0", "a")]);
    world.ask_owned();
    world.read();
    world.owned();
    world.reads();
    world.wait(FORGET_AFTER);
    let known = world.cache.nodes.values();
    assert_eq!(known.filter(|node| node.found.is_some()).count(), 0);
    // Its watches are still set: once they fire nothing is left.
    world.ask_owner(0);
    let read = world.cache.next_read(world.now).expect("it is read anew");
    assert!(!read.watch);
    world.finish(&read);
    world.wait(FORGET_AFTER);
    world.set("t/1-0", None);
    world.fire(FOLDER.to_owned(), Part::Children);
    assert!(world.cache.nodes.is_empty());
}

#[test]
fn beyond_what_may_be_kept_each_question_is_read() {
    let mut world = World::new(&[("t/1-0", "a")]);
    for number in 0..=KEPT_MAX {
        let path = format!("/other/{number}").into();
        let part = Part::Content;
        let node = Node {
            found: Some(Found::Content(String::new())),
            watched: true,
            used: Some(world.now),
            ..Node::default()
        };
        world.cache.nodes.insert(Place { path, part }, node);
    }
    for _ in 0..3 {
        world.ask_owner(0);
        world.read();
        assert_eq!(world.owners(), ["a"]);
    }
    assert_eq!(world.reads(), 3);
    assert!(world.watches.is_empty());
    world.ask_owned();
    assert_eq!(world.owned(), Owned::default(), "nothing is promised of it");
}

#[test]
fn a_refusal_is_told_and_forgotten_when_a_node_is_shown() {
    let mut world = World::new(&[("t/1-0", "a"), ("t/1-1", "a")]);
    world.ask_owner(0);
    let read = world.cache.next_read(world.now).expect("it is read");
    let refused = Outcome::Refused("not authorized".to_owned());
    world.cache.read(world.now, &read.place, refused);
    assert_eq!(world.owners(), ["nobody"]);
    let standing = Standing::Refused("not authorized".to_owned());
    assert_eq!(world.cache.standing(), standing);
    world.ask_owner(1);
    world.read();
    assert_eq!(world.owners(), ["a"]);
    assert_eq!(world.cache.standing(), Standing::Read);
}
