//! The golden vectors of the protocol that are the broker's, and ids.

use bytes::Bytes;

use super::harness::World;
use crate::broker::message_id::MessageIds;
use crate::broker::topic::{is_possible, matches};
use crate::broker::{Effect, Get, Name, Options, Put, RefusalKind, Reply, Request, Topics};
use crate::units::{ConnectionId, Seed, ServerId, WallTime};

fn options() -> Options {
    let topics = Topics::plain(&[("meta-test", 1)]);
    Options::new(ServerId(0), "meta://10.0.0.1:8123".to_owned(), 8123, topics)
}

#[test]
fn an_id_is_time_broker_and_sequence() {
    let mut ids = MessageIds::new(ServerId(7), 0);
    let wall = WallTime(1_700_000_000_000);
    let issued: Vec<i64> = (0..4).map(|_| ids.next(wall).unwrap()).collect();
    assert_eq!(issued[3], 1_661_382_015_569_653_763);
}

#[test]
fn ids_grow_whatever_the_clock_does() {
    let mut ids = MessageIds::new(ServerId(1023), 0);
    let mut last = 0;
    for wall in [
        1_700_000_000_000,
        1_600_000_000_000,
        0,
        -5,
        i64::MIN,
        1_700_000_000_001,
    ] {
        for _ in 0..10_000 {
            let id = ids.next(WallTime(wall)).unwrap();
            assert!(id > last, "{id} follows {last} at {wall}");
            assert_eq!((id >> 12) & 0x3ff, 1023);
            last = id;
        }
    }
}

#[test]
fn ids_follow_those_of_another_broker_and_of_another_run() {
    let mut ids = MessageIds::new(ServerId(3), 1_661_382_015_569_653_763);
    let id = ids.next(WallTime(1_600_000_000_000)).unwrap();
    assert!(id > 1_661_382_015_569_653_763);
    assert_eq!((id >> 12) & 0x3ff, 3);
}

#[test]
fn negative_ids_and_ids_from_the_far_future_are_not_followed() {
    let wall = WallTime(1_700_000_000_000);
    let mut ids = MessageIds::new(ServerId(0), 0);
    ids.adopted(-5_468_572_396_564_774_912, wall);
    ids.adopted(i64::MAX, wall);
    let first = ids.next(wall).unwrap();
    assert_eq!((first >> 22) + 1_303_895_660_503, wall.0);
}

#[test]
fn when_the_numbers_are_used_up_there_are_no_ids() {
    let mut ids = MessageIds::new(ServerId(0), i64::MAX - 1);
    assert_eq!(ids.next(WallTime(1_700_000_000_000)), None);
    assert_eq!(ids.next(WallTime(i64::MAX)), None);
}

#[test]
fn the_first_put_of_a_java_process_is_answered_with_id_partition_and_offset() {
    let mut world = World::new(options(), Seed(1));
    let put = Put {
        topic: Name::from("meta-test"),
        partition: 0,
        flag: 0,
        checksum: 907_060_870,
        transaction: None,
        data: Bytes::from_static(b"hello"),
    };
    world.seen.clear();
    world.request(1, i32::MIN, Request::Put(put));
    world.turn();
    let message_id = (1_700_000_000_000 - 1_303_895_660_503) << 22;
    assert_eq!(
        world.seen,
        [Effect::Reply {
            connection: ConnectionId(1),
            opaque: i32::MIN,
            reply: Reply::Stored {
                message_id,
                partition: 0,
                offset: 0
            },
        }]
    );
    let file = &world.files[&("meta-test-0".to_owned(), 0)];
    let mut expected = vec![0, 0, 0, 5, 0x36, 0x10, 0xa6, 0x86];
    expected.extend_from_slice(&message_id.to_be_bytes());
    expected.extend_from_slice(b"\0\0\0\0hello");
    assert_eq!(file.bytes, expected);
}

#[test]
fn an_empty_partition_answers_a_get_at_0_with_the_text_of_the_protocol() {
    let mut world = World::new(options(), Seed(1));
    let data = Bytes::new();
    let topic = Name::from("meta-test");
    // The file exists, and for want of space there is nothing in it.
    world.disk_full = true;
    let put = Put {
        topic,
        partition: 0,
        flag: 0,
        checksum: -1,
        transaction: None,
        data,
    };
    world.request(1, 1, Request::Put(put));
    world.turn();
    world.seen.clear();
    let (topic, group) = (Name::from("meta-test"), Name::from("g"));
    let get = Get {
        topic,
        group,
        partition: 0,
        offset: 0,
        max_size: 1024,
    };
    world.request(1, 2, Request::Get(get));
    let [
        Effect::Reply {
            reply: Reply::Refused(refusal),
            ..
        },
    ] = &world.seen[..]
    else {
        panic!("{:?}", world.seen);
    };
    assert_eq!(refusal.kind, RefusalKind::NotFound);
    assert_eq!(refusal.text, "Could not find message at position 0");
    assert_eq!(refusal.text.len(), 36);
}

#[test]
fn a_star_stands_for_anything_and_everything_else_for_itself() {
    let yes = [
        ("*", "a"),
        ("a*", "a"),
        ("a*", "ab"),
        ("*a", "ba"),
        ("a*c*e", "abcde"),
        ("a", "a"),
    ];
    let no = [
        ("a", "b"),
        ("a*", "b"),
        ("a*a", "a"),
        ("a.b", "axb"),
        ("a$", "a"),
        ("a+", "aa"),
    ];
    for (pattern, name) in yes {
        assert!(matches(pattern, name), "{pattern} matches {name}");
    }
    for (pattern, name) in no {
        assert!(!matches(pattern, name), "{pattern} does not match {name}");
    }
    assert!(matches("a*b*c", "a.bxb.c"));
    assert!(matches("**", ""));
    assert!(!matches("*ab*", "aXb"));
}

#[test]
fn a_topic_can_be_a_folder_and_a_node() {
    for name in ["test", "meta-test", "a.b_c-1", "über", "A"] {
        assert!(is_possible(name), "{name}");
    }
    let long = "x".repeat(10_000);
    for name in [
        "",
        "..",
        ".a",
        "a/b",
        "a\0b",
        "a b",
        "a\nb",
        "\u{ffff}",
        "\u{e000}",
        "\u{1f98b}",
        &long,
    ] {
        assert!(!is_possible(name), "{name:?}");
    }
}
