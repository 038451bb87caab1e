//! The judge is judged: it finds what cannot be, and nothing else.

use super::*;

/// One who asked for something then, and was told something at another time.
type Line = (u64, Action, Option<(u64, Told)>);

fn has_an_order(lines: &[Line]) -> bool {
    let mut history = History::default();
    for (asked_at, action, told) in lines {
        let number = history.asked(*asked_at, *action);
        if let Some((at, told)) = told {
            history.told(number, *at, *told);
        }
    }
    history.has_an_order()
}

fn holds(value: u64, version: i32) -> Told {
    Told::Holds(Register { value, version })
}

const FIVE: Action = Action::Set(5);
const SIX: Action = Action::Set(6);

#[test]
fn a_read_behind_a_write_sees_it() {
    let written = (0, FIVE, Some((10, Told::Version(1))));
    let read = |told| (20, Action::Read, Some((30, told)));
    assert!(has_an_order(&[written, read(holds(5, 1))]));
    assert!(!has_an_order(&[written, read(holds(0, 0))]), "stale");
    let beside = (5, Action::Read, Some((30, holds(0, 0))));
    assert!(has_an_order(&[written, beside]), "at the same time");
}

#[test]
fn a_write_without_an_answer_is_done_once_at_any_time_or_never() {
    let lost = (0, FIVE, None);
    let read = |at, told| (at, Action::Read, Some((at + 1, told)));
    let before = read(10, holds(0, 0));
    assert!(has_an_order(&[lost, before, read(20, holds(5, 1))]));
    assert!(has_an_order(&[lost, before, read(20, holds(0, 0))]));
    let undone = [lost, read(10, holds(5, 1)), read(20, holds(0, 0))];
    assert!(!has_an_order(&undone), "it is not undone");
    let twice = [lost, read(10, holds(5, 1)), read(20, holds(5, 2))];
    assert!(!has_an_order(&twice), "nor done twice");
    let early = [read(0, holds(5, 1)), (10, FIVE, None)];
    assert!(!has_an_order(&early), "nor before it was asked for");
}

#[test]
fn two_never_set_the_same_version() {
    let both = |second| {
        has_an_order(&[
            (0, FIVE, Some((10, Told::Version(1)))),
            (0, SIX, Some((10, Told::Version(second)))),
        ])
    };
    assert!(both(2));
    assert!(!both(1), "one of the two was lost");
    assert!(!both(3), "nobody set it in between");
}

#[test]
fn what_has_a_condition_is_done_only_where_it_holds() {
    let one = |told| {
        let set_if = Action::SetIf {
            version: 1,
            value: 7,
        };
        (20, set_if, Some((30, told)))
    };
    let five = (0, FIVE, Some((10, Told::Version(1))));
    let six = (0, SIX, Some((10, Told::Version(2))));
    assert!(has_an_order(&[five, one(Told::Version(2))]));
    assert!(!has_an_order(&[five, one(Told::Refused)]));
    assert!(has_an_order(&[five, six, one(Told::Refused)]));
    assert!(!has_an_order(&[five, six, one(Told::Version(3))]));
}
