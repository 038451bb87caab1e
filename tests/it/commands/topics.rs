//! Topics come and go while a server runs.

use super::{Folder, LIMIT, assert_ended, assert_said, chrysalis_in, text};
use crate::harness::process::eventually;
use crate::harness::server::CHRYSALIS;
use std::fs;
use std::process::{Command, Stdio};

/// They wrote to one file at a time and called their new files alike: some failed with a wrong reason, some topics were
/// lost, and one reload found half of a file and dropped every topic.
#[test]
fn twenty_topics_are_created_at_a_time() {
    const COUNT: usize = 20;
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let creating = (0..COUNT).map(|number| {
        let mut chrysalis = Command::new(CHRYSALIS);
        chrysalis.args(["topic", "create"]).arg(&folder.path);
        chrysalis.arg(format!("t{number}:2")).stdin(Stdio::null());
        chrysalis.stdout(Stdio::piped()).stderr(Stdio::piped());
        chrysalis.spawn().expect("the binary under test starts")
    });
    let creating: Vec<_> = creating.collect();
    for created in creating {
        assert_ended(&created.wait_with_output().expect("it ends"), 0);
    }
    let list = folder.json("topic list", &[]);
    assert_eq!(list.as_array().expect("a list").len(), COUNT + 1);
    let reloaded = folder.command("reload", &[]);
    assert_said(&reloaded, 0, "no topic changed");
    let conf = fs::read_dir(folder.path.join("conf")).expect("it is there");
    assert_eq!(conf.count(), 1, "nothing is left beside server.toml");
}

/// The second was registered a second after the first, and a `produce` behind its `topic create` found no such topic.
#[test]
fn topics_that_are_made_one_after_the_other_are_found_at_once() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    for topic in ["first", "second", "third"] {
        assert_ended(&folder.command("topic create", &[topic]), 0);
        assert_said(
            &chrysalis_in(&folder, &["produce", topic, "hello"]),
            0,
            topic,
        );
    }
}

#[test]
fn a_file_that_was_cut_off_takes_no_topic_away() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    fs::write(folder.path.join("conf/server.toml"), "").expect("cut it off");
    assert_said(&folder.command("reload", &[]), 10, "E0004");
    assert_said(&folder.command("topic list", &[]), 0, "test");
}

#[test]
fn a_topic_is_deleted_when_that_is_meant() {
    let folder = Folder::with_a_server();
    let names = || {
        let list = folder.json("topic list", &[]);
        let topics = list.as_array().expect("a list").iter();
        topics
            .map(|topic| topic["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["orders"]), 0);
    for message in ["one", "two"] {
        assert_ended(&chrysalis_in(&folder, &["produce", "orders", message]), 0);
    }
    let before = fs::read(folder.path.join("conf/server.toml")).expect("it is there");
    let asked = folder.command("topic delete", &["orders"]);
    assert_said(
        &asked,
        1,
        "E0309 topic orders has 1 partition, 2 messages, ",
    );
    assert_said(&asked, 1, "Nothing was deleted");
    let asked = folder.command("topic delete", &["orders", "--keep-data"]);
    assert_said(
        &asked,
        1,
        "If you mean it: chrysalis topic delete orders --keep-data --yes",
    );
    let after = fs::read(folder.path.join("conf/server.toml")).expect("it is there");
    assert_eq!(before, after);
    assert_eq!(names(), ["orders", "test"]);

    // What it says can be pasted.
    let said = text(&asked.stderr);
    let (_, again) = said
        .trim()
        .split_once("If you mean it: chrysalis ")
        .expect("a command");
    let again: Vec<&str> = again.split(' ').collect();
    let deleted = chrysalis_in(&folder, &again);
    assert_said(&deleted, 0, "topics no longer accepted: orders");
    assert_said(&deleted, 0, "its messages are kept (");
    assert_ended(
        &chrysalis_in(&folder, &["produce", "orders", "x", "--timeout", "3"]),
        1,
    );
    assert_said(
        &chrysalis_in(&folder, &["consume", "orders"]),
        0,
        "one\ntwo\n",
    );

    let deleted = folder.command("topic delete", &["orders", "--delete-data", "--yes"]);
    assert_said(
        &deleted,
        0,
        "deleting 2 messages of orders\nthey are gone\n",
    );
    assert_eq!(names(), ["test"]);
    eventually("no client finds it", LIMIT, || {
        let registered = chrysalis_in(&folder, &["zk", "ls", "-R", "/meta/brokers"]);
        !text(&registered.stdout).contains("orders/")
    });
    assert_ended(&folder.command("restart", &[]), 0);
    assert_eq!(names(), ["test"]);

    // Groups that had read the old ones miss nothing of the new ones.
    assert_ended(&folder.command("topic create", &["orders"]), 0);
    let produced = chrysalis_in(&folder, &["produce", "orders", "three"]);
    assert_said(&produced, 0, "orders");
    assert_said(&chrysalis_in(&folder, &["consume", "orders"]), 0, "three\n");
    let detail = folder.json("topic describe", &["orders"]);
    let partition = &detail["partitions"][0];
    assert!(partition["min_offset"].as_u64() > Some(0), "{partition}");
    assert_eq!(partition["messages"], 1);
}

/// It said "Nothing was changed", behind what it had printed and consumed.
#[test]
fn a_member_that_is_refused_says_what_is_consumed() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&chrysalis_in(&folder, &["produce", "test", "hello"]), 0);
    assert_ended(&folder.command("partition close", &["test", "0"]), 0);
    // Where its end is can be asked of a closed partition, and what is in it cannot be read.
    let refused = chrysalis_in(&folder, &["consume", "test", "--group", "billing"]);
    assert_said(&refused, 1, "E0402 ");
    assert_said(&refused, 1, "What was printed is consumed");
    assert!(
        !text(&refused.stderr).contains("Nothing was"),
        "{refused:?}"
    );
}

/// It accused consumers that had read, and commit only every few seconds.
#[test]
fn a_partition_that_another_holds_is_not_called_unread() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&chrysalis_in(&folder, &["produce", "test", "hello"]), 0);
    let node = "/meta/consumers/billing/owners/test/1-0";
    assert_ended(
        &chrysalis_in(&folder, &["zk", "create", "-p", node, "another"]),
        0,
    );
    let consume = ["consume", "test", "--group", "billing", "--wait", "1"];
    let held = chrysalis_in(&folder, &consume);
    assert_said(&held, 1, "E0405 ");
    assert_said(&held, 1, "partition 1-0 is held by another");
    assert_said(
        &held,
        1,
        "Nobody has committed that more of it was read for 1 s",
    );
}

/// In the folder of a broker without a coordinator, `zk` refused where `produce` went on.
#[test]
fn zk_asks_the_coordinator_that_a_broker_uses() {
    let of_broker = Folder::new();
    let elsewhere = Folder::with_a_server();
    assert_ended(&elsewhere.command("start", &[]), 0);
    let status = elsewhere.command("status", &["--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("it is JSON");
    let coordinator = status["ports"]["coordinator"].as_str().expect("it serves");
    let config = format!(
        "[coordinator]\nenabled = false\n[zookeeper]\nconnect = \"{coordinator}\"\n[topics.test]\n"
    );
    of_broker.write("conf/server.toml", &config);
    let listed = chrysalis_in(&of_broker, &["zk", "ls"]);
    assert_said(&listed, 0, "zookeeper");
    // What is missing there is not made by create.
    let missing = chrysalis_in(&of_broker, &["zk", "get", "/nope"]);
    assert!(!text(&missing.stderr).contains("--parents"), "{missing:?}");
}

/// Their messages were shown to nobody, and nothing said so until retention had deleted them.
#[test]
fn what_fewer_partitions_hide_is_told_and_can_be_read() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["shrink:4"]), 0);
    for (partition, messages) in [("1-1", 1), ("1-2", 2), ("1-3", 2)] {
        for number in 0..messages {
            let message = format!("{partition} {number}");
            let produce = ["produce", "shrink", "--partition", partition, &message];
            assert_ended(&chrysalis_in(&folder, &produce), 0);
        }
    }
    let conf = folder.path.join("conf/server.toml");
    let set = |from: &str, to: &str| {
        let text = fs::read_to_string(&conf).expect("it is there");
        assert!(text.contains(from), "{text}");
        fs::write(&conf, text.replace(from, to)).expect("it is ours");
        folder.command("reload", &[])
    };
    let kept = "partitions 2 and 3 are no longer shown to clients; they keep 4 messages until retention takes them, \
                and are shown again with num_partitions = 4 (in a server.ini numPartitions)";
    let reloaded = set("num_partitions = 4", "num_partitions = 2");
    assert_said(&reloaded, 0, &format!("shrink: {kept}\n"));
    let log = fs::read_to_string(folder.path.join("logs/chrysalis.log")).expect("it is there");
    assert!(log.contains(kept), "{log}");
    assert_said(&folder.command("topic describe", &["shrink"]), 0, kept);
    let again = folder.command("reload", &[]);
    assert!(!text(&again.stdout).contains("shrink"), "{again:?}");

    assert_said(&chrysalis_in(&folder, &["consume", "shrink"]), 0, "1-1 0\n");
    for partition in ["1-2", "2"] {
        let hidden = chrysalis_in(&folder, &["consume", "shrink", "--partition", partition]);
        assert_said(&hidden, 0, "1-2 0\n1-2 1\n");
        assert_said(&hidden, 0, "1-2: ZooKeeper does not show it");
    }
    let none = chrysalis_in(&folder, &["consume", "shrink", "--partition", "1-4"]);
    assert_said(&none, 1, "E0303 there is no partition 1-4 of topic shrink");

    let reloaded = set("num_partitions = 2", "num_partitions = 3");
    assert_said(
        &reloaded,
        0,
        "shrink: partition 3 is no longer shown to clients; it keeps 2 messages",
    );
    let reloaded = set("num_partitions = 3", "num_partitions = 4");
    assert_eq!(text(&reloaded.stdout), "topics changed: shrink\n");
}

#[test]
fn patterns_are_listed_and_are_no_topics() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["log-*:2"]), 0);
    assert_said(
        &folder.command("topic list", &[]),
        0,
        "log-*: a pattern; each topic that matches has 2 partitions, and exists from its first message on\n",
    );
    let described = folder.command("topic describe", &["log-*"]);
    assert_said(&described, 0, "log-* is a pattern");
    assert!(
        !text(&described.stdout).contains("open"),
        "it has no partition"
    );
    let one = folder.command("topic describe", &["log-1", "--json"]);
    let one: serde_json::Value = serde_json::from_slice(&one.stdout).expect("it is JSON");
    assert_eq!(one["partitions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_topic_that_was_deleted_is_listed_with_the_partitions_it_has() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["orders:4"]), 0);
    let produce = ["produce", "orders", "--partition", "1-2", "hello"];
    assert_ended(&chrysalis_in(&folder, &produce), 0);
    assert_ended(
        &folder.command("topic delete", &["orders", "--keep-data", "--yes"]),
        0,
    );
    let list = folder.command("topic list", &["--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("it is JSON");
    assert_eq!(list[0]["name"], "orders");
    assert_eq!(
        list[0]["partitions"], 3,
        "consumers are shown these: {list}"
    );
}

/// It counted what nobody can read any more.
#[test]
fn a_group_is_not_behind_what_was_deleted() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["orders"]), 0);
    assert_ended(&chrysalis_in(&folder, &["produce", "orders", "one"]), 0);
    let consume = ["consume", "orders", "--group", "billing"];
    assert_said(&chrysalis_in(&folder, &consume), 0, "one\n");
    assert_ended(&chrysalis_in(&folder, &["produce", "orders", "two"]), 0);
    let behind = || {
        let detail = folder.command("topic describe", &["orders", "--json"]);
        let detail: serde_json::Value = serde_json::from_slice(&detail.stdout).expect("it is JSON");
        detail["consumers"][0]["behind_bytes"].as_u64()
    };
    assert!(behind() > Some(0));
    let deleted = folder.command("topic delete", &["orders", "--delete-data", "--yes"]);
    assert_ended(&deleted, 0);
    assert_eq!(behind(), Some(0));
}

/// The lines behind its section moved up, and that was taken for another configuration.
#[test]
fn a_topic_of_init_with_partitions_is_deleted() {
    let folder = Folder::new();
    let ports = [
        "--coordinator-port",
        "0",
        "--broker-port",
        "0",
        "--web-port",
        "0",
    ];
    let topics = ["--topic", "x", "--topic", "y:3"];
    assert_ended(&folder.command("init", &[&ports[..], &topics].concat()), 0);
    for topic in ["x", "y"] {
        let deleted = folder.command("topic delete", &[topic, "--keep-data", "--yes"]);
        assert_said(&deleted, 0, &format!("took {topic} out of "));
    }
    assert_said(&folder.command("config check", &[]), 0, "would start");
}

/// `reload` promised what a start refuses.
#[test]
fn reload_says_what_the_next_start_refuses() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let conf = folder.path.join("conf/server.toml");
    let text = fs::read_to_string(&conf).expect("it is there");
    fs::write(&conf, text.replace("\n#id = 1\n", "\nid = 7\n")).expect("it is ours");
    let reloaded = folder.command("reload", &[]);
    assert_said(&reloaded, 0, "takes effect at the next start: server.id\n");
    assert_said(
        &reloaded,
        0,
        "the next start will be refused, until this is corrected:\nconf/server.toml:",
    );
    assert_said(&reloaded, 0, "must be 1");
}

/// It came up on other ports, with no topics.
#[test]
fn a_server_does_not_start_with_an_empty_file() {
    let folder = Folder::with_a_server();
    fs::write(folder.path.join("conf/server.toml"), "\n").expect("cut it off");
    for command in ["config check", "start", "restart"] {
        assert_said(&folder.command(command, &[]), 10, "server.toml is empty");
    }
}

#[test]
fn deleting_what_is_not_there_or_does_not_run_is_told() {
    let folder = Folder::with_a_server();
    let delete = |arguments: &[&str]| folder.command("topic delete", arguments);
    assert_said(
        &delete(&["nothing", "--keep-data", "--yes"]),
        1,
        "E0303 there is no topic nothing",
    );
    assert_said(
        &delete(&["test", "--delete-data", "--yes"]),
        3,
        "E0301 server1 does not run",
    );
    assert_said(
        &delete(&["test", "--keep-data", "--yes"]),
        0,
        "took test out of ",
    );
    assert_ended(&folder.command("topic create", &["log-*"]), 0);
    // Without --yes it said that --yes would do it.
    for confirmed in [&[][..], &["--yes"]] {
        assert_said(
            &delete(&[&["log-*", "--delete-data"], confirmed].concat()),
            1,
            "E0309 log-* stands for many topics",
        );
    }
    assert_said(
        &delete(&["log-*"]),
        1,
        "If you mean it: chrysalis topic delete 'log-*' --keep-data --yes",
    );
    assert_said(
        &delete(&["log-*", "--keep-data", "--yes"]),
        0,
        "took log-* out of ",
    );
    assert_ended(&folder.command("start", &[]), 0);
    assert_said(&delete(&["log-1"]), 1, "E0303 there is no topic log-1");
}
