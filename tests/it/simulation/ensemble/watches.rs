//! Watches on the counter: each tells once, and before anything else shows what happened, also where the client went on with
//! another server in between and set it again.

use bytes::Bytes;
use chrysalis::coordinator::{Request, WatchEventKind};
use chrysalis::wire::zookeeper::reply as zk_reply;

use super::clients::Waiting;
use super::world::World;

/// What is watched.
const COUNTER: &[u8] = b"/counter";

impl World {
    /// Sets the watch again that a former connection had.
    pub(super) fn watch_again(&mut self, client: usize) {
        if self.clients[client].watch.is_none() {
            return;
        }
        let request = Request::SetWatches {
            relative_zxid: self.clients[client].zxid,
            data: vec![Bytes::from_static(COUNTER)],
            exist: Vec::new(),
            child: Vec::new(),
        };
        self.send(client, &request, Waiting::Watches);
        self.tally.add("watches set again", 1);
    }

    /// The client was told of this version of the counter; `watches` if its watch is set then.
    pub(super) fn check_watch(&mut self, client: usize, version: i32, watches: bool) {
        let watch = &mut self.clients[client].watch;
        if let Some(watched) = *watch {
            assert_eq!(
                version, watched,
                "client {client} sees the data before its watch has told of it"
            );
        }
        if watches {
            *watch = Some(version);
        }
    }

    /// A watch has told something.
    pub(super) fn notified(&mut self, client: usize, answer: &Bytes) {
        let event = zk_reply::decode_event(answer).expect("an event");
        assert_eq!(
            (event.kind, &event.path[..]),
            (WatchEventKind::DataChanged, COUNTER)
        );
        let watch = self.clients[client].watch.take();
        assert!(watch.is_some(), "client {client} is told twice");
        self.tally.add("watches that told", 1);
    }
}
