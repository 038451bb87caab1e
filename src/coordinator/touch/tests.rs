use super::*;

fn ms(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn touch(round: u64, sessions: &[i64]) -> Option<Effect> {
    let sessions = sessions.to_vec();
    Some(Effect::Touch { round, sessions })
}

#[test]
fn a_ping_is_told_at_once_and_what_comes_meanwhile_shares_the_next_round() {
    let mut touches = Touches::default();
    touches.gather(7, ms(0));
    assert_eq!(touches.due(ms(50)), None, "nobody waits for it");
    assert_eq!(touches.join(ConnectionId(1), ms(50)), 1);
    assert_eq!(touches.due(ms(50)), touch(1, &[7]));
    touches.gather(8, ms(51));
    assert_eq!(touches.join(ConnectionId(2), ms(51)), 2);
    touches.gather(9, ms(52));
    assert_eq!(touches.join(ConnectionId(3), ms(52)), 2);
    assert_eq!(touches.due(ms(53)), None, "one is under way");
    assert_eq!(touches.confirmed(2, 5, ms(53)), None, "it was not asked");
    assert_eq!(touches.confirmed(1, 5, ms(54)), touch(2, &[8, 9]));
    assert_eq!(touches.applied(4), [], "the end of a session may be at 5");
    assert_eq!(touches.applied(5), [ConnectionId(1)]);
    assert_eq!(touches.confirmed(2, 5, ms(55)), None);
    assert_eq!(touches.applied(5), [ConnectionId(2), ConnectionId(3)]);
    assert_eq!(touches.deadline(), None);
}

#[test]
fn what_nobody_waits_for_goes_together_a_little_later() {
    let mut touches = Touches::default();
    touches.gather(7, ms(0));
    touches.gather(5, ms(90));
    assert_eq!(touches.due(ms(99)), None);
    assert_eq!(touches.due(ms(100)), touch(1, &[5, 7]));
}

#[test]
fn a_round_is_told_again_until_it_is_over() {
    let mut touches = Touches::default();
    touches.gather(7, ms(0));
    touches.join(ConnectionId(1), ms(0));
    assert_eq!(touches.due(ms(0)), touch(1, &[7]));
    assert_eq!(touches.due(ms(499)), None);
    assert_eq!(touches.due(ms(500)), touch(1, &[7]));
    assert_eq!(touches.again(ms(600)), touch(1, &[7]), "another leads");
    assert_eq!(touches.confirmed(1, 0, ms(601)), None);
    assert_eq!(touches.applied(0), [ConnectionId(1)]);
    assert_eq!(touches.again(ms(602)), None);
}

#[test]
fn a_round_that_was_forgotten_answers_nobody() {
    let mut touches = Touches::default();
    touches.join(ConnectionId(1), ms(0));
    assert!(touches.due(ms(0)).is_some());
    let mut touches = touches.forgotten();
    assert_eq!(touches.join(ConnectionId(2), ms(1)), 2);
    assert_eq!(touches.confirmed(1, 0, ms(2)), None);
    assert_eq!(touches.applied(9), []);
    assert!(!touches.is_over(2));
}
