//! Tests of the coordinator as a whole: transcripts in `scripts/`, and properties.

pub(super) mod harness;
mod model;
mod moves;
mod properties;
mod script;
mod walk;

use bytes::Bytes;

use super::{Acl, CloseReason, Create, CreateMode, Effect, Event, Options, Request};
use crate::units::Seed;
use harness::{Harness, restore};

/// It never comes back: who waited for it would wait for ever.
#[test]
fn a_client_whose_write_the_leader_does_not_propose_is_sent_away() {
    let mut harness = Harness::leading(Options::default(), Seed(1));
    let (connection, _) = harness.connect();
    let (other, _) = harness.connect();
    harness.held = true;
    for (client, path) in [(connection, "/a"), (other, "/b")] {
        let create = Create {
            path: path.into(),
            data: None,
            acl: vec![Acl::open()],
            mode: CreateMode::Persistent,
        };
        let waits = harness.request(client, 1, Request::Create(create));
        assert!(waits.is_empty(), "{waits:?}");
    }
    let command = harness.proposed.pop_front().expect("it was proposed");
    let not_proposed = |command: &Bytes| Event::NotProposed {
        command: command.clone(),
    };
    let reason = CloseReason::NotProposed;
    let closed = harness.handle(not_proposed(&command));
    assert_eq!(closed, [Effect::Close { connection, reason }]);
    assert!(harness.handle(not_proposed(&command)).is_empty(), "once");
    let rest = harness.commit(1);
    let answers = |effect: &Effect| matches!(effect, Effect::Reply { connection, .. } if *connection == other);
    assert!(rest.iter().any(answers), "{rest:?}");
}

/// What they watched or waited for may have happened inside of it.
#[test]
fn all_clients_are_sent_away_where_a_snapshot_takes_the_place_of_the_state() {
    let mut harness = Harness::leading(Options::default(), Seed(1));
    let (one, _) = harness.connect();
    let (other, _) = harness.connect();
    let restored = restore(&harness.snapshot(), Seed(2));
    let mut effects = Vec::new();
    harness.coordinator.replace(restored, Seed(2), &mut effects);
    let reason = CloseReason::StateReplaced;
    let closed = [one, other].map(|connection| Effect::Close { connection, reason });
    assert_eq!(effects, closed);
}
