//! A connection against a broker that the test plays itself, on a loopback port of the system's choice.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::broker::{Get, Name, Put};
use crate::wire::metaq::StatusCode;
use crate::wire::metaq::request::Asked;

const LONG: Duration = Duration::from_secs(60);

/// The broker's end of one connection.
struct Broker {
    stream: TcpStream,
    input: BytesMut,
}

impl Broker {
    /// The next request.
    async fn hear(&mut self) -> Asked {
        loop {
            if let Ok(Decoded::Frame(Some(asked))) =
                request::decode(&mut self.input, &Limits::DEFAULT)
            {
                return asked;
            }
            let count = self
                .stream
                .read_buf(&mut self.input)
                .await
                .expect("a readable socket");
            assert!(count > 0, "the client closed the connection");
        }
    }

    async fn answer(&mut self, opaque: i32, text: &str) {
        let mut out = BytesMut::new();
        reply::encode_result(&mut out, StatusCode::SUCCESS, opaque, text.as_bytes());
        self.stream
            .write_all(&out)
            .await
            .expect("a writable socket");
    }
}

async fn connected(options: Options) -> (Connection, Broker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let address = Address {
        host: "127.0.0.1".to_string(),
        port,
    };
    let (connection, accepted) =
        tokio::join!(Connection::open(&address, &options), listener.accept());
    let (stream, _) = accepted.expect("a connection");
    let broker = Broker {
        stream,
        input: BytesMut::new(),
    };
    (connection.expect("a connection"), broker)
}

fn get(offset: i64) -> Request {
    let (topic, group) = (Name::from("t"), Name::from("g"));
    Request::Get(Get {
        topic,
        group,
        partition: 0,
        offset,
        max_size: 100,
    })
}

fn text(content: Content) -> String {
    match content {
        Content::Result { text, .. } => String::from_utf8(text.to_vec()).expect("text"),
        Content::Value(_) => panic!("a text was expected"),
    }
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (connection, mut broker) = connected(Options::default()).await;
    let first = connection.send(&get(1)).await.expect("sent");
    let second = connection.send(&get(2)).await.expect("sent");
    let asked = [broker.hear().await, broker.hear().await];
    assert_eq!(
        asked.each_ref().map(|asked| asked.request.clone()),
        [get(1), get(2)]
    );
    broker.answer(asked[1].opaque, "second").await;
    broker.answer(12345, "nobody asked for this").await;
    broker.answer(asked[0].opaque, "first").await;
    assert_eq!(text(first.answer(LONG).await.expect("an answer")), "first");
    assert_eq!(
        text(second.answer(LONG).await.expect("an answer")),
        "second"
    );
}

#[tokio::test]
async fn a_connection_that_ends_fails_everything_under_way() {
    let (connection, mut broker) = connected(Options::default()).await;
    let pending = connection.send(&get(1)).await.expect("sent");
    broker.hear().await;
    drop(broker);
    let error = pending.answer(LONG).await.expect_err("nobody answered");
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(!connection.is_open());
    connection
        .send(&get(2))
        .await
        .expect_err("nowhere to send it");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_and_may_come_later() {
    let (connection, mut broker) = connected(Options::default()).await;
    let given_up = connection.send(&get(1)).await.expect("sent");
    let opaque = broker.hear().await.opaque;
    let error = given_up
        .answer(Duration::ZERO)
        .await
        .expect_err("no answer yet");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    broker.answer(opaque, "late").await;
    let next = connection.send(&get(2)).await.expect("sent");
    let opaque = broker.hear().await.opaque;
    broker.answer(opaque, "in time").await;
    assert_eq!(text(next.answer(LONG).await.expect("an answer")), "in time");
}

#[tokio::test]
async fn a_silent_connection_is_asked_for_a_sign_of_life() {
    let heartbeat_after = Duration::from_millis(1);
    let options = Options {
        heartbeat_after,
        heartbeat_timeout: LONG,
        ..Options::default()
    };
    let (connection, mut broker) = connected(options).await;
    for _ in 0..3 {
        let asked = broker.hear().await;
        assert_eq!(asked.request, Request::Version);
        broker.answer(asked.opaque, "1.4.6.2").await;
    }
    assert!(connection.is_open());
}

#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_given_up() {
    let short = Duration::from_millis(1);
    let options = Options {
        heartbeat_after: short,
        heartbeat_timeout: short,
        ..Options::default()
    };
    let (connection, _broker) = connected(options).await;
    let error = connection
        .ask(&get(1), LONG)
        .await
        .expect_err("nobody answers");
    assert!(
        error.chain().contains("no answer to a heartbeat"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_connection() {
    let (connection, mut broker) = connected(Options::default()).await;
    let pending = connection.send(&get(1)).await.expect("sent");
    broker.hear().await;
    broker
        .stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n")
        .await
        .expect("a writable socket");
    let error = pending.answer(LONG).await.expect_err("no answer");
    assert!(error.chain().contains("not the protocol"), "{error}");
}

#[tokio::test]
async fn more_than_a_socket_takes_at_once_arrives_whole_and_in_order() {
    let (connection, mut broker) = connected(Options::default()).await;
    let data = Bytes::from(vec![b'x'; 300_000]);
    let put = |partition| {
        let (topic, data) = (Name::from("t"), data.clone());
        Request::Put(Put {
            topic,
            partition,
            flag: 0,
            checksum: -1,
            transaction: None,
            data,
        })
    };
    let mut pending = Vec::new();
    for partition in 0..50 {
        pending.push(connection.send(&put(partition)).await.expect("sent"));
    }
    for partition in 0..50 {
        let asked = broker.hear().await;
        assert!(
            asked.request == put(partition),
            "put {partition} came whole and in turn"
        );
        broker.answer(asked.opaque, "1 0 0").await;
    }
    for pending in pending {
        pending.answer(LONG).await.expect("an answer");
    }
}

#[tokio::test]
async fn too_many_requests_under_way_wait() {
    let options = Options {
        in_flight_max: 1,
        ..Options::default()
    };
    let (connection, mut broker) = connected(options).await;
    let first = connection.send(&get(1)).await.expect("sent");
    let request = get(2);
    let mut second = Box::pin(connection.send(&request));
    assert!(!is_ready(&mut second), "the second waits for the first");
    let opaque = broker.hear().await.opaque;
    broker.answer(opaque, "done").await;
    first.answer(LONG).await.expect("an answer");
    second.await.expect("sent");
}

/// Whether a future is ready without waiting.
fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    let waker = std::task::Waker::noop();
    std::pin::Pin::new(future)
        .poll(&mut std::task::Context::from_waker(waker))
        .is_ready()
}

#[tokio::test]
async fn nobody_listening_is_an_error_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    drop(listener);
    let address = Address {
        host: "127.0.0.1".to_string(),
        port,
    };
    let error = Connection::open(&address, &Options::default())
        .await
        .expect_err("nobody listens");
    assert!(
        error
            .chain()
            .starts_with(&format!("connect to meta://127.0.0.1:{port}: ")),
        "{error}"
    );
}
