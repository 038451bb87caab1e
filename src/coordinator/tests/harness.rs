//! A coordinator with a log of its own, a clock that is told what time it is, and sockets that write
//! down what they get.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::coordinator::{
    ConnectRequest, Coordinator, Effect, Event, Options, Place, Request, Restore, Restored,
};
use crate::units::{ConnectionId, Moment, Seed, WallTime, Zxid};

/// The time of day when a test begins.
pub(in crate::coordinator) const WALL_START: i64 = 1_700_000_000_000;

pub(in crate::coordinator) struct Harness {
    pub(in crate::coordinator) coordinator: Coordinator,
    pub(in crate::coordinator) options: Options,
    pub(in crate::coordinator) now: Moment,
    /// Proposed and not committed.
    pub(in crate::coordinator) proposed: VecDeque<Bytes>,
    /// Asked and not answered.
    pub(in crate::coordinator) questions: VecDeque<u64>,
    pub(in crate::coordinator) index: u64,
    /// Everything committed so far.
    pub(in crate::coordinator) log: Vec<Bytes>,
    /// Whether proposals wait for [`Harness::commit`], and questions for [`Harness::answer`].
    pub(in crate::coordinator) held: bool,
    next_connection: u64,
}

impl Harness {
    pub(in crate::coordinator) fn new(options: Options, seed: Seed) -> Harness {
        Harness {
            coordinator: Coordinator::new(options.clone(), seed),
            options,
            now: Moment::START,
            proposed: VecDeque::new(),
            questions: VecDeque::new(),
            index: 0,
            log: Vec::new(),
            held: false,
            next_connection: 1,
        }
    }

    /// One that leads, of which nobody heard yet.
    pub(in crate::coordinator) fn leading(options: Options, seed: Seed) -> Harness {
        let mut harness = Harness::new(options, seed);
        assert!(harness.handle(Event::Led { term: 1 }).is_empty());
        harness
    }

    pub(in crate::coordinator) fn wall(&self) -> WallTime {
        WallTime(WALL_START + i64::try_from(self.now.as_millis()).expect("a short test"))
    }

    /// Handles an event and, unless held, everything that follows from it.
    pub(in crate::coordinator) fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.coordinator.handle(self.now, event, &mut effects);
        let mut shown = self.sort_out(effects);
        if !self.held {
            shown.extend(self.commit(usize::MAX));
            shown.extend(self.answer());
        }
        shown
    }

    /// Commits that many proposals, and those that follow from them.
    pub(in crate::coordinator) fn commit(&mut self, count: usize) -> Vec<Effect> {
        let mut shown = Vec::new();
        for _ in 0..count {
            let Some(data) = self.proposed.pop_front() else {
                break;
            };
            self.index += 1;
            self.log.push(data.clone());
            let index = self.index;
            let mut effects = Vec::new();
            let event = Event::Committed { index, data };
            self.coordinator.handle(self.now, event, &mut effects);
            let event = Event::EntryEnd { index };
            self.coordinator.handle(self.now, event, &mut effects);
            shown.extend(self.sort_out(effects));
        }
        shown
    }

    /// Answers what was asked about the group's commit index.
    pub(in crate::coordinator) fn answer(&mut self) -> Vec<Effect> {
        let mut shown = Vec::new();
        while let Some(round) = self.questions.pop_front() {
            let index = self.index + u64::try_from(self.proposed.len()).expect("few");
            let mut effects = Vec::new();
            let event = Event::ReadIndex { round, index };
            self.coordinator.handle(self.now, event, &mut effects);
            shown.extend(self.sort_out(effects));
        }
        shown
    }

    fn sort_out(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut shown = Vec::new();
        for effect in effects {
            match effect {
                Effect::Propose(command) => self.proposed.push_back(command),
                Effect::ReadIndex { round } => self.questions.push_back(round),
                // As on a server alone, which has nobody to ask.
                Effect::Touch { round, .. } => {
                    let mut effects = Vec::new();
                    let index = 0;
                    let event = Event::TouchConfirmed { round, index };
                    self.coordinator.handle(self.now, event, &mut effects);
                    shown.extend(self.sort_out(effects));
                }
                other => shown.push(other),
            }
        }
        shown
    }

    /// Lets time pass, waking the coordinator whenever it wants to be woken.
    pub(in crate::coordinator) fn wait(&mut self, duration: Duration) -> Vec<Effect> {
        let end = self.now + duration;
        let mut shown = Vec::new();
        while let Some(deadline) = self.coordinator.deadline() {
            if deadline > end {
                break;
            }
            self.now = self.now.max(deadline);
            shown.extend(self.handle(Event::Tick));
        }
        self.now = end;
        shown.extend(self.handle(Event::Tick));
        shown
    }

    pub(in crate::coordinator) fn connected(&mut self, address: &str) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let address = address.parse().expect("an address");
        let event = Event::Connected {
            connection,
            address,
        };
        assert!(self.handle(event).is_empty());
        connection
    }

    /// A connection with a new session.
    pub(in crate::coordinator) fn connect(&mut self) -> (ConnectionId, i64) {
        let connection = self.connected("127.0.0.1");
        let effects = self.handle(Event::Connect {
            connection,
            wall: self.wall(),
            request: ConnectRequest {
                last_zxid_seen: Zxid(0),
                timeout_ms: 10_000,
                session: 0,
                password: Bytes::new(),
                read_only: Some(false),
            },
        });
        match effects.as_slice() {
            [Effect::ConnectReply { reply, .. }] => (connection, reply.session),
            other => panic!("a new session was refused: {other:?}"),
        }
    }

    pub(in crate::coordinator) fn request(
        &mut self,
        connection: ConnectionId,
        xid: i32,
        request: Request,
    ) -> Vec<Effect> {
        self.handle(Event::Request {
            connection,
            xid,
            wall: self.wall(),
            request,
        })
    }

    /// Where its snapshots are taken.
    pub(in crate::coordinator) fn place() -> Place {
        Place {
            term: 7,
            members: Bytes::from_static(b"members"),
        }
    }

    /// A whole snapshot of now.
    pub(in crate::coordinator) fn snapshot(&mut self) -> Vec<u8> {
        self.coordinator.snapshot_begin(Harness::place());
        let mut bytes = Vec::new();
        while let Some(slice) = self.coordinator.snapshot_step(200) {
            bytes.extend_from_slice(&slice.bytes);
        }
        bytes
    }

    /// The server stops and comes back from a snapshot.
    pub(in crate::coordinator) fn restart(&mut self, seed: Seed) {
        let restored = restore(&self.snapshot(), seed);
        assert_eq!(restored.index(), self.index);
        let before = self.coordinator.digest();
        self.coordinator = Coordinator::restored(self.options.clone(), seed, restored);
        assert_eq!(self.coordinator.digest(), before);
        self.proposed.clear();
        self.questions.clear();
        self.handle(Event::Led { term: 2 });
    }
}

/// A state from the bytes of a snapshot, fed in pieces that fit no chunk.
pub(in crate::coordinator) fn restore(bytes: &[u8], seed: Seed) -> Restored {
    let mut restore = Restore::new(seed);
    for piece in bytes.chunks(37) {
        restore.feed(piece).expect("a good snapshot");
    }
    restore.finish().expect("a good snapshot")
}
