use bytes::{Bytes, BytesMut};

use super::*;
use crate::units::{WallTime, Zxid};

const EMPTY: Server = Server {
    latency: Latency {
        min_ms: 0,
        avg_ms: 3,
        max_ms: 19,
    },
    received: 7,
    sent: 6,
    connections: 2,
    outstanding: 1,
    zxid: Zxid(0x1_0000_000a),
    mode: Mode::Standalone,
    znodes: 4,
    watches: 5,
    ephemerals: 1,
    data_bytes: 27,
    file_descriptors: Some((38, 20000)),
    slow_syncs: 0,
    leading: None,
};

const LEADER: Server = Server {
    mode: Mode::Leader,
    leading: Some(Leading {
        followers: 2,
        synced_followers: 1,
        pending_syncs: 0,
        proposal_last_bytes: 32,
        proposal_min_bytes: 30,
        proposal_max_bytes: 48,
    }),
    ..EMPTY
};

fn connections() -> [Connection; 2] {
    let fresh = Connection {
        address: "127.0.0.1:44872".parse().expect("an address"),
        interest: 0,
        queued: 0,
        received: 1,
        sent: 0,
        session: None,
    };
    [
        fresh,
        Connection {
            address: "127.0.0.1:44830".parse().expect("an address"),
            interest: 1,
            received: 4,
            sent: 4,
            session: Some(ConnectionSession {
                id: 0x100_000d_8e0d_0000,
                last_operation: "GETC",
                established: WallTime(1_795_362_763_475),
                timeout_ms: 10_000,
                last_xid: 3,
                last_zxid: Zxid(2),
                last_response_ms: 918_004,
                last_latency_ms: 1,
                latency: Latency {
                    min_ms: 0,
                    avg_ms: 10,
                    max_ms: 20,
                },
            }),
            ..fresh
        },
    ]
}

fn check(answer: impl FnOnce(&mut BytesMut), expected: &str) {
    let mut out = BytesMut::new();
    answer(&mut out);
    assert_eq!(str::from_utf8(&out).expect("text"), expected);
}

#[test]
fn every_word_is_known_by_its_four_bytes() {
    for word in Word::ALL {
        let bytes = word.name().as_bytes().try_into().expect("four letters");
        assert_eq!(Word::from_bytes(bytes), Some(word));
    }
    assert_eq!(Word::from_bytes(*b"dirs"), None);
    assert_eq!(Word::from_bytes(*b"RUOK"), None);
    assert_eq!(Word::from_bytes([0, 0, 0, 44]), None);
}

#[test]
fn all_words_but_the_two_that_walk_every_watch_are_answered_by_default() {
    for word in Word::ALL {
        let walks = matches!(word, Word::Wchc | Word::Wchp);
        assert_eq!(Whitelist::default().allows(word), !walks, "{word}");
    }
}

#[test]
fn a_whitelist_names_words_or_all_of_them_and_always_srvr() {
    let some = Whitelist::parse(" ruok, wchp,hash,, ");
    let allowed: Vec<Word> = Word::ALL
        .into_iter()
        .filter(|word| some.allows(*word))
        .collect();
    assert_eq!(allowed, [Word::Ruok, Word::Srvr, Word::Wchp]);
    assert_eq!(Whitelist::parse("ruok,*"), Whitelist::all());
}

#[test]
fn a_word_off_the_whitelist_is_named_in_the_refusal() {
    check(
        |out| not_whitelisted(Word::Wchp, out),
        "wchp is not executed because it is not in the whitelist.\n",
    );
}

#[test]
fn a_server_that_does_not_serve_says_so() {
    check(
        not_serving,
        "This ZooKeeper instance is not currently serving requests\n",
    );
    check(|out| isro(None, out), "null");
}

#[test]
fn short_answers_have_no_line_feed() {
    check(ruok, "imok");
    check(|out| isro(Some(true), out), "ro");
    check(|out| isro(Some(false), out), "rw");
    check(|out| trace_mask(TRACE_MASK_DEFAULT, out), "306");
}

#[test]
fn resets_are_confirmed() {
    check(crst, "Connection stats reset.\n");
    check(srst, "Server stats reset.\n");
}

#[test]
fn srvr_tells_the_server_in_short() {
    let expected = format!(
        "\
Zookeeper version: {VERSION}
Latency min/avg/max: 0/3/19
Received: 7
Sent: 6
Connections: 2
Outstanding: 1
Zxid: 0x10000000a
Mode: standalone
Node count: 4
"
    );
    check(|out| srvr(&EMPTY, out), &expected);
}

#[test]
fn srvr_of_a_leader_tells_the_sizes_of_its_proposals() {
    let mut out = BytesMut::new();
    srvr(&LEADER, &mut out);
    let text = String::from_utf8(out.to_vec()).expect("text");
    assert!(text.ends_with("Mode: leader\nNode count: 4\nProposal sizes last/min/max: 32/30/48\n"));
}

#[test]
fn a_read_only_server_says_so_after_its_version() {
    let mut out = BytesMut::new();
    let read_only = Server {
        mode: Mode::ReadOnly,
        ..EMPTY
    };
    srvr(&read_only, &mut out);
    let text = String::from_utf8(out.to_vec()).expect("text");
    assert_eq!(
        text.lines().nth(1),
        Some("READ-ONLY mode; serving only read-only clients")
    );
}

#[test]
fn the_version_has_the_shape_that_go_zookeeper_insists_on() {
    let (revision, date) = VERSION
        .split_once(", built on ")
        .expect("revision and date");
    assert!(revision.starts_with("3.4.14-"));
    assert!(
        revision
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    );
    let shape: String = date
        .chars()
        .map(|c| match c {
            '0'..='9' => '9',
            'A'..='Z' => 'A',
            other => other,
        })
        .collect();
    assert_eq!(shape, "99/99/9999 99:99 AAA");
}

#[test]
fn stat_lists_the_connections_in_short() {
    let expected = format!(
        "\
Zookeeper version: {VERSION}
Clients:
 /127.0.0.1:44872[0](queued=0,recved=1,sent=0)
 /127.0.0.1:44830[1](queued=0,recved=4,sent=4)

Latency min/avg/max: 0/3/19
Received: 7
Sent: 6
Connections: 2
Outstanding: 1
Zxid: 0x10000000a
Mode: standalone
Node count: 4
"
    );
    check(|out| stat(&EMPTY, &connections(), out), &expected);
}

#[test]
fn cons_lists_the_connections_in_full() {
    check(
        |out| cons(&connections(), out),
        " /127.0.0.1:44872[0](queued=0,recved=1,sent=0)\n \
         /127.0.0.1:44830[1](queued=0,recved=4,sent=4,sid=0x100000d8e0d0000,lop=GETC,\
         est=1795362763475,to=10000,lcxid=0x3,lzxid=0x2,lresp=918004,llat=1,minlat=0,avglat=10,\
         maxlat=20)\n\n",
    );
}

#[test]
fn cons_leaves_out_the_xid_of_a_connection_that_asked_nothing_and_shows_ids_unsigned() {
    let mut connection = connections()[1];
    let session = connection.session.as_mut().expect("it has one");
    session.id = -2;
    session.last_xid = -1;
    session.last_zxid = Zxid(-1);
    let mut out = BytesMut::new();
    cons([&connection], &mut out);
    let text = String::from_utf8(out.to_vec()).expect("text");
    assert!(
        text.contains("sid=0xfffffffffffffffe,")
            && text.contains("to=10000,lzxid=0xffffffffffffffff,"),
        "{text}"
    );
}

#[test]
fn conf_lists_the_configuration_and_the_ensembles_part_for_one_of_several() {
    let mut configuration = Configuration {
        client_port: 2181,
        data_folder: "/srv/data/version-2".to_owned(),
        journal_folder: "/srv/log/version-2".to_owned(),
        tick_ms: 2000,
        connections_per_address_max: 60,
        session_timeout_min_ms: 4000,
        session_timeout_max_ms: 40_000,
        server_id: 0,
        ensemble: None,
    };
    let alone = "\
clientPort=2181
dataDir=/srv/data/version-2
dataLogDir=/srv/log/version-2
tickTime=2000
maxClientCnxns=60
minSessionTimeout=4000
maxSessionTimeout=40000
serverId=0
";
    check(|out| conf(&configuration, out), alone);
    configuration.ensemble = Some(Ensemble {
        init_limit: 10,
        sync_limit: 5,
        election_port: 3888,
        quorum_port: 2888,
        observer: false,
    });
    let ensemble = "\
initLimit=10
syncLimit=5
electionAlg=3
electionPort=3888
quorumPort=2888
peerType=0
";
    check(|out| conf(&configuration, out), &[alone, ensemble].concat());
}

#[test]
fn envi_has_every_key_of_a_java_server() {
    let environment = Environment {
        host_name: "usa".to_owned(),
        os_version: "5.4.0".to_owned(),
        user_name: "chrysalis".to_owned(),
        user_home: "/home/chrysalis".to_owned(),
        user_folder: "/".to_owned(),
    };
    let expected = format!(
        "\
Environment:
zookeeper.version={VERSION}
host.name=usa
java.version=<NA>
java.vendor=<NA>
java.home=<NA>
java.class.path=<NA>
java.library.path=<NA>
java.io.tmpdir=<NA>
java.compiler=<NA>
os.name=Linux
os.arch=amd64
os.version=5.4.0
user.name=chrysalis
user.home=/home/chrysalis
user.dir=/
"
    );
    check(|out| envi(&environment, out), &expected);
}

#[test]
fn dump_lists_sessions_by_expiry_and_their_ephemerals() {
    let buckets = [
        ExpiryBucket {
            // Sun Nov 22 15:52:53 UTC 2026
            expires: WallTime(1_795_362_773_999),
            sessions: vec![],
        },
        ExpiryBucket {
            expires: WallTime(1_795_362_775_000),
            sessions: vec![0x100_000d_8e0d_0000, -1],
        },
    ];
    let paths = [Bytes::from_static(b"/a"), Bytes::from_static(b"/b/c")];
    check(
        |out| dump(&buckets, [(0x100_000d_8e0d_0000, &paths)], out),
        "\
SessionTracker dump:
Session Sets (2):
0 expire at Sun Nov 22 15:52:53 UTC 2026:
2 expire at Sun Nov 22 15:52:55 UTC 2026:
\t0x100000d8e0d0000
\t0xffffffffffffffff
ephemeral nodes dump:
Sessions with Ephemerals (1):
0x100000d8e0d0000:
\t/a
\t/b/c
",
    );
}

#[test]
fn watches_are_counted_and_listed_both_ways() {
    let (a, b) = (Bytes::from_static(b"/a"), Bytes::from_static(b"/b"));
    check(
        |out| wchs(1, 2, 3, out),
        "1 connections watching 2 paths\nTotal watches:3\n",
    );
    check(|out| wchc([(0x10, [&a, &b])], out), "0x10\n\t/a\n\t/b\n\n");
    check(
        |out| wchp([(&a, vec![0x10, 0x11]), (&b, vec![0x10])], out),
        "/a\n\t0x10\n\t0x11\n/b\n\t0x10\n\n",
    );
}

#[test]
fn mntr_lists_the_keys_of_3_4_14_in_its_order() {
    let standalone = format!(
        "\
zk_version\t{VERSION}
zk_avg_latency\t3
zk_max_latency\t19
zk_min_latency\t0
zk_packets_received\t7
zk_packets_sent\t6
zk_num_alive_connections\t2
zk_outstanding_requests\t1
zk_server_state\tstandalone
zk_znode_count\t4
zk_watch_count\t5
zk_ephemerals_count\t1
zk_approximate_data_size\t27
zk_open_file_descriptor_count\t38
zk_max_file_descriptor_count\t20000
zk_fsync_threshold_exceed_count\t0
"
    );
    check(|out| mntr(&EMPTY, out), &standalone);
    let leading = "\
zk_followers\t2
zk_synced_followers\t1
zk_pending_syncs\t0
zk_last_proposal_size\t32
zk_max_proposal_size\t48
zk_min_proposal_size\t30
";
    check(
        |out| mntr(&LEADER, out),
        &[&standalone.replace("standalone", "leader"), leading].concat(),
    );
}

#[test]
fn a_list_without_end_is_cut_and_says_so() {
    let long = vec![b'x'; 10_000];
    for word in 0..3 {
        let mut out = BytesMut::new();
        let paths = std::iter::repeat_n(&long, 1_000);
        match word {
            0 => dump(&[], [(1, paths)], &mut out),
            1 => wchc([(1, paths)], &mut out),
            _ => wchp(paths.map(|path| (path, [1])), &mut out),
        }
        assert!(out.len() < (4 << 20) + 20_000, "{} bytes", out.len());
        let text = String::from_utf8(out.to_vec()).expect("text");
        let end = text.trim_end().lines().last();
        assert_eq!(end, Some("... (there is more: too long to be shown)"));
    }
}
