use std::time::Duration;

use proptest::prelude::*;

use super::Expiry;
use crate::coordinator::state::hasher;
use crate::units::{Moment, Seed};

const TICK_MS: u64 = 2000;

fn expiry(now: Moment) -> Expiry {
    Expiry::new(Duration::from_millis(TICK_MS), now, &hasher(Seed(1)))
}

/// Calls as often as is wanted, until the session ends.
fn end(expiry: &mut Expiry, from: Moment) -> Moment {
    let mut now = from;
    loop {
        now = now.max(expiry.deadline().expect("there is a session"));
        expiry.wake(now);
        if !expiry.expired(now).is_empty() {
            return now;
        }
    }
}

proptest! {
    #[test]
    fn a_session_ends_within_one_tick_after_its_timeout(start in 0..100_000u64, timeout in 1..60_000i32) {
        let now = Moment::from_millis(start);
        let mut expiry = expiry(now);
        expiry.begin(7, expiry.bucket(now, timeout));
        let lasted = end(&mut expiry, now).since(now);
        let timeout = Duration::from_millis(u64::try_from(timeout).expect("positive"));
        prop_assert!(timeout < lasted && lasted <= timeout + Duration::from_millis(TICK_MS), "{lasted:?}");
    }
}

#[test]
fn time_in_which_the_server_slept_does_not_count() {
    let mut expiry = expiry(Moment::START);
    expiry.begin(7, expiry.bucket(Moment::START, 4000));
    let awake = Moment::from_millis(1000);
    expiry.wake(awake);
    let again = awake + Duration::from_secs(3600);
    expiry.wake(again);
    assert!(expiry.expired(again).is_empty());
    assert_eq!(
        end(&mut expiry, again).since(again),
        Duration::from_millis(5000)
    );
}

#[test]
fn what_was_proposed_is_proposed_again_until_it_happens() {
    let mut expiry = expiry(Moment::START);
    expiry.begin(7, expiry.bucket(Moment::START, 4000));
    let first = end(&mut expiry, Moment::START);
    expiry.touch(7, expiry.bucket(first, 40_000));
    let second = end(&mut expiry, first);
    assert_eq!(
        second.since(first),
        Duration::from_millis(TICK_MS),
        "a touch comes too late"
    );
    expiry.begin(7, expiry.bucket(second, 4000));
    let third = end(&mut expiry, second);
    assert_eq!(
        third.since(second),
        Duration::from_millis(6000),
        "an attach does not"
    );
    expiry.forget(7);
    assert_eq!(expiry.deadline(), None);
}

#[test]
fn a_touch_never_brings_the_end_nearer() {
    let mut expiry = expiry(Moment::START);
    expiry.begin(7, expiry.bucket(Moment::START, 40_000));
    expiry.touch(7, expiry.bucket(Moment::START, 4000));
    assert_eq!(expiry.end_of(7), Some(Moment::from_millis(42_000)));
    assert_eq!(expiry.end_of(8), None);
}
