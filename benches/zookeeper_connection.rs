//! What one core parses and encodes of ZooKeeper's protocol: a read with 32 requests in, 32 replies out.
//!
//! `cargo bench --bench zookeeper_connection`; `cargo test --bench zookeeper_connection` runs each once.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use chrysalis::coordinator::{
    ConnectReply, ConnectRequest, Refusal, Reply, Request, SetData, Stat,
};
use chrysalis::net::codec::Codec as _;
use chrysalis::net::zookeeper_connection::{Options, Received, Totals, ZookeeperConnection};
use chrysalis::units::{Moment, WallTime, Zxid};
use chrysalis::wire::zookeeper::{handshake, request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUESTS: i32 = 32;

/// A connection with a session.
fn serving(totals: &mut Totals) -> ZookeeperConnection {
    let peer = "127.0.0.1:40000".parse().expect("an address");
    let mut connection =
        ZookeeperConnection::new(Options::default(), peer, Moment::START, WallTime(0));
    let hello = ConnectRequest {
        last_zxid_seen: Zxid(0),
        timeout_ms: 10_000,
        session: 0,
        password: Bytes::new(),
        read_only: Some(false),
    };
    handshake::encode_request(&hello, connection.room()).expect("it fits");
    let received = connection.next_received(Moment::START, totals);
    assert!(matches!(received, Ok(Some(Received::Connect(_)))));
    let granted = ConnectReply {
        timeout_ms: 10_000,
        session: 1,
        password: [0; 16],
        read_only: Some(false),
    };
    connection.connect_reply(Moment::START, totals, Zxid(0), &granted);
    connection
}

fn turn(
    connection: &mut ZookeeperConnection,
    totals: &mut Totals,
    bytes: &[u8],
    reply: &Result<Reply, Refusal>,
) {
    connection.room().extend_from_slice(bytes);
    connection.received(bytes.len());
    while let Some(received) = connection
        .next_received(Moment::START, totals)
        .expect("the protocol")
    {
        let Received::Request { xid, request } = received else {
            unreachable!("only requests were sent");
        };
        black_box(&request);
        connection
            .reply(Moment::START, totals, xid, Zxid(7), reply)
            .expect("the output is taken");
    }
    let output = connection.output();
    let queued = output.queued_bytes();
    black_box(output.front());
    output.written(queued);
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    request: &Request,
    reply: &Result<Reply, Refusal>,
) {
    let mut bytes = BytesMut::new();
    for xid in 0..REQUESTS {
        request::encode(xid, request, &mut bytes).expect("it fits");
    }
    let mut totals = Totals::default();
    let mut connection = serving(&mut totals);
    let mut group = criterion.benchmark_group("zookeeper_connection");
    group.throughput(Throughput::Elements(32));
    group.bench_function(name, |bencher| {
        bencher.iter(|| turn(&mut connection, &mut totals, &bytes, reply));
    });
    group.finish();
}

fn small_requests(criterion: &mut Criterion) {
    let stat = Stat::default();
    let set = Request::SetData(SetData {
        path: "/bench-0123456789/17".into(),
        data: Some(vec![b'x'; 100].into()),
        version: -1,
    });
    measure(criterion, "set 100 B", &set, &Ok(Reply::Stat(stat)));
    let get = Request::GetData {
        path: "/bench-0123456789/17".into(),
        watch: false,
    };
    let data = Reply::Data {
        data: Some(vec![b'x'; 100].into()),
        stat,
    };
    measure(criterion, "get 100 B", &get, &Ok(data));
    measure(criterion, "ping", &Request::Ping, &Ok(Reply::Done));
}

criterion_group!(benches, small_requests);
criterion_main!(benches);
