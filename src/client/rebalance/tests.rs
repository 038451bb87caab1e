//! The scripts beside this file are transcripts: a command, dashes, what came of it. Commands:
//!
//! * `consumers NAME…` replaces the group's members
//! * `partitions BROKER:COUNT…` replaces the topic's partitions
//! * `assign range|ketama` shows who reads what, and what changed hands since the last `assign`
//! * `point TEXT` shows a text's place on the ring

use std::collections::BTreeMap;

use proptest::prelude::{prop_assert_eq, proptest};

use super::*;
use crate::tests::transcript::{happen, scripts};

#[derive(Default)]
struct Group {
    consumers: Vec<String>,
    partitions: Vec<Partition>,
    owners: BTreeMap<Partition, String>,
}

impl Group {
    fn run(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["consumers", names @ ..] => {
                self.consumers = names.iter().map(ToString::to_string).collect();
                Vec::new()
            }
            ["partitions", brokers @ ..] => {
                self.partitions = brokers
                    .iter()
                    .flat_map(|broker| of_broker(broker))
                    .collect();
                Vec::new()
            }
            ["assign", "range"] => self.assign(Strategy::Range),
            ["assign", "ketama"] => self.assign(Strategy::Ketama),
            ["point", text] => vec![points(text)[0].to_string()],
            _ => panic!("unknown command {command:?}"),
        }
    }

    fn assign(&mut self, strategy: Strategy) -> Vec<String> {
        let mut shown = Vec::new();
        let mut owners = BTreeMap::new();
        for consumer in &self.consumers {
            let own = assign(strategy, consumer, &self.consumers, &self.partitions);
            let names: Vec<String> = own.iter().map(ToString::to_string).collect();
            let names = names.join(" ");
            shown.push(format!("{consumer}: {names}").trim_end().to_owned());
            for partition in own {
                let before = owners.insert(partition, consumer.clone());
                assert_eq!(before, None, "{partition} has two owners");
            }
        }
        let moved = owners.iter().filter(|(partition, owner)| {
            self.owners
                .get(partition)
                .is_some_and(|before| before != *owner)
        });
        let moved: Vec<String> = moved.map(|(partition, _)| partition.to_string()).collect();
        if !self.owners.is_empty() {
            let moved = moved.join(" ");
            shown.push(format!("changed hands: {moved}").trim_end().to_owned());
        }
        self.owners = owners;
        shown
    }
}

fn of_broker(text: &str) -> Vec<Partition> {
    let (broker, count) = text.split_once(':').expect("BROKER:COUNT");
    let broker = broker.parse().expect("a broker id");
    let count: i32 = count.parse().expect("a count");
    (0..count)
        .map(|number| Partition { broker, number })
        .collect()
}

scripts! {
    "src/client/rebalance/scripts":
    ketama_moves_few_partitions,
    more_consumers_than_partitions,
    range_runs_are_consecutive_in_string_order => play;
}

fn play(script: &str) -> String {
    let mut group = Group::default();
    happen(script, |command| group.run(command))
}

#[test]
fn a_partition_is_written_as_broker_dash_number() {
    assert_eq!(
        "3-12".parse(),
        Ok(Partition {
            broker: 3,
            number: 12
        })
    );
    for wrong in ["", "3", "3-", "-1", "a-1", "1--1", "70000-1"] {
        assert!(wrong.parse::<Partition>().is_err(), "{wrong:?}");
    }
}

#[test]
fn a_stranger_gets_nothing() {
    let consumers = ["g_a".to_string()];
    let partitions = [Partition {
        broker: 0,
        number: 0,
    }];
    assert_eq!(assign(Strategy::Range, "g_b", &consumers, &partitions), []);
    assert_eq!(assign(Strategy::Ketama, "g_b", &consumers, &partitions), []);
}

proptest! {
    #[test]
    fn every_partition_has_exactly_one_owner_whatever_the_order_of_the_lists(
        names in proptest::collection::btree_set("[a-c]{1,3}", 1..6),
        counts in proptest::collection::vec(0..20_i32, 1..4),
        ketama: bool,
        turn in 0..5_usize,
    ) {
        let strategy = if ketama { Strategy::Ketama } else { Strategy::Range };
        let mut consumers: Vec<String> = names.into_iter().collect();
        let mut partitions: Vec<Partition> = counts
            .iter()
            .zip(0_u16..)
            .flat_map(|(&count, broker)| (0..count).map(move |number| Partition { broker, number }))
            .collect();
        let shares = |consumers: &[String], partitions: &[Partition]| -> BTreeMap<String, Vec<Partition>> {
            let share = |name: &String| (name.clone(), assign(strategy, name, consumers, partitions));
            consumers.iter().map(share).collect()
        };
        let before = shares(&consumers, &partitions);
        let mut owned: Vec<Partition> = before.values().flatten().copied().collect();
        owned.sort_unstable();
        prop_assert_eq!(&owned, &partitions);
        let by = turn % consumers.len();
        consumers.rotate_left(by);
        partitions.reverse();
        prop_assert_eq!(before, shares(&consumers, &partitions));
    }
}
