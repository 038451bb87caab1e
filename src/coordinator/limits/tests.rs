use super::*;
use crate::coordinator::state::hasher;
use crate::units::Seed;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_session_counts_for_the_address_that_used_it_last() {
    let (here, there) = (address("10.0.0.1"), address("::1"));
    let mut origins = Origins::new(&hasher(Seed(1)));
    origins.note(1, here);
    origins.note(2, here);
    origins.note(2, there);
    assert_eq!((origins.count(here), origins.count(there)), (1, 1));
    origins.forget(1);
    origins.forget(1);
    origins.forget(7);
    assert_eq!((origins.count(here), origins.count(there)), (0, 1));
}

#[test]
fn sessions_that_never_came_to_be_are_forgotten() {
    let here = address("10.0.0.1");
    let mut origins = Origins::new(&hasher(Seed(1)));
    for session in 1..=4 {
        origins.note(session, here);
    }
    origins.retain(|session| session % 2 == 0);
    assert_eq!(origins.count(here), 2);
    assert_eq!(origins.by_session.len(), 2);
}
