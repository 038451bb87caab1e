use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Children, HOLE, Removed};

/// Znodes of a parent: the name and the place of each number.
#[derive(Default)]
struct Family {
    children: Children,
    names: BTreeMap<u32, String>,
    places: BTreeMap<u32, u32>,
}

impl Family {
    fn add(&mut self, number: u32, name: &str) {
        let names = &self.names;
        let follows = |last: u32| names[&last].as_str() < name;
        let place = self.children.push(number, follows);
        self.names.insert(number, name.to_owned());
        self.places.insert(number, place);
    }

    fn remove(&mut self, number: u32) {
        let place = self.places.remove(&number).expect("it is there");
        self.names.remove(&number);
        match self.children.remove(place) {
            Removed::Child(child) => assert_eq!(child, number),
            Removed::Moved(child) => {
                assert_eq!(child, number);
                self.learn();
            }
            Removed::Nothing => panic!("{number} is gone"),
        }
    }

    fn list(&mut self) -> Vec<&str> {
        if !self.children.is_ordered() {
            let names = &self.names;
            self.children.sort(|number| names[&number].as_bytes());
            self.learn();
        }
        let numbers = self.children.iter();
        numbers.map(|number| self.names[&number].as_str()).collect()
    }

    fn learn(&mut self) {
        self.places = self.children.places().collect();
    }

    fn slots(&self) -> &[u32] {
        self.children.0.as_ref().map_or(&[], |it| &it.numbers)
    }
}

#[test]
fn what_comes_in_order_is_never_sorted() {
    let mut family = Family::default();
    for number in 0..2000 {
        family.add(number, &format!("lock-{number:010}"));
        if number >= 10 {
            family.remove(number - 10);
        }
        assert!(family.children.is_ordered());
        assert!(family.slots().len() <= 22, "holes are closed");
    }
    assert!(family.list().is_sorted());
    for number in 1990..2000 {
        family.remove(number);
    }
    assert!(family.children.is_empty() && family.slots().is_empty());
}

#[test]
fn names_are_ordered_by_all_their_bytes() {
    let names = [
        "same-beginning-0002",
        "same-beginning-0001-and-longer",
        "same-beginning-0001",
        "same",
        "same-beginning-0001-and-lo",
        "samf",
    ];
    let mut family = Family::default();
    for (number, name) in (0..).zip(names) {
        family.add(number, name);
    }
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(family.list(), expected);
}

#[test]
fn names_that_begin_alike_are_ordered_whatever_else_is_there() {
    let mut family = Family::default();
    let name = |number: u32| match number {
        0 => "leader".to_owned(),
        number => format!(
            "consumer-of-things-{:08x}",
            number.wrapping_mul(0x9e37_79b9)
        ),
    };
    for number in 0..500 {
        family.add(number, &name(number));
    }
    let mut expected: Vec<String> = (0..500).map(name).collect();
    expected.sort_unstable();
    assert_eq!(family.list(), expected);
}

/// As those of a `multi` that is refused are.
#[test]
fn room_goes_with_those_that_go_last_first() {
    let mut family = Family::default();
    for number in 0..10_000 {
        family.add(number, &format!("{number:05}"));
    }
    for number in (1..10_000).rev() {
        family.remove(number);
    }
    let room = family.children.0.as_ref().map(|it| it.numbers.capacity());
    assert!(room.is_some_and(|room| room <= 64), "{room:?}");
}

#[test]
fn nothing_goes_twice() {
    let mut family = Family::default();
    for (number, name) in (0..).zip(["a", "b", "c"]) {
        family.add(number, name);
    }
    assert_eq!(family.children.remove(1), Removed::Child(1));
    assert_eq!(family.children.remove(1), Removed::Nothing);
    assert_eq!(family.children.remove(3), Removed::Nothing);
    assert_eq!(family.children.len(), 2);
}

proptest! {
    #[test]
    fn children_are_an_ordered_set(steps in prop::collection::vec((0..6u8, 0..300u32), 0..2000)) {
        let mut family = Family::default();
        for (what, number) in steps {
            // Not in the order of their numbers.
            let name = format!("{:x}", number.wrapping_mul(0x9e37_79b9));
            match (what, family.names.contains_key(&number)) {
                (0, _) => {
                    let mut expected: Vec<String> = family.names.values().cloned().collect();
                    expected.sort_unstable();
                    prop_assert_eq!(family.list(), expected);
                }
                (_, true) => family.remove(number),
                (_, false) => family.add(number, &name),
            }
            let slots = family.slots();
            let holes = slots.iter().filter(|slot| **slot == HOLE).count();
            prop_assert_eq!(family.children.len(), family.names.len());
            prop_assert_eq!(slots.len() - holes, family.names.len());
            prop_assert!(2 * holes <= slots.len() && slots.last() != Some(&HOLE));
        }
    }
}
