use super::*;
use crate::coordinator::{Stat, WatchEventKind};
use crate::units::{Random, Seed};

/// A connection, the clock, and what all connections together count.
struct Pair {
    connection: ZookeeperConnection,
    now: Moment,
    totals: Totals,
}

impl Pair {
    fn fresh() -> Pair {
        Pair::with(Options {
            whitelist: Whitelist::all(),
            ..Options::default()
        })
    }

    fn with(options: Options) -> Pair {
        let peer = "127.0.0.1:44830".parse().expect("an address");
        let now = Moment::from_millis(1_000);
        Pair {
            connection: ZookeeperConnection::new(options, peer, now, WallTime(1_795_362_763_475)),
            now,
            totals: Totals::default(),
        }
    }

    /// With a session, its handshake over.
    fn serving() -> Pair {
        let mut pair = Pair::fresh();
        pair.send(&connect_frame());
        assert!(matches!(pair.next(), Ok(Some(Received::Connect(_)))));
        pair.grant();
        pair.sent();
        pair
    }

    fn send(&mut self, bytes: &[u8]) {
        self.connection.room().extend_from_slice(bytes);
        self.connection.received(bytes.len());
    }

    fn next(&mut self) -> Result<Option<Received>, Violation> {
        self.connection.next_received(self.now, &mut self.totals)
    }

    /// Everything that can be taken now.
    fn all(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.next().expect("it is the protocol")).collect()
    }

    fn grant(&mut self) {
        let reply = ConnectReply {
            timeout_ms: 10_000,
            session: 0x100_000d_8e0d_0000,
            password: [7; 16],
            read_only: Some(false),
        };
        self.connection
            .connect_reply(self.now, &mut self.totals, Zxid(1), &reply);
    }

    fn reply(&mut self, xid: i32, result: &Result<Reply, Refusal>) -> Result<(), Violation> {
        self.connection
            .reply(self.now, &mut self.totals, xid, Zxid(2), result)
    }

    /// Takes what would be written to the socket.
    fn sent(&mut self) -> Vec<u8> {
        let output = self.connection.output();
        let bytes: Vec<u8> = output.front_bytes().flatten().copied().collect();
        output.written(bytes.len() as u64);
        bytes
    }
}

fn connect_frame() -> Vec<u8> {
    let mut out = BytesMut::new();
    let request = ConnectRequest {
        last_zxid_seen: Zxid(0),
        timeout_ms: 10_000,
        session: 0,
        password: vec![0; 16].into(),
        read_only: Some(false),
    };
    handshake::encode_request(&request, &mut out).expect("it fits");
    out.to_vec()
}

fn request_frame(xid: i32, request: &Request) -> Vec<u8> {
    let mut out = BytesMut::new();
    request::encode(xid, request, &mut out).expect("it fits");
    out.to_vec()
}

fn get(path: &'static str) -> Request {
    Request::GetData {
        path: path.into(),
        watch: false,
    }
}

fn data(bytes: usize) -> Result<Reply, Refusal> {
    Ok(Reply::Data {
        data: Some(vec![b'x'; bytes].into()),
        stat: Stat::default(),
    })
}

#[test]
fn a_word_is_taken_however_its_bytes_arrive_and_whatever_follows() {
    for first in 0..4 {
        let mut pair = Pair::fresh();
        pair.send(&b"ruok\n"[..first]);
        assert_eq!(pair.next(), Ok(None));
        pair.send(&b"ruok\n"[first..]);
        let word = Received::Word {
            word: Word::Ruok,
            mask: None,
        };
        assert_eq!(pair.all(), [word]);
        assert!(!pair.connection.is_finished());
        let (now, totals) = (pair.now, &mut pair.totals);
        pair.connection.answer(now, totals, four_letter::ruok);
        assert!(!pair.connection.is_finished());
        assert_eq!(pair.sent(), b"imok");
        assert!(pair.connection.is_finished());
        assert_eq!(
            (pair.totals.traffic.received, pair.totals.traffic.sent),
            (1, 1)
        );
    }
}

#[test]
fn a_word_off_the_whitelist_is_told_apart() {
    let mut pair = Pair::with(Options::default());
    pair.send(b"wchp");
    assert_eq!(pair.all(), [Received::WordNotAllowed(Word::Wchp)]);
    let (now, totals) = (pair.now, &mut pair.totals);
    pair.connection.answer(now, totals, |out| {
        four_letter::not_whitelisted(Word::Wchp, out);
    });
    assert_eq!(
        pair.sent(),
        b"wchp is not executed because it is not in the whitelist.\n"
    );
    assert!(pair.connection.is_finished());
}

#[test]
fn the_trace_mask_is_waited_for() {
    let mut pair = Pair::fresh();
    pair.send(b"stmk\0\0\0\0\0\0\x01");
    assert_eq!(pair.next(), Ok(None));
    assert!(pair.connection.wants_bytes());
    pair.send(b"\x32");
    assert_eq!(
        pair.next(),
        Ok(Some(Received::Word {
            word: Word::Stmk,
            mask: Some(306)
        }))
    );
}

#[test]
fn four_other_bytes_are_a_length_that_no_frame_has() {
    let mut pair = Pair::fresh();
    pair.send(b"GET / HTTP/1.1\r\n");
    assert!(matches!(pair.next(), Err(Violation::Length(_))));
}

#[test]
fn words_are_only_words_on_a_fresh_connection() {
    let mut pair = Pair::serving();
    pair.send(b"ruok");
    assert!(matches!(pair.next(), Err(Violation::Length(_))));
}

#[test]
fn a_first_frame_that_is_no_handshake_ends_the_connection() {
    let mut pair = Pair::fresh();
    pair.send(b"\0\0\0\x03abc");
    assert!(matches!(pair.next(), Err(Violation::Handshake(_))));
}

#[test]
fn requests_wait_until_the_handshake_is_answered() {
    let mut pair = Pair::fresh();
    let mut bytes = connect_frame();
    bytes.extend(request_frame(1, &get("/a")));
    bytes.extend(request_frame(2, &get("/b")));
    pair.send(&bytes);
    assert!(matches!(pair.next(), Ok(Some(Received::Connect(_)))));
    assert_eq!(pair.next(), Ok(None));
    assert!(!pair.connection.wants_bytes());
    pair.grant();
    assert_eq!(pair.sent().len(), 4 + 37);
    let xids: Vec<i32> = pair
        .all()
        .into_iter()
        .map(|received| match received {
            Received::Request { xid, .. } => xid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(xids, [1, 2]);
    assert!(pair.connection.wants_bytes());
}

#[test]
fn a_session_that_is_not_known_is_told_so_and_the_connection_closed() {
    let mut pair = Pair::fresh();
    let mut bytes = connect_frame();
    bytes.extend(request_frame(1, &get("/a")));
    pair.send(&bytes);
    assert!(matches!(pair.next(), Ok(Some(Received::Connect(_)))));
    let unknown = ConnectReply {
        timeout_ms: 0,
        session: 0,
        password: [0; 16],
        read_only: None,
    };
    let (now, totals) = (pair.now, &mut pair.totals);
    pair.connection
        .connect_reply(now, totals, Zxid(1), &unknown);
    assert_eq!(pair.next(), Ok(None));
    assert_eq!(pair.sent().len(), 4 + 36);
    assert!(pair.connection.is_finished());
}

#[test]
fn a_frame_that_is_too_long_or_has_no_header_ends_the_connection() {
    for length in [0x10_0000, -1, i32::MIN] {
        let mut pair = Pair::serving();
        pair.send(&length.to_be_bytes());
        assert!(matches!(pair.next(), Err(Violation::Length(_))));
    }
    for payload in 0..8_u8 {
        let mut pair = Pair::serving();
        let mut frame = vec![0, 0, 0, payload];
        frame.resize(4 + usize::from(payload), 0);
        pair.send(&frame);
        assert!(matches!(pair.next(), Err(Violation::Request(_))));
    }
}

#[test]
fn the_longest_frame_permitted_is_taken_in_the_reads_it_takes() {
    let mut pair = Pair::serving();
    // Header, path and its length, data's length, version: the rest is data.
    let data = vec![b'x'; frame::PAYLOAD_BYTES_MAX_DEFAULT - 8 - 4 - 2 - 4 - 4];
    let set_data = Request::SetData(crate::coordinator::SetData {
        path: "/a".into(),
        data: Some(data.into()),
        version: -1,
    });
    let frame = request_frame(1, &set_data);
    assert_eq!(frame.len(), 4 + frame::PAYLOAD_BYTES_MAX_DEFAULT);
    let mut rest = &frame[..];
    let mut held_bytes_max = 0;
    while !rest.is_empty() {
        assert_eq!(pair.next(), Ok(None));
        let room = pair.connection.room();
        let read = (room.capacity() - room.len()).min(rest.len());
        let (now, later) = rest.split_at(read);
        pair.send(now);
        rest = later;
        held_bytes_max = held_bytes_max.max(pair.connection.held_bytes());
    }
    assert_eq!(
        pair.next(),
        Ok(Some(Received::Request {
            xid: 1,
            request: set_data
        }))
    );
    assert!(held_bytes_max < 3 << 20, "{held_bytes_max}");
    assert_eq!(pair.reply(1, &Err(Refusal::NoNode)), Ok(()));
    pair.all();
    assert!(pair.connection.held_bytes() < 1 << 20);
}

#[test]
fn an_announced_megabyte_makes_no_room() {
    let mut pair = Pair::serving();
    pair.send(&0xf_ffff_i32.to_be_bytes());
    pair.send(&[0; 100]);
    assert_eq!(pair.next(), Ok(None));
    pair.connection.room();
    assert!(pair.connection.held_bytes() < 16 << 10);
}

#[test]
fn however_the_bytes_are_cut_the_same_requests_come_out() {
    let mut random = Random::new(Seed(7));
    let mut stream = connect_frame();
    let mut expected = Vec::new();
    for xid in 1..200 {
        let request = match random.below(3) {
            0 => get("/a"),
            1 => Request::Ping,
            _ => Request::Sync {
                path: vec![b'p'; usize::try_from(random.below(9_000)).expect("small")].into(),
            },
        };
        stream.extend(request_frame(xid, &request));
        expected.push(Received::Request { xid, request });
    }
    for _ in 0..50 {
        let mut pair = Pair::fresh();
        let mut received = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let read = usize::try_from(1 + random.below(20_000)).expect("small");
            let (now, later) = rest.split_at(read.min(rest.len()));
            pair.send(now);
            rest = later;
            for item in pair.all() {
                match item {
                    Received::Connect(_) => pair.grant(),
                    item => received.push(item),
                }
            }
            received.extend(pair.all());
        }
        assert!(received == expected);
    }
}

#[test]
fn a_client_that_does_not_read_is_asked_nothing_more_until_it_does() {
    let mut pair = Pair::serving();
    pair.send(&request_frame(1, &get("/a")));
    pair.send(&request_frame(2, &get("/a")));
    pair.send(&request_frame(3, &get("/a")));
    assert!(pair.next().expect("it is the protocol").is_some());
    assert!(pair.next().expect("it is the protocol").is_some());
    assert_eq!(pair.reply(1, &data(700 << 10)), Ok(()));
    assert_eq!(pair.reply(2, &data(700 << 10)), Ok(()));
    assert!(pair.connection.is_congested() && !pair.connection.wants_bytes());
    assert_eq!(pair.next(), Ok(None));
    assert_eq!(pair.sent().len(), 2 * (4 + 16 + 4 + (700 << 10) + 68));
    assert_eq!(pair.all().len(), 1);
}

#[test]
fn a_client_that_lets_too_much_pile_up_is_given_up() {
    let mut pair = Pair::serving();
    let megabyte = data(1 << 20);
    let given_up = (1..100).find(|xid| pair.reply(*xid, &megabyte).is_err());
    // The first one counts as the longest, which is nobody's fault.
    assert_eq!(given_up, Some(65));
}

#[test]
fn one_reply_may_be_as_long_as_it_wants() {
    let mut pair = Pair::serving();
    assert_eq!(pair.reply(1, &data(100 << 20)), Ok(()));
    assert_eq!(pair.reply(2, &data(1 << 20)), Ok(()));
    assert!(pair.connection.is_congested());
}

#[test]
fn frames_of_requests_that_wait_are_bounded_and_counted_padding_included() {
    let mut pair = Pair::serving();
    let mut frame = request_frame(1, &Request::Ping);
    let padded = frame.len() + 1_000_000;
    frame.resize(padded, 0);
    let length = i32::try_from(padded - 4).expect("small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let taken = (0..100)
        .take_while(|_| {
            pair.send(&frame);
            pair.next().expect("it is the protocol").is_some()
        })
        .count();
    assert_eq!(taken, 5);
    assert!(pair.connection.is_laden() && !pair.connection.wants_bytes());
    assert!(pair.connection.held_bytes() > 5_000_000);
    for _ in 0..taken {
        assert_eq!(pair.reply(1, &Ok(Reply::Done)), Ok(()));
    }
    assert!(pair.connection.wants_bytes());
    assert_eq!(pair.all().len(), 1, "the one that was left");
}

#[test]
fn a_fresh_connection_and_a_closing_one_are_given_ten_seconds() {
    let mut pair = Pair::fresh();
    assert_eq!(
        pair.connection.deadline(),
        Some(Moment::from_millis(11_000))
    );
    pair.send(&connect_frame());
    pair.all();
    assert_eq!(
        pair.connection.deadline(),
        Some(Moment::from_millis(11_000)),
        "there is no session yet"
    );
    pair.grant();
    assert_eq!(pair.connection.deadline(), None);
    pair.now = Moment::from_millis(50_000);
    let now = pair.now;
    pair.connection.close(now);
    assert_eq!(
        pair.connection.deadline(),
        Some(Moment::from_millis(60_000))
    );
    pair.send(&request_frame(1, &get("/a")));
    assert_eq!(pair.next(), Ok(None));
}

#[test]
fn cons_tells_what_a_connection_did_last_and_how_long_it_took() {
    let mut pair = Pair::serving();
    pair.send(&request_frame(3, &get("/a")));
    pair.send(&request_frame(4, &get("/b")));
    pair.all();
    let line = |pair: &Pair| {
        let mut out = BytesMut::new();
        four_letter::cons([&pair.connection.facts()], &mut out);
        String::from_utf8(out.to_vec()).expect("text")
    };
    assert_eq!(
        line(&pair),
        " /127.0.0.1:44830[1](queued=2,recved=3,sent=1,sid=0x100000d8e0d0000,lop=SESS,\
         est=1795362763475,to=10000,lcxid=0x0,lzxid=0x1,lresp=1000,llat=0,minlat=0,avglat=0,\
         maxlat=0)\n\n"
    );
    pair.now = Moment::from_millis(1_007);
    assert_eq!(pair.reply(3, &data(3)), Ok(()));
    assert_eq!(
        line(&pair),
        " /127.0.0.1:44830[5](queued=1,recved=3,sent=2,sid=0x100000d8e0d0000,lop=GETD,\
         est=1795362763475,to=10000,lcxid=0x3,lzxid=0x2,lresp=1007,llat=7,minlat=0,avglat=3,\
         maxlat=7)\n\n"
    );
    pair.connection.reset_statistics();
    assert_eq!(
        line(&pair),
        " /127.0.0.1:44830[5](queued=1,recved=0,sent=0,sid=0x100000d8e0d0000,lop=NA,\
         est=1795362763475,to=10000,lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,\
         maxlat=0)\n\n"
    );
    assert_eq!(
        pair.totals.traffic.latency(),
        four_letter::Latency {
            min_ms: 0,
            avg_ms: 3,
            max_ms: 7
        }
    );
}

#[test]
fn pings_and_set_watches_are_not_shown_as_the_last_number_and_auth_is_not_counted() {
    let mut pair = Pair::serving();
    pair.send(&request_frame(9, &get("/a")));
    pair.send(&request_frame(
        -4,
        &Request::Auth {
            scheme: "digest".into(),
            data: "u:p".into(),
        },
    ));
    pair.send(&request_frame(-2, &Request::Ping));
    pair.all();
    // The answer to auth overtakes.
    for xid in [-4, 9, -2] {
        assert_eq!(pair.reply(xid, &Ok(Reply::Done)), Ok(()));
    }
    let session = pair.connection.facts().session.expect("it has one");
    assert_eq!((session.last_operation, session.last_xid), ("PING", 9));
    assert_eq!(pair.connection.outstanding(), 0);
}

#[test]
fn a_watch_event_goes_out_where_it_fell_between_the_replies() {
    let mut pair = Pair::serving();
    pair.send(&request_frame(1, &get("/a")));
    pair.all();
    let event = WatchEvent {
        kind: WatchEventKind::DataChanged,
        path: b"/a"[..].into(),
    };
    assert_eq!(pair.connection.notify(&mut pair.totals, &event), Ok(()));
    assert_eq!(pair.reply(1, &Err(Refusal::NoNode)), Ok(()));
    let mut expected = BytesMut::new();
    reply::encode_event(&event, &mut expected);
    reply::encode(1, Zxid(2), Err(Refusal::NoNode), &mut expected).expect("it fits");
    assert_eq!(pair.sent(), &expected[..]);
}

#[test]
fn garbage_costs_its_sender_only_the_connection() {
    let mut random = Random::new(Seed(11));
    for round in 0..3_000 {
        let mut pair = if round % 2 == 0 {
            Pair::fresh()
        } else {
            Pair::serving()
        };
        for _ in 0..10 {
            let mut bytes: Vec<u8> = (0..random.below(60))
                .map(|_| random.next().to_be_bytes()[0])
                .collect();
            if random.below(2) == 0 {
                // A length that may be right, so that what follows is looked at.
                bytes.splice(0..0, [0, 0, 0, random.next().to_be_bytes()[0] & 63]);
            }
            pair.send(&bytes);
            let mut next = pair.next();
            while let Ok(Some(_)) = next {
                next = pair.next();
            }
            if next.is_err() {
                break;
            }
        }
    }
}
