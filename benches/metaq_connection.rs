//! What one core parses and encodes of MetaQ's protocol: a read with 64 puts of 1 KiB in, 64 replies out.
//!
//! `cargo bench --bench metaq_connection`; `cargo test --bench metaq_connection` runs each once.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use chrysalis::broker::{Get, Name, Put, Reply, Request};
use chrysalis::net::codec::Codec as _;
use chrysalis::net::metaq_connection::MetaqConnection;
use chrysalis::wire::metaq::{Limits, request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUESTS: i32 = 64;

fn turn(connection: &mut MetaqConnection, bytes: &[u8], reply: &Reply) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = connection.room();
        let count = rest.len().min(room.capacity() - room.len());
        let (now, later) = rest.split_at(count);
        room.extend_from_slice(now);
        connection.received(count);
        rest = later;
        while let Some(asked) = connection.next_request().expect("the protocol") {
            black_box(&asked.request);
            connection.reply(asked.opaque, reply);
        }
    }
    let output = connection.output();
    let queued = output.queued_bytes();
    black_box(output.front());
    output.written(queued);
}

fn measure(criterion: &mut Criterion, name: &str, request: &Request, reply: &Reply) {
    let mut bytes = BytesMut::new();
    for opaque in 0..REQUESTS {
        request::encode(&mut bytes, i32::MIN + opaque, request);
    }
    let mut connection = MetaqConnection::new(Limits::DEFAULT);
    let mut group = criterion.benchmark_group("metaq_connection");
    group.throughput(Throughput::Elements(64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| turn(&mut connection, &bytes, reply));
    });
    group.finish();
}

fn requests(criterion: &mut Criterion) {
    let put = |data: Bytes| {
        let (topic, transaction) = (Name::from("meta-test"), None);
        Request::Put(Put {
            topic,
            partition: 3,
            flag: 0,
            checksum: 907_060_870,
            transaction,
            data,
        })
    };
    let stored = Reply::Stored {
        message_id: 1_661_382_015_569_653_763,
        partition: 3,
        offset: 1 << 34,
    };
    measure(
        criterion,
        "put 1 KiB",
        &put(vec![b'x'; 1024].into()),
        &stored,
    );
    measure(
        criterion,
        "put 100 B",
        &put(vec![b'x'; 100].into()),
        &stored,
    );
    let (topic, group) = (Name::from("meta-test"), Name::from("group"));
    let get = Request::Get(Get {
        topic,
        group,
        partition: 3,
        offset: 1 << 34,
        max_size: 1 << 20,
    });
    measure(criterion, "get", &get, &Reply::Moved(1 << 34));
    measure(
        criterion,
        "version",
        &Request::Version,
        &Reply::Text(Bytes::from_static(b"0.1.0")),
    );
}

criterion_group!(benches, requests);
criterion_main!(benches);
