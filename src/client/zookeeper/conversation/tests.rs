use bytes::Bytes;

use super::*;
use crate::coordinator::{Refusal, Stat, WatchEventKind};

fn get(path: &'static str) -> Request {
    Request::GetData {
        path: path.into(),
        watch: true,
    }
}

/// The numbers of what the conversation has to say.
fn said(conversation: &mut Conversation) -> Vec<i32> {
    let mut numbers = Vec::new();
    while let Some(payload) =
        frame::take(conversation.output(), PAYLOAD_BYTES_MAX).expect("good lengths")
    {
        let (number, _) = request::decode(&payload).expect("a request");
        numbers.push(number);
    }
    numbers
}

fn hear(conversation: &mut Conversation, number: i32, result: Result<&Reply, Refusal>) {
    reply::encode(number, Zxid(9), result, conversation.input()).expect("it fits");
}

#[test]
fn requests_are_numbered_from_one_but_for_those_with_a_number_of_their_own() {
    let mut conversation = Conversation::new();
    let auth = Request::Auth {
        scheme: Bytes::new(),
        data: Bytes::new(),
    };
    for request in [get("/a"), Request::Ping, get("/b"), auth, get("/c")] {
        conversation.send(&request).expect("it fits");
    }
    assert_eq!(said(&mut conversation), [1, -2, 2, -4, 3]);
    assert_eq!(conversation.outstanding(), 5);
}

#[test]
fn numbers_start_again_at_the_end() {
    let mut conversation = Conversation {
        last_xid: i32::MAX - 1,
        ..Conversation::default()
    };
    for _ in 0..3 {
        conversation.send(&get("/a")).expect("it fits");
    }
    assert_eq!(said(&mut conversation), [i32::MAX, 1, 2]);
}

#[test]
fn replies_and_events_come_out_as_they_came_in() {
    let mut conversation = Conversation::new();
    for request in [get("/a"), get("/b")] {
        conversation.send(&request).expect("it fits");
    }
    let data = Reply::Data {
        data: None,
        stat: Stat::default(),
    };
    let event = WatchEvent {
        kind: WatchEventKind::Deleted,
        path: b"/b"[..].into(),
    };
    hear(&mut conversation, 1, Ok(&data));
    reply::encode_event(&event, conversation.input());
    hear(&mut conversation, 2, Err(Refusal::NoNode));
    let mut next = || {
        conversation
            .take()
            .expect("the protocol")
            .expect("something")
    };
    assert_eq!(next(), Incoming::Reply(Ok(data)));
    assert_eq!(next(), Incoming::Event(event));
    assert_eq!(next(), Incoming::Reply(Err(Refused { number: -101 })));
    assert_eq!(conversation.last_zxid(), Zxid(9));
    assert!(matches!(conversation.take(), Ok(None)));
}

#[test]
fn a_reply_that_nobody_asked_for_is_an_error() {
    let mut conversation = Conversation::new();
    hear(&mut conversation, 1, Ok(&Reply::Done));
    assert!(matches!(conversation.take(), Err(Error::Unasked(1))));
}

#[test]
fn a_refusal_is_told_by_its_name_and_number() {
    assert_eq!(Refused { number: -103 }.to_string(), "BADVERSION (-103)");
    assert_eq!(
        Refused { number: -999 }.to_string(),
        "an error of an unknown number (-999)"
    );
}
