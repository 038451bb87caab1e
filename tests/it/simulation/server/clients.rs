//! The clients of a simulated server: what they send, what they know of the answers, and whether it is there when they
//! read it back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrysalis::broker::{Get, Name, Put, Request};
use chrysalis::coordinator::{self, Acl, ConnectRequest, Create, CreateMode, Reply, SetData};
use chrysalis::node::{Event, Port};
use chrysalis::segments::format::{Next, Record, next_record};
use chrysalis::units::{ConnectionId, Zxid};
use chrysalis::wire::metaq::reply::Content;
use chrysalis::wire::metaq::{Decoded, Limits, reply as metaq_reply, request as metaq_request};
use chrysalis::wire::zookeeper::{frame, handshake, reply as zk_reply, request as zk_request};

use super::world::World;

const PARTITIONS: i32 = 3;
/// Producers.
pub(super) const PRODUCERS: u64 = 3;
pub(super) const ZNODES: u64 = 5;

/// What a client knows it has sent and got back.
#[derive(Default)]
pub(super) struct Memory {
    /// Acknowledged messages: partition, offset, message.
    pub(super) stored: BTreeMap<(i32, u64), Bytes>,
    /// Every message that was ever sent, by content; all are different.
    pub(super) sent: BTreeMap<Bytes, i32>,
    /// By znode: the last acknowledged value, and those sent since.
    pub(super) znodes: BTreeMap<u64, (u64, BTreeSet<u64>)>,
}

/// A connection from the client's side.
#[derive(Default)]
pub(super) struct Client {
    pub(super) inbox: BytesMut,
    waiting: BTreeMap<i32, Waiting>,
    next: i32,
}

/// What an answer is awaited for.
#[derive(Clone)]
pub(super) enum Waiting {
    Put { message: Bytes },
    Get,
    Create { znode: u64 },
    Set { znode: u64, value: u64 },
    Read { znode: u64 },
}

impl World {
    pub(super) fn connect(&mut self, port: Port) -> ConnectionId {
        self.connection_last += 1;
        let id = ConnectionId(self.connection_last);
        let (now, wall) = (self.now, self.wall());
        let address = ([127, 0, 0, 1], 40_000).into();
        let node = self.node.as_mut().expect("the server runs");
        node.handle(
            now,
            wall,
            Event::Connected {
                connection: id,
                port,
                address,
                certified: None,
            },
        );
        self.clients.insert(id, Client::default());
        if port == Port::Coordinator {
            let mut bytes = BytesMut::new();
            let hello = ConnectRequest {
                last_zxid_seen: Zxid(0),
                timeout_ms: 30_000,
                session: 0,
                password: Bytes::from_static(&[0; 16]),
                read_only: Some(false),
            };
            handshake::encode_request(&hello, &mut bytes).expect("it is small");
            self.send(id, &bytes);
        }
        id
    }

    /// The client's bytes arrive, in one piece or in two.
    fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        let cut = usize::try_from(self.random.below(bytes.len() as u64 + 1)).expect("small");
        let (now, wall) = (self.now, self.wall());
        let Some(node) = self.node.as_mut() else {
            return;
        };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let Some(connection) = node.connection(id) else {
                return;
            };
            if !piece.is_empty() {
                connection.room().extend_from_slice(piece);
                node.handle(
                    now,
                    wall,
                    Event::Received {
                        connection: id,
                        count: piece.len(),
                    },
                );
            }
        }
    }

    pub(super) fn take_answers(&mut self) {
        let ids: Vec<ConnectionId> = self.clients.keys().copied().collect();
        for id in ids {
            if Some(id) == self.zookeeper {
                self.take_zookeeper_answers(id);
            } else {
                self.take_metaq_answers(id);
            }
        }
    }

    fn take_metaq_answers(&mut self, id: ConnectionId) {
        let client = self.clients.get_mut(&id).expect("it was just listed");
        while let Ok(Decoded::Frame(answer)) =
            metaq_reply::decode(&mut client.inbox, &Limits::default())
        {
            let waiting = client.waiting.remove(&answer.opaque).expect("it was asked");
            match (waiting, answer.content) {
                (Waiting::Put { message, .. }, Content::Result { code, text }) => {
                    if code.is_success() {
                        let text = std::str::from_utf8(&text).expect("ASCII");
                        let words: Vec<&str> = text.split(' ').collect();
                        let partition = words[1].parse().expect("a number");
                        let offset = words[2].parse().expect("a number");
                        let before = self.memory.stored.insert((partition, offset), message);
                        assert!(before.is_none(), "two messages at {partition}:{offset}");
                    }
                }
                (Waiting::Get, content) => {
                    self.read.insert(answer.opaque, content);
                }
                _ => panic!("an answer of another kind"),
            }
        }
    }

    fn take_zookeeper_answers(&mut self, id: ConnectionId) {
        let client = self.clients.get_mut(&id).expect("it was just listed");
        while let Some(answer) = frame::take(&mut client.inbox, 1 << 20).expect("a frame") {
            if !self.established {
                let reply = handshake::decode_reply(&answer).expect("a handshake's answer");
                assert_ne!(reply.session, 0, "a new session is granted");
                self.established = true;
                continue;
            }
            let header = zk_reply::decode_header(&answer).expect("a header");
            let waiting = client.waiting.remove(&header.xid).expect("it was asked");
            match waiting {
                Waiting::Create { znode } => {
                    if header.error == 0 {
                        let value = self.memory.znodes.entry(znode).or_default();
                        value.0 = value.0.max(1);
                    }
                }
                Waiting::Set { znode, value } => {
                    if header.error == 0 {
                        self.tally.add("znodes set", 1);
                        let known = self.memory.znodes.entry(znode).or_default();
                        known.0 = value;
                        known.1.retain(|later| *later > value);
                    }
                }
                Waiting::Read { znode } => {
                    let known = self.memory.znodes.get(&znode).cloned().unwrap_or_default();
                    let found = if header.error == 0 {
                        let kind = zk_reply::Kind::of(&coordinator::Request::GetData {
                            path: Bytes::new(),
                            watch: false,
                        });
                        match zk_reply::decode(&answer, kind).expect("data") {
                            Reply::Data {
                                data: Some(data), ..
                            } => std::str::from_utf8(&data)
                                .expect("ASCII")
                                .parse()
                                .expect("a number"),
                            other => panic!("{other:?}"),
                        }
                    } else {
                        0
                    };
                    assert!(
                        found == known.0 || known.1.contains(&found),
                        "znode {znode} is {found}; {} was acknowledged, {:?} sent since",
                        known.0,
                        known.1
                    );
                    // What was found is now known to be there.
                    self.memory.znodes.insert(znode, (found, BTreeSet::new()));
                    self.read.insert(header.xid, Content::Value(Bytes::new()));
                }
                _ => panic!("an answer of another kind"),
            }
        }
    }

    fn ask_metaq(&mut self, id: ConnectionId, request: &Request, waiting: Waiting) -> i32 {
        let client = self.clients.get_mut(&id).expect("it is connected");
        client.next += 1;
        let opaque = client.next + 1000 * i32::try_from(id.0).expect("small");
        client.waiting.insert(opaque, waiting);
        let mut bytes = BytesMut::new();
        metaq_request::encode(&mut bytes, opaque, request);
        self.send(id, &bytes);
        opaque
    }

    pub(super) fn ask_zookeeper(
        &mut self,
        request: &coordinator::Request,
        waiting: Waiting,
    ) -> i32 {
        let id = self.zookeeper.expect("it is connected");
        let client = self.clients.get_mut(&id).expect("it is connected");
        client.next += 1;
        let xid = client.next;
        client.waiting.insert(xid, waiting);
        let mut bytes = BytesMut::new();
        zk_request::encode(xid, request, &mut bytes).expect("it is small");
        self.send(id, &bytes);
        xid
    }

    fn put(&mut self) {
        let most = if self.random.below(10) == 0 {
            40_000
        } else {
            300
        };
        let bytes = self.random.below(most);
        self.put_bytes(usize::try_from(bytes).expect("small"));
    }

    /// Puts a message with so many bytes, and a few more.
    pub(super) fn put_bytes(&mut self, bytes: usize) {
        let producers: Vec<ConnectionId> = self
            .clients
            .keys()
            .copied()
            .filter(|id| Some(*id) != self.zookeeper)
            .collect();
        let which = usize::try_from(self.random.below(producers.len() as u64)).expect("small");
        self.message_last += 1;
        let mut message = format!("message {} ", self.message_last).into_bytes();
        message.resize(message.len() + bytes, b'.');
        let message = Bytes::from(message);
        let partition = i32::try_from(self.random.below(3)).expect("small");
        self.memory.sent.insert(message.clone(), partition);
        let put = Put {
            topic: Name::from_static("test"),
            partition,
            flag: 0,
            checksum: -1,
            transaction: None,
            data: message.clone(),
        };
        self.ask_metaq(
            producers[which],
            &Request::Put(put),
            Waiting::Put { message },
        );
    }

    pub(super) fn write_znode(&mut self) {
        if !self.established {
            return;
        }
        let znode = self.random.below(ZNODES);
        let path = Bytes::from(format!("/{znode}"));
        if self
            .memory
            .znodes
            .get(&znode)
            .is_none_or(|known| known.0 == 0)
        {
            self.memory.znodes.entry(znode).or_default().1.insert(1);
            let create = Create {
                path,
                data: Some(Bytes::from_static(b"1")),
                acl: vec![Acl::open()],
                mode: CreateMode::Persistent,
            };
            self.ask_zookeeper(
                &coordinator::Request::Create(create),
                Waiting::Create { znode },
            );
        } else {
            self.message_last += 1;
            let value = self.message_last + 1;
            self.memory.znodes.entry(znode).or_default().1.insert(value);
            let data = Some(Bytes::from(value.to_string()));
            let set = SetData {
                path,
                data,
                version: -1,
            };
            self.ask_zookeeper(
                &coordinator::Request::SetData(set),
                Waiting::Set { znode, value },
            );
        }
    }

    /// A life: writes until the power goes, a disk operation fails, or the server is stopped.
    pub(super) fn live(&mut self) {
        let steps = 20 + self.random.below(150);
        for _ in 0..steps {
            match self.random.below(10) {
                0..4 => {
                    for _ in 0..=self.random.below(8) {
                        self.put();
                    }
                }
                4..6 => self.write_znode(),
                6 => self.now = self.now + Duration::from_millis(self.random.below(40_000)),
                _ => {}
            }
            if !self.turn() {
                return;
            }
        }
    }

    /// Turns until an answer is there; `None` if the server died first.
    fn wait_for(&mut self, number: i32) -> Option<Content> {
        for _ in 0..200_000 {
            if let Some(content) = self.read.remove(&number) {
                return Some(content);
            }
            if !self.turn() {
                return None;
            }
        }
        panic!("a request is not answered");
    }

    /// Reads everything back.
    pub(super) fn verify(&mut self) {
        let id = *self.clients.keys().next().expect("there are producers");
        let mut seen = BTreeSet::new();
        for partition in 0..PARTITIONS {
            let mut offset = 0_u64;
            loop {
                let get = Get {
                    topic: Name::from_static("test"),
                    group: Name::from_static("verify"),
                    partition,
                    offset: i64::try_from(offset).expect("small"),
                    max_size: 100_000,
                };
                let number = self.ask_metaq(id, &Request::Get(get), Waiting::Get);
                let Some(content) = self.wait_for(number) else {
                    return;
                };
                let Content::Value(records) = content else {
                    break;
                };
                let mut records = records;
                let before = offset;
                while let Next::Record(record) = next_record(&mut records) {
                    let Record { header, data } = record;
                    let sent = self.memory.sent.get(&data);
                    assert_eq!(
                        sent,
                        Some(&partition),
                        "a record nobody sent there: {header:?}"
                    );
                    assert!(seen.insert(data.clone()), "a message is there twice");
                    if let Some(stored) = self.memory.stored.get(&(partition, offset)) {
                        assert_eq!(stored, &data, "another message at {partition}:{offset}");
                    }
                    offset += header.record_bytes();
                }
                assert!(
                    offset > before,
                    "no whole record in a value at {partition}:{offset}"
                );
            }
        }
        let (sent, stored) = (self.memory.sent.len(), self.memory.stored.len());
        self.tally.add("acknowledged messages looked for", stored);
        self.tally
            .add("other messages found", seen.len().saturating_sub(stored));
        self.tally.add("other messages gone", sent - seen.len());
        for ((partition, offset), message) in &self.memory.stored {
            assert!(
                seen.contains(message),
                "acknowledged at {partition}:{offset} and gone"
            );
        }
        for znode in 0..ZNODES {
            while !self.established {
                if !self.turn() {
                    return;
                }
            }
            let path = Bytes::from(format!("/{znode}"));
            let request = coordinator::Request::GetData { path, watch: false };
            let number = self.ask_zookeeper(&request, Waiting::Read { znode });
            if self.wait_for(number).is_none() {
                return;
            }
        }
    }

    /// The clients know that anything may be gone; what they sent may be there.
    pub(super) fn know_nothing(&mut self) {
        self.memory.stored.clear();
        let values: BTreeSet<u64> = (1..=self.message_last + 1).collect();
        for known in self.memory.znodes.values_mut() {
            *known = (0, values.clone());
        }
    }

    /// Writes, and turns until both cores have said yes.
    pub(super) fn is_served(&mut self) -> bool {
        let values = |world: &World| -> Vec<u64> {
            let known = world.memory.znodes.values();
            known.map(|(value, _)| *value).collect()
        };
        self.memory.stored.clear();
        let before = values(self);
        for turn in 0..100_000 {
            if turn % 1000 == 0 {
                self.put();
                self.write_znode();
            }
            if !self.turn() {
                return false;
            }
            if values(self) != before && !self.memory.stored.is_empty() {
                return true;
            }
        }
        false
    }
}
