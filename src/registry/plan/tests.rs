//! The layout, against what the original was seen to write (`metamorphosis-server` 1.4.6.2).

use super::super::Topic;
use super::*;
use crate::units::ServerId;

fn wanted(topic: Topic) -> Wanted {
    Wanted {
        broker: ServerId(0),
        url: "meta://10.0.0.1:8123".into(),
        config_checksum: 1_064_735_991,
        topics: [("test".to_string(), topic)].into(),
    }
}

fn paths(plan: &Plan) -> Vec<&str> {
    plan.others.iter().map(|node| node.path.as_str()).collect()
}

#[test]
fn both_layouts_are_written() {
    let topic = Topic {
        partitions: 10,
        accept_publish: true,
        accept_subscribe: true,
    };
    let plan = plan("/meta", &wanted(topic));
    assert_eq!(plan.container, "/meta/brokers/ids/0");
    assert_eq!(plan.master, "/meta/brokers/ids/0/master");
    assert_eq!(
        paths(&plan),
        [
            "/meta/brokers/ids/0/master_config_checksum",
            "/meta/brokers/topics/test/0-m",
            "/meta/brokers/topics-pub/test/0-m",
            "/meta/brokers/topics-sub/test/0-m",
        ]
    );
    let contents: Vec<&str> = plan
        .others
        .iter()
        .map(|node| node.content.as_str())
        .collect();
    let json = r#"{"numParts":10,"broker":"0-m"}"#;
    assert_eq!(contents, ["1064735991", "10", json, json]);
}

#[test]
fn a_topic_that_takes_no_producers_is_hidden_from_them_only() {
    let topic = Topic {
        partitions: 1,
        accept_publish: false,
        accept_subscribe: true,
    };
    let plan = plan("/meta", &wanted(topic));
    assert!(!paths(&plan).iter().any(|path| path.contains("topics-pub")));
    assert!(paths(&plan).contains(&"/meta/brokers/topics-sub/test/0-m"));
}

#[test]
fn the_root_may_be_written_with_or_without_slashes() {
    let topic = Topic {
        partitions: 1,
        accept_publish: true,
        accept_subscribe: true,
    };
    for root in ["meta", "/meta", "/meta/"] {
        assert_eq!(
            plan(root, &wanted(topic)).container,
            "/meta/brokers/ids/0",
            "{root}"
        );
    }
    assert_eq!(plan("", &wanted(topic)).container, "/brokers/ids/0");
}
