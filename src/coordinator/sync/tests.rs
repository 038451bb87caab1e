use super::{REPEAT, Syncs};
use crate::units::{ConnectionId, Moment};

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

#[test]
fn a_sync_that_comes_while_a_question_is_under_way_waits_for_the_next() {
    let now = Moment::START;
    let mut syncs = Syncs::default();
    assert_eq!(syncs.join(A, now), (1, true));
    assert_eq!(syncs.join(B, now), (2, false));
    assert_eq!(syncs.join(A, now), (2, false));
    assert_eq!(syncs.answer(1, 10, now), Some(2));
    assert_eq!(syncs.applied(9), []);
    assert_eq!(syncs.answer(1, 10, now), None, "an answer counts once");
    assert_eq!(syncs.answer(2, 12, now), None);
    assert_eq!(syncs.applied(10), [A]);
    assert!(syncs.is_over(1) && !syncs.is_over(2));
    assert_eq!(syncs.applied(12), [B, A]);
    assert_eq!(syncs.deadline(), None);
    assert_eq!(syncs.join(A, now), (3, true));
}

#[test]
fn a_question_without_an_answer_is_repeated() {
    let mut syncs = Syncs::default();
    syncs.join(A, Moment::START);
    let later = Moment::START + REPEAT;
    assert_eq!(syncs.repeat(Moment::START), None);
    assert_eq!(syncs.repeat(later), Some(1));
    assert_eq!(syncs.repeat(later), None);
    assert_eq!(syncs.deadline(), Some(later + REPEAT));
}
