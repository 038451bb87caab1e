//! The judges are judged: each finds what it is for.

use super::*;

/// A znode that was asked for then, and acknowledged at another time by its number in the sequence.
fn creation(stem: &str, asked_at: u64, named: Option<(u64, u64)>) -> Creation {
    Creation {
        stem: stem.to_owned(),
        asked_at,
        named: named.map(|(at, number)| (at, name(stem, number))),
    }
}

fn name(stem: &str, number: u64) -> String {
    format!("{stem}{number:010}")
}

fn names(found: &[(&str, u64)]) -> BTreeSet<String> {
    let names = found.iter().map(|(stem, number)| name(stem, *number));
    names.collect()
}

#[test]
fn what_was_not_acknowledged_may_be_there_or_not() {
    let lost = creation("0-1-", 0, None);
    for found in [&names(&[]), &names(&[("0-1-", 7)])] {
        nothing_acknowledged_is_lost(&[&lost], found);
        nothing_is_done_twice(&[&lost], found);
    }
}

#[test]
#[should_panic(expected = "acknowledged and lost")]
fn what_was_acknowledged_has_to_be_there() {
    let acknowledged = creation("0-1-", 0, Some((10, 7)));
    nothing_acknowledged_is_lost(&[&acknowledged], &names(&[("0-1-", 8)]));
}

#[test]
#[should_panic(expected = "it was done twice")]
fn what_was_not_acknowledged_is_there_once() {
    let lost = creation("0-1-", 0, None);
    nothing_is_done_twice(&[&lost], &names(&[("0-1-", 7), ("0-1-", 8)]));
}

#[test]
#[should_panic(expected = "nobody asked for it")]
fn what_is_there_was_asked_for() {
    nothing_is_done_twice(&[], &names(&[("0-1-", 7)]));
}

#[test]
fn what_is_asked_for_at_the_same_time_has_any_order() {
    let (one, other) = (
        creation("0-1-", 0, Some((10, 8))),
        creation("1-1-", 10, Some((20, 7))),
    );
    sequences_follow_time(&[&one, &other]);
}

#[test]
#[should_panic(expected = "has a lower number")]
fn what_is_asked_for_later_has_a_higher_number() {
    let (one, other) = (
        creation("0-1-", 0, Some((10, 8))),
        creation("1-1-", 11, Some((20, 7))),
    );
    sequences_follow_time(&[&one, &other]);
}

/// A client that saw a register with these versions, each time with another value.
fn saw(versions: &[i32]) -> Notes {
    let held = |(value, version): (u64, &i32)| Register {
        value,
        version: *version,
    };
    Notes {
        sights: (0..).zip(versions).map(|it| (0, held(it))).collect(),
        ..Notes::default()
    }
}

#[test]
fn versions_go_forward() {
    nobody_goes_back_in_time(&saw(&[1, 2, 5]));
}

#[test]
#[should_panic(expected = "behind")]
fn versions_do_not_go_back() {
    nobody_goes_back_in_time(&saw(&[1, 2, 1]));
}

#[test]
#[should_panic(expected = "behind")]
fn a_version_has_one_value() {
    nobody_goes_back_in_time(&saw(&[1, 1]));
}

#[test]
#[should_panic(expected = "no order explains")]
fn a_server_that_has_another_value_in_the_end_is_found() {
    let set = Use {
        register: 0,
        asked_at: 0,
        action: Action::Set(5),
        told: Some((10, Told::Version(1))),
    };
    let five = Register {
        value: 5,
        version: 1,
    };
    there_is_an_order(0, &[set], &[five, five, Register::default()]);
}
