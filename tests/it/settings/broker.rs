//! `[broker]`, `[topics]` and `[zookeeper]`.

use crate::harness::command::status;
use crate::harness::deployment::{Deployment, START_LIMIT};
use crate::harness::metaq_wire::{Answer, Client};
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire::{self, four_letter_word};
use std::fs;

/// A server with these sections of topics, and perhaps more.
fn with_topics(topics: &str, edit: impl FnOnce(&mut String)) -> Server {
    Server::start_with(&[], |text| {
        text.push_str(topics);
        edit(text);
    })
}

fn text_of(answer: Answer) -> String {
    match answer {
        Answer::Result { code, text, .. } => format!("{code} {text}"),
        Answer::Value { bytes, .. } => format!("{} bytes", bytes.len()),
    }
}

#[test]
fn a_broker_registers_as_it_is_called() {
    let server = with_topics("\n[topics.orders]\nnum_partitions = 3\n", |text| {
        set_key(text, "server", "id", "7");
        set_key(text, "server", "host_name", "\"broker7.example.org\"");
        set_key(text, "zookeeper", "root", "\"/elsewhere\"");
    });
    let mut client = zookeeper_wire::Client::connect(server.coordinator());
    let mut data = |path: &str| {
        let found = client.get(path, false).ok();
        found.map(|(data, _)| String::from_utf8(data.unwrap_or_default()).expect("it is text"))
    };
    let url = format!("meta://broker7.example.org:{}", server.broker().port());
    eventually("the broker is registered", START_LIMIT, || {
        data("/elsewhere/brokers/topics-sub/orders/7-m").is_some()
    });
    assert_eq!(data("/elsewhere/brokers/ids/7/master"), Some(url));
    assert_eq!(
        data("/elsewhere/brokers/topics/orders/7-m").as_deref(),
        Some("3")
    );
    assert_eq!(data("/meta/brokers"), None);
}

#[test]
fn a_topic_has_the_partitions_it_is_given() {
    let topics = "\n[topics.own]\nnum_partitions = 2\n[topics.others]\n";
    let server = with_topics(topics, |text| {
        set_key(text, "broker", "num_partitions", "5")
    });
    let mut client = Client::connect(server.broker());
    for (topic, partitions) in [("own", 2), ("others", 5)] {
        client
            .put(topic, partitions - 1, b"last")
            .expect("it is there");
        let (code, text) = client
            .put(topic, partitions, b"beyond")
            .expect_err("it is not there");
        assert_eq!(code, 500);
        assert!(
            text.ends_with(&format!("wrong partition {partitions}")),
            "{text}"
        );
    }
}

#[test]
fn clients_find_only_topics_that_accept_them() {
    let topics = "\n[topics.plain]\n[topics.publish]\naccept_publish = true\n\
                  [topics.subscribe]\naccept_subscribe = true\n";
    let server = with_topics(topics, |text| {
        set_key(text, "broker", "accept_publish", "false");
        set_key(text, "broker", "accept_subscribe", "false");
    });
    let mut client = zookeeper_wire::Client::connect(server.coordinator());
    let mut registered = |kind: &str, topic: &str| {
        let path = format!("/meta/brokers/{kind}/{topic}/1-m");
        client.exists(&path, false).is_ok()
    };
    // The oldest layout has every topic.
    eventually("the topics are registered", START_LIMIT, || {
        ["plain", "publish", "subscribe"]
            .iter()
            .all(|topic| registered("topics", topic))
            && registered("topics-pub", "publish")
            && registered("topics-sub", "subscribe")
    });
    for (kind, topic) in [
        ("topics-pub", "plain"),
        ("topics-sub", "plain"),
        ("topics-pub", "subscribe"),
        ("topics-sub", "publish"),
    ] {
        assert!(!registered(kind, topic), "{topic} in {kind}");
    }
    // As with the original, it is the registration alone.
    let mut client = Client::connect(server.broker());
    client
        .put("subscribe", 0, b"all the same")
        .expect("a put is taken");
    assert_eq!(client.read_all("subscribe", 0).len(), 1);
}

#[test]
fn figures_are_kept_of_topics_that_want_them() {
    let topics = "\n[topics.counted]\n[topics.uncounted]\nstatistics = false\n";
    let server = with_topics(topics, |text| set_key(text, "broker", "statistics", "true"));
    let mut client = Client::connect(server.broker());
    for topic in ["counted", "uncounted"] {
        client.put(topic, 0, b"hello").expect("it is taken");
    }
    let mut figures = |topic: &str| text_of(client.call(&format!("stats {topic}"), b""));
    let counted = figures("counted");
    assert!(counted.contains("topic_realtime_put Count=1,"), "{counted}");
    let uncounted = figures("uncounted");
    assert!(
        uncounted.contains("topic_realtime_put Invalid keyTwo:uncounted"),
        "{uncounted}"
    );
}

#[test]
fn messages_lie_in_the_folders_that_are_named() {
    let topics = "\n[topics.here]\n[topics.there]\nfolder = \"data/fast\"\n";
    let server = with_topics(topics, |text| {
        set_key(text, "broker", "topics_folder", "\"data/messages\"");
    });
    let mut client = Client::connect(server.broker());
    for (topic, folder) in [("here", "messages"), ("there", "fast")] {
        client.put(topic, 0, b"hello").expect("it is taken");
        // A get is answered from the file: then it is written.
        assert_eq!(client.read_all(topic, 0).len(), 1);
        let name = format!("data/{folder}/{topic}-0/00000000000000000000.meta");
        let file = fs::metadata(server.folder().join(&name));
        assert_eq!(file.expect("the message's file").len(), 25, "{name}");
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_and_the_largest_is_not() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "broker", "message_bytes_max", "1000");
    });
    let mut client = Client::connect(server.broker());
    client
        .put("test", 0, &[7; 1_000])
        .expect("the largest is taken");
    let (code, text) = client
        .put("test", 0, &[7; 1_001])
        .expect_err("it is too large");
    assert_eq!(code, 400);
    assert!(text.contains("1000"), "{text}");
    client
        .put("test", 0, b"next")
        .expect("the connection goes on");
    assert_eq!(client.read_all("test", 0).len(), 2);
}

#[test]
fn a_get_returns_no_more_than_it_may() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "broker", "message_bytes_max", "1000");
        set_key(text, "broker", "transfer_bytes_max", "4096");
    });
    let mut client = Client::connect(server.broker());
    for _ in 0..10 {
        client.put("test", 0, &[7; 1_000]).expect("it is taken");
    }
    assert_eq!(text_of(client.get("test", 0, 0, 1 << 20)), "4096 bytes");
    assert_eq!(text_of(client.get("test", 0, 0, 100)), "100 bytes");
    assert_eq!(client.read_all("test", 0).len(), 10);
}

#[test]
fn a_consumer_beyond_the_end_is_sent_back_where_that_is_wanted() {
    for (wanted, expected) in [
        ("false", "404 Could not find message at position 1000"),
        ("true", "301 25"),
    ] {
        let server = Server::start_with(&[("test", 1)], |text| {
            set_key(text, "broker", "update_consumer_offsets", wanted);
        });
        let mut client = Client::connect(server.broker());
        client.put("test", 0, b"hello").expect("it is taken");
        assert_eq!(text_of(client.get("test", 0, 1_000, 100)), expected);
    }
}

#[test]
fn the_registration_has_the_timeout_it_is_given() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "zookeeper", "session_timeout_ms", "6000");
    });
    let connections = || four_letter_word(server.coordinator(), "cons").unwrap_or_default();
    eventually("the broker has a session", START_LIMIT, || {
        connections().contains("to=6000")
    });
}

#[test]
fn a_broker_that_is_not_to_register_is_not_found() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "zookeeper", "register", "false");
    });
    Client::connect(server.broker())
        .put("test", 0, b"hello")
        .expect("it is taken");
    let status = status(&server);
    assert_eq!(status["broker"]["registration"], "off");
    let mut client = zookeeper_wire::Client::connect(server.coordinator());
    assert!(client.exists("/meta", false).is_err());
}
