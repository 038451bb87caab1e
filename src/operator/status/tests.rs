//! How a status reads.

use std::time::Duration;

use super::*;
use crate::appliance::Ports;
use crate::appliance::status::{DiskStatus, JournalStatus, NotTurned, TopicSetting};
use crate::tests::golden::assert_golden;

fn status_of_everything() -> ServerStatus {
    ServerStatus {
        name: "server1".to_owned(),
        id: 1,
        version: "0.1.0".to_owned(),
        pid: 4711,
        state: ServerState::Serving,
        uptime_s: 93_784,
        ports: Ports {
            coordinator: Some(([127, 0, 0, 1], 2181).into()),
            broker: Some(([127, 0, 0, 1], 8123).into()),
            web: None,
        },
        advertised: Some("host1:8123".to_owned()),
        coordinator: Some(CoordinatorStatus {
            role: "standalone".to_owned(),
            zxid: 0x2a,
            znodes: 17,
            ephemerals: 4,
            watches: 9,
            sessions: 3,
            read_only_sessions: None,
            connections: 1,
            data_bytes: 1234,
            requests: 5000,
        }),
        broker: Some(BrokerStatus {
            registration: Registration::Failing {
                reason: "connection refused".to_owned(),
            },
            owners: Owners::Unseen {
                reason: "no connection to ZooKeeper".to_owned(),
            },
            topics: 2,
            partitions: 5,
            connections: 7,
            held_gets: 4,
            messages: 1000,
            puts: 1001,
            puts_failed: 1,
            gets: 77,
            damaged: vec!["orders-3".to_owned()],
            closed: (0..10).map(|number| format!("test-{number}")).collect(),
            refusing_puts: true,
            consumers: Consumers {
                count: 3,
                few_threads: 2,
                turns: 412,
                refused: 97,
                not_turned: [("mail".to_owned(), old_client())].into(),
            },
        }),
        certificate: Some(certificate_until_summer()),
        journal: JournalStatus {
            files_max: 8,
            files_needed: 1,
            backend: "io_uring".to_owned(),
            batches: 42,
            written_bytes: 1_500_000,
        },
        disk: DiskStatus {
            total_bytes: 250 << 30,
            free_bytes: 79 << 30,
        },
        log_lines_lost: 0,
        resident_bytes: 17_300_000,
        warnings: vec!["the disk is nearly full".to_owned()],
    }
}

fn certificate_until_summer() -> CertificateStatus {
    CertificateStatus {
        ends: "2027-07-01 12:00 UTC".to_owned(),
        left_s: 19_000_000,
        renewed_here: true,
        not_renewed: None,
    }
}

#[test]
fn a_certificate_says_whether_a_new_one_will_come() {
    let mut it = certificate_until_summer();
    let until = "until 2027-07-01 12:00 UTC";
    assert_eq!(
        certificate(&it),
        format!("{until}; this server renews it before")
    );
    it.renewed_here = false;
    assert_eq!(
        certificate(&it),
        format!("{until}; it has to be renewed by hand, because authority.key is not here")
    );
    it.not_renewed = Some("the disk is full".to_owned());
    assert_eq!(
        certificate(&it),
        format!("{until}, and there is no new one: the disk is full")
    );
}

fn setting(key: &str, value: &str, section: Option<&str>) -> TopicSetting {
    TopicSetting {
        key: key.to_owned(),
        value: value.to_owned(),
        section: section.map(str::to_owned),
    }
}

fn old_client() -> NotTurned {
    NotTurned {
        code: "old-client".to_owned(),
        reason: "its client is older than 1.4.6".to_owned(),
    }
}

fn topic_with_everything() -> TopicDetail {
    TopicDetail {
        topic: TopicSummary {
            name: "order-paid".to_owned(),
            partitions: 2,
            bytes: 4096,
            messages: 10,
            configured: true,
            ..TopicSummary::default()
        },
        settings: vec![
            setting("num_partitions", "2", Some("[topics.\"order-*\"]")),
            setting("delete_policy", "delete, 24h", Some("[broker]")),
            setting("delete_when", "0 0 6,18 * * ?", None),
        ],
        partitions: vec![
            PartitionStatus {
                min_offset: 1_073_741_824,
                max_offset: 1_073_745_920,
                messages: 10,
                segments: 1,
                held_gets: 2,
                ..PartitionStatus::default()
            },
            PartitionStatus {
                partition: 1,
                closed: true,
                ..PartitionStatus::default()
            },
            PartitionStatus {
                partition: 12,
                read_only: true,
                damaged_at: Some(264),
                ..PartitionStatus::default()
            },
        ],
        consumers: vec![
            PartitionConsumer {
                group: "billing".to_owned(),
                partition: 0,
                owner: Some("billing_host1-4711-1".to_owned()),
                offset: Some(1_073_745_920),
                behind_bytes: Some(0),
                held_gets: 2,
            },
            PartitionConsumer {
                group: "mail".to_owned(),
                partition: 1,
                ..PartitionConsumer::default()
            },
        ],
        offsets_at: None,
        few_threads: vec![
            Consumer {
                group: "billing".to_owned(),
                consumer: "billing_10.0.0.1-4711-1374200000000-1".to_owned(),
                partitions: 32,
                threads: 4,
                turns: 412,
                ..Consumer::default()
            },
            Consumer {
                group: "mail".to_owned(),
                consumer: "mail_10.0.0.2-1374200000000-1".to_owned(),
                partitions: 2,
                elsewhere: true,
                threads: 1,
                refused: 97,
                not_turned: Some(old_client()),
                ..Consumer::default()
            },
        ],
    }
}

fn topic_that_is_only_configured() -> TopicDetail {
    TopicDetail {
        topic: TopicSummary {
            name: "new".to_owned(),
            partitions: 1,
            configured: true,
            ..TopicSummary::default()
        },
        settings: vec![setting("num_partitions", "1", None)],
        partitions: vec![PartitionStatus::default()],
        offsets_at: Some("10.0.0.1:2181".to_owned()),
        ..TopicDetail::default()
    }
}

fn topic_that_is_only_on_disk() -> TopicDetail {
    TopicDetail {
        topic: TopicSummary {
            name: "old".to_owned(),
            bytes: 25,
            messages: 1,
            ..TopicSummary::default()
        },
        settings: vec![setting("delete_policy", "delete,168", None)],
        ..TopicDetail::default()
    }
}

#[test]
fn a_read_only_server_says_so() {
    let mut status = status_of_everything();
    let coordinator = status.coordinator.as_mut().expect("it is one");
    coordinator.role = "read-only".to_owned();
    coordinator.read_only_sessions = Some(1);
    let text = super::coordinator(coordinator);
    assert!(text.starts_with("read-only, "), "{text}");
    assert!(
        text.ends_with(
            "no server leads: 1 session of clients that only read, and what they read may be old"
        ),
        "{text}"
    );
}

#[test]
fn a_status_is_read_at_a_glance() {
    let topics_text = topics(&[
        TopicSummary {
            name: "orders".to_owned(),
            partitions: 16,
            bytes: 5 << 30,
            messages: 123_456,
            accept_publish: true,
            accept_subscribe: true,
            configured: true,
            closed: 4,
            damaged: 1,
        },
        TopicSummary {
            name: "t".to_owned(),
            ..TopicSummary::default()
        },
    ]);
    let text = format!(
        "{}\n{}\n{topics_text}\n{}\n{}\n{}",
        server(&status_of_everything(), Some(80)),
        server(&ServerStatus::default(), Some(80)),
        topic(&topic_with_everything()),
        topic(&topic_that_is_only_configured()),
        topic(&topic_that_is_only_on_disk())
    );
    assert_golden("src/operator/status/status.txt", &text);
}

#[test]
fn the_json_of_a_status_is_what_scripts_may_rely_on() {
    let json = serde_json::to_string_pretty(&status_of_everything()).expect("plain data");
    assert_golden("src/operator/status/status.json", &format!("{json}\n"));
}

#[test]
fn bytes_have_the_unit_that_keeps_them_short() {
    for (count, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1_048_575, "1023 KiB"),
        (1 << 20, "1 MiB"),
        (u64::MAX, "15.9 EiB"),
    ] {
        assert_eq!(bytes(count), text);
    }
}

#[test]
fn a_duration_has_its_two_largest_units() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3_660, "1 h 1 min"),
        (93_784, "1 d 2 h"),
    ] {
        assert_eq!(duration(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn a_status_fits_the_terminal_and_is_a_line_a_row_in_a_pipe() {
    let status = status_of_everything();
    let piped = server(&status, None);
    let rows = piped.lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!(rows, 12, "{piped}");
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for columns in [40, 80, 200] {
        let text = server(&status, Some(columns));
        assert!(
            text.lines().all(|line| line.chars().count() <= columns),
            "{text}"
        );
        assert_eq!(words(&text), words(&piped));
    }
}
