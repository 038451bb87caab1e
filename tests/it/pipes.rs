//! `produce` and `consume` between other programs: what is refused, what is not read, what is not there.

use crate::harness::command::{chrysalis, chrysalis_with};
use crate::harness::deployment::Deployment as _;
use crate::harness::metaq_wire;
use crate::harness::server::{CHRYSALIS, Server, set_key};
use chrysalis::client::zookeeper::{Client, Options};
use chrysalis::coordinator::{Acl, Create, CreateMode, Request};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a line in bash that stands in the server's folder, with the command as `$C`.
fn shell(server: &Server, line: &str) -> Output {
    let mut bash = Command::new("bash");
    bash.args(["-c", line])
        .env("C", CHRYSALIS)
        .current_dir(server.folder());
    bash.stdin(Stdio::null()).output().expect("bash is there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is stored in a topic, in the order of its one partition.
fn stored(server: &Server) -> Vec<String> {
    let read = chrysalis(server, &["consume", "test"]);
    read.lines().map(str::to_owned).collect()
}

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(|n| format!("{n}\n")).collect()
}

/// Seen as: the command ended with an error about one line, and nobody knew which of the others were stored.
#[test]
fn a_line_that_is_refused_is_named_and_so_is_what_became_of_the_others() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "broker", "message_bytes_max", "1024");
    });
    let long = "x".repeat(2000);
    let input = format!("one\ntwo\nthree\n{long}\n{}", lines(5..=3000));
    let ended = chrysalis_with(&server, &["produce", "test"], input.as_bytes());
    let told = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.starts_with("E0402 send line 4 to test: "), "{told}");
    assert!(told.contains("broker.message_bytes_max"), "{told}");
    let found = stored(&server);
    assert_eq!(&found[..3], ["one", "two", "three"]);
    // Each line up to the last one that was sent, but for the long one.
    let last = found.len() + 1;
    assert!(last < 3000, "it goes on after a refusal");
    let behind = match last {
        4 => String::new(),
        5 => " and 5".to_owned(),
        last => format!(" and 5 to {last}"),
    };
    let count = found.len();
    let said =
        format!("Of {last} lines sent, {count} are stored (lines 1 to 3{behind}); line 4 is not.");
    assert!(told.contains(&said), "{said} / {told}");
    assert_eq!(text(&ended.stdout).lines().count(), found.len());
    assert_eq!(
        found[3..],
        lines(5..u32::try_from(last + 1).expect("few"))
            .lines()
            .collect::<Vec<_>>()
    );
}

/// `seq 5000 | chrysalis produce orders | head -1` stored a thousand, and ended with success.
#[test]
fn who_reads_only_the_first_answers_keeps_no_message_from_being_stored() {
    let server = Server::start(&[("test", 1)]);
    let ended = shell(
        &server,
        "seq 20000 | $C produce test 2>said | head -1; exit ${PIPESTATUS[1]}",
    );
    let said = fs::read_to_string(server.folder().join("said")).expect("it was written");
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("E0406 write to standard output: ")
            && said.contains("Everything was sent and 20000 messages are stored"),
        "{said}"
    );
    assert_eq!(text(&ended.stdout).lines().count(), 1);
    assert_eq!(stored(&server).len(), 20_000);
}

#[test]
fn what_cannot_be_told_is_stored_all_the_same_and_counted() {
    let server = Server::start(&[("test", 1)]);
    for line in [
        "$C produce test a b c > /dev/full",
        "$C produce test --quiet a b c > /dev/full",
        "printf 'a\\nb\\nc\\n' | $C produce test --json > /dev/full",
    ] {
        let ended = shell(&server, line);
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{line}: {told}");
        assert!(
            told.starts_with("E0406 ") && told.contains("3 messages are stored"),
            "{line}: {told}"
        );
    }
    assert_eq!(stored(&server).len(), 9);
    // The same for what only shows.
    let listed = shell(&server, "$C topic list . > /dev/full");
    assert!(text(&listed.stderr).starts_with("E0406 "), "{listed:?}");
}

#[test]
fn who_send_one_message_each_share_the_partitions() {
    let server = Server::start(&[("test", 4)]);
    let partitions: BTreeSet<String> = (0..12)
        .map(|_| {
            let sent = chrysalis(&server, &["produce", "test", "x", "--json"]);
            let sent: serde_json::Value = serde_json::from_str(&sent).expect("an object");
            sent["partition"].to_string()
        })
        .collect();
    assert!(partitions.len() > 1, "all twelve went to {partitions:?}");
}

#[test]
fn a_dash_is_standard_input_and_a_terminal_is_told() {
    let server = Server::start(&[("test", 1)]);
    let sent = chrysalis_with(&server, &["produce", "test", "-"], b"one\ntwo\n");
    assert!(sent.status.success(), "{sent:?}");
    let sent = chrysalis_with(&server, &["produce", "test", "--file", "-"], b"three\nfour");
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(stored(&server), ["one", "two", "three", "four"]);
    let refused = chrysalis_with(&server, &["produce", "test", "a", "-"], b"one\n");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("stands for the lines of standard input"));
    let made = chrysalis_with(&server, &["zk", "create", "/given", "-"], b"data");
    assert!(made.status.success(), "{made:?}");
    assert_eq!(chrysalis(&server, &["zk", "get", "/given"]), "data\n");

    for (command, told) in [
        (
            "produce test",
            "reading the terminal: each line is a message",
        ),
        ("zk set /given -", "reading the terminal"),
    ] {
        let line = format!("script -qec \"$C {command}\" /dev/null < /dev/null");
        let shown = text(&shell(&server, &line).stdout);
        assert!(shown.contains(told), "{command}: {shown}");
    }
}

#[test]
fn a_timeout_holds_for_the_whole() {
    // Connections are taken, and nothing is ever answered.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = silent.local_addr().expect("it is bound").to_string();
    for by in ["--broker", "--zookeeper"] {
        let began = Instant::now();
        let mut command = Command::new(CHRYSALIS);
        let ended = command
            .args(["produce", "test", "a", "b", "--timeout", "1", by, &address])
            .output()
            .expect("the binary under test starts");
        let took = began.elapsed();
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{by}: {told}");
        assert!(told.starts_with("E040"), "{by}: {told}");
        // A second, and what starting and ending take on a busy machine; the parts together were four and more.
        assert!(took < Duration::from_secs(4), "{by} took {took:?}");
    }
}

#[test]
fn what_begins_with_dashes_and_is_no_option_is_refused() {
    let server = Server::start(&[("test", 1)]);
    chrysalis(&server, &["zk", "create", "/x", "before"]);
    for arguments in [
        &["zk", "create", "/y", "--ephemeral"] as &[&str],
        &["zk", "set", "/x", "--verison=3"],
        &["zk", "set", "/x", "-version"],
        &["produce", "test", "--quite", "hello"],
        &["produce", "test", "hello", "--atribute=x"],
        &["consume", "test", "--folow"],
        &["topic", "list", "--jsn"],
        &["explain", "--all"],
    ] {
        let refused = chrysalis_with(&server, arguments, b"");
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {refused:?}");
    }
    let refused = chrysalis_with(&server, &["zk", "create", "/y", "--ephemeral"], b"");
    let told = text(&refused.stderr);
    assert!(told.contains("use '-- --ephemeral'"), "{told}");
    assert_eq!(chrysalis(&server, &["zk", "get", "/x"]), "before\n");
    assert!(!chrysalis(&server, &["zk", "ls", "/"]).contains('y'));
    assert!(stored(&server).is_empty());

    let made = shell(&server, "$C zk create /y -- --ephemeral && $C zk set /x -5");
    assert!(made.status.success(), "{made:?}");
    assert_eq!(chrysalis(&server, &["zk", "get", "/y"]), "--ephemeral\n");
    assert_eq!(chrysalis(&server, &["zk", "get", "/x"]), "-5\n");
    let sent = shell(&server, "$C produce test -- --quite -x");
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(stored(&server), ["--quite", "-x"]);
}

/// `consume --group g | head -5` took all there was for consumed.
#[test]
fn only_what_its_reader_took_is_consumed() {
    let server = Server::start(&[("test", 1)]);
    let all = lines(1..=2000);
    let sent = chrysalis_with(&server, &["produce", "test", "--quiet"], all.as_bytes());
    assert!(sent.status.success(), "{sent:?}");
    let few = shell(
        &server,
        "$C consume test --group g | head -5; exit ${PIPESTATUS[0]}",
    );
    assert_eq!(few.status.code(), Some(0), "{few:?}");
    assert_eq!(text(&few.stdout), lines(1..=5));
    let one = shell(
        &server,
        "$C consume test --group g | { read -r one; echo $one; }",
    );
    assert_eq!(text(&one.stdout), "6\n");
    let none = shell(&server, "$C consume test --group g | true");
    assert_eq!(text(&none.stdout), "");
    let rest = chrysalis(&server, &["consume", "test", "--group", "g"]);
    assert_eq!(rest, lines(7..=2000));
    // And it has ended by itself, because there is no more; so does this, at once.
    assert_eq!(chrysalis(&server, &["consume", "test", "--group", "g"]), "");
}

#[test]
fn a_large_message_that_was_half_read_is_not_consumed() {
    let server = Server::start(&[("test", 1)]);
    let large = "x".repeat(300_000);
    let sent = chrysalis_with(
        &server,
        &["produce", "test"],
        format!("{large}\nend\n").as_bytes(),
    );
    assert!(sent.status.success(), "{sent:?}");
    let half = shell(
        &server,
        "$C consume test --group g | head -c 100000 | wc -c",
    );
    assert_eq!(text(&half.stdout).trim(), "100000");
    let again = chrysalis(&server, &["consume", "test", "--group", "g"]);
    assert_eq!(again.len(), large.len() + "\nend\n".len());
}

#[test]
fn an_offset_that_is_none_is_told_apart_from_damage() {
    let server = Server::start(&[("test", 1)]);
    chrysalis(&server, &["produce", "test", "one", "two"]);
    let consume = |from: &str| chrysalis_with(&server, &["consume", "test", "--from", from], b"");
    let inside = consume("7");
    let told = text(&inside.stderr);
    assert_eq!(inside.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("E0409 no message begins at offset 7 of 1-0") && !told.contains("damage"),
        "{told}"
    );
    let beyond = consume("5000");
    let told = text(&beyond.stderr);
    assert_eq!(beyond.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("E0409 offset 5000 is beyond the end of test")
            && told.contains("1-0 at 46"),
        "{told}"
    );
    assert_eq!(text(&consume("23").stdout), "two\n");
    let end = consume("46");
    assert!(end.status.success() && end.stdout.is_empty() && end.stderr.is_empty());
}

#[test]
fn messages_that_retention_took_are_not_passed_over_without_a_word() {
    let mut server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "broker", "segment_bytes", "1048576");
        set_key(text, "broker", "delete_policy", "\"delete,1s\"");
        set_key(text, "broker", "delete_when", "\"* * * * * ?\"");
    });
    let mut client = metaq_wire::Client::connect(server.broker());
    // The group has read the first one.
    client.put("test", 0, b"first").expect("it takes it");
    assert_eq!(
        chrysalis(&server, &["consume", "test", "--group", "g"]),
        "first\n"
    );
    for _ in 0..2 {
        client
            .put("test", 0, &[b'7'; 700_000])
            .expect("it takes it");
    }
    let last = client.put("test", 0, b"last").expect("it takes it").offset;
    let first_file = server
        .topics_folder()
        .join("test-0/00000000000000000000.meta");
    crate::harness::process::eventually("the old file is deleted", Duration::from_secs(60), || {
        !first_file.exists()
    });
    let taken = |line: &str| {
        let parts = [
            "a message file is taken away",
            "00000000000000000000.meta",
            "delete",
        ];
        parts.iter().all(|part| line.contains(part))
    };
    // That is told when the disk has said that it is gone.
    crate::harness::process::eventually("it is told", Duration::from_secs(60), || {
        server.process().log().lines().any(taken)
    });
    let group = chrysalis_with(&server, &["consume", "test", "--group", "g"], b"");
    assert_eq!(text(&group.stdout), "last\n", "{}", text(&group.stderr));
    let gap = format!("1-0: what was at offsets 25 to {last} is passed over");
    assert!(
        text(&group.stderr).contains(&gap),
        "{}",
        text(&group.stderr)
    );
    let alone = chrysalis_with(&server, &["consume", "test", "--from", "25"], b"");
    assert_eq!(text(&alone.stdout), "last\n");
    let told = format!("1-0: its first message is at offset {last}; what was before is deleted");
    assert!(
        text(&alone.stderr).contains(&told),
        "{}",
        text(&alone.stderr)
    );
    // Whoever asks for what there is misses nothing.
    let fresh = chrysalis_with(&server, &["consume", "test", "--group", "new"], b"");
    assert_eq!(text(&fresh.stdout), "last\n");
    assert_eq!(text(&fresh.stderr), "");
}

#[test]
fn a_group_that_cannot_read_says_why() {
    let mut server = Server::start(&[("test", 1)]);
    chrysalis(&server, &["produce", "test", "one", "two"]);
    server.stop();
    let file = server
        .topics_folder()
        .join("test-0/00000000000000000000.meta");
    let mut bytes = fs::read(&file).expect("the messages are in it");
    bytes[43] ^= 1;
    fs::write(&file, bytes).expect("damage the second");
    server.resume();
    let group = chrysalis_with(&server, &["consume", "test", "--group", "g"], b"");
    let told = text(&group.stderr);
    assert_eq!(group.status.code(), Some(1), "{told}");
    assert_eq!(text(&group.stdout), "one\n");
    assert!(
        told.starts_with("E0402 consume test as g: partition 1-0 at offset 23: ")
            && told.contains("is damaged")
            && told.contains(&format!(
                "skip-damage test 0 --folder {}",
                server.folder().display()
            )),
        "{told}"
    );
}

/// The nodes of a member that has died, or hangs: only its session tells.
fn member_that_does_nothing(server: &Server, session_timeout: Duration) -> Client {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let options = Options {
        session_timeout,
        ..Options::default()
    };
    let create = |path: &str, data: &'static str, mode| {
        Request::Create(Create {
            path: path.to_owned().into(),
            data: Some(data.into()),
            acl: vec![Acl::open()],
            mode,
        })
    };
    chrysalis(
        server,
        &["zk", "create", "-p", "/meta/consumers/g/owners/test"],
    );
    chrysalis(server, &["zk", "create", "-p", "/meta/consumers/g/ids"]);
    runtime.block_on(async {
        let client = Client::connect(server.coordinator(), options).await;
        let mut client = client.expect("the coordinator serves");
        for (path, data) in [
            // Sorted before every other, so that the only partition is in its share.
            ("/meta/consumers/g/ids/a_dead-1", "test"),
            ("/meta/consumers/g/owners/test/1-0", "a_dead-1"),
        ] {
            let made = client
                .call(&create(path, data, CreateMode::Ephemeral))
                .await;
            made.expect("it can be made");
        }
        client
    })
}

#[test]
fn a_partition_that_a_dead_member_holds_is_waited_for() {
    let server = Server::start(&[("test", 1)]);
    chrysalis(&server, &["produce", "test", "one"]);
    let _dead = member_that_does_nothing(&server, Duration::from_secs(5));
    let read = chrysalis_with(&server, &["consume", "test", "--group", "g"], b"");
    let told = text(&read.stderr);
    assert!(read.status.success(), "{told}");
    assert_eq!(text(&read.stdout), "one\n", "{told}");
    assert!(told.contains("partition 1-0 is held by a_dead-1"), "{told}");
}

#[test]
fn a_partition_that_another_member_holds_and_does_not_read_is_named_with_its_owner() {
    let server = Server::start(&[("test", 1)]);
    chrysalis(&server, &["produce", "test", "one"]);
    let _hanging = member_that_does_nothing(&server, Duration::from_secs(40));
    let read = chrysalis_with(
        &server,
        &["consume", "test", "--group", "g", "--wait", "1"],
        b"",
    );
    let told = text(&read.stderr);
    assert_eq!(read.status.code(), Some(1), "{told}");
    assert!(
        told.contains("E0405 consume test as g: partition 1-0 is held by a_dead-1 (of 23)"),
        "{told}"
    );
    // What the others have read need not be read again.
    chrysalis(
        &server,
        &[
            "zk",
            "create",
            "-p",
            "/meta/consumers/g/offsets/test/1-0",
            "1-23",
        ],
    );
    assert_eq!(chrysalis(&server, &["consume", "test", "--group", "g"]), "");
}

#[test]
fn an_attribute_forges_no_line() {
    let server = Server::start(&[("test", 1)]);
    let forged = "x]\n1-0 offset 0 id 1 [y\u{1b}[2J";
    chrysalis(
        &server,
        &["produce", "test", "--attribute", forged, "hello"],
    );
    assert_eq!(stored(&server), ["hello"]);
    let told = chrysalis(&server, &["consume", "test", "--verbose"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.contains(r"[x\]\n1-0 offset 0 id 1 [y\u{1b}[2J] hello"),
        "{told}"
    );
    let shown = shell(
        &server,
        "printf 'a\\033[2Jb' | $C produce test; script -qec \"$C consume test\" /dev/null",
    );
    let shown = text(&shown.stdout);
    assert!(shown.contains(r"a\u{1b}[2Jb"), "{shown}");
}

#[test]
fn ids_are_text_in_json() {
    let server = Server::start(&[("test", 1)]);
    let sent = chrysalis(&server, &["produce", "test", "--json", "hello"]);
    let sent: serde_json::Value = serde_json::from_str(&sent).expect("an object");
    let read = chrysalis(&server, &["consume", "test", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&read).expect("an object");
    for object in [&sent, &read] {
        let id = object["id"].as_str().expect("text").parse::<i64>();
        assert!(id.expect("a number") > 1 << 53, "{object}");
        assert_eq!(object["size_bytes"], 5);
    }
    assert_eq!(sent["time"], read["time"]);
    assert!(sent["time"].as_str().expect("a time").starts_with("20"));
}
