//! A lock as clients make it of ephemeral sequential znodes, with a fence: whoever holds it writes its number there, in one
//! multi with the check that it still has its znode.
//!
//! A client that has its lock holds it until it lets go, or its session may have ended by the true clock: its last sign of
//! life that was confirmed, and its whole timeout. Nobody else is told before that it has the lock.

use bytes::Bytes;
use chrysalis::coordinator::{
    Create, CreateMode, Delete, Operation, OperationReply, Reply, Request, SetData,
};
use chrysalis::wire::zookeeper::reply as zk_reply;

use super::clients::{Waiting, creation, number_in};
use super::verify::Tree;
use super::world::World;

/// What the znodes of the lock are below.
pub(super) const LOCK: &str = "/lock";
/// Where holders write.
pub(super) const FENCE: &str = "/fence";

/// A client's place in the queue.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Begins the znode's name: by it the client finds the znode whose making was not answered.
    prefix: String,
    /// The znode, as far as it is known.
    path: Option<String>,
    /// An answer is awaited.
    is_busy: bool,
    holds: bool,
}

/// What was asked of the lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Make,
    Look,
    Write,
    Release,
}

/// The number in a znode's name: the queue is in its order.
fn turn_of(name: &str) -> u64 {
    let digits = &name[name.len() - 10..];
    digits.parse().expect("ten digits")
}

impl Place {
    /// The connection is gone, and the answer with it.
    pub(super) fn loses_connection(&mut self) {
        self.is_busy = false;
    }

    /// The client lets go of everything.
    pub(super) fn lets_go(&mut self) {
        self.holds = false;
    }
}

impl World {
    /// A client does what comes next with the lock.
    pub(super) fn use_lock(&mut self, client: usize) {
        let number = self.memory.next();
        let lets_go = self.below(3) == 0;
        let place = self.clients[client].lock.get_or_insert_with(|| Place {
            prefix: format!("c{number}-"),
            path: None,
            is_busy: false,
            holds: false,
        });
        if place.is_busy {
            return;
        }
        let is_new = place.prefix == format!("c{number}-");
        place.is_busy = true;
        let (asked, request) = match (&place.path, place.holds) {
            (None, _) if is_new => {
                let mode = CreateMode::EphemeralSequential;
                let path = format!("{LOCK}/{}", place.prefix);
                let create = Create {
                    mode,
                    ..creation(path, number)
                };
                (Asked::Make, Request::Create(create))
            }
            (Some(path), true) if lets_go => {
                let path = Bytes::from(path.clone());
                // Whether it is gone is seen by its name, if the answer does not come.
                (place.path, place.holds) = (None, false);
                let version = -1;
                (Asked::Release, Request::Delete(Delete { path, version }))
            }
            (Some(path), true) => {
                let data = Some(Bytes::from(turn_of(path).to_string()));
                let operations = vec![
                    Operation::Check {
                        path: Bytes::from(path.clone()),
                        version: -1,
                    },
                    Operation::SetData(SetData {
                        path: Bytes::from_static(FENCE.as_bytes()),
                        data,
                        version: -1,
                    }),
                ];
                (Asked::Write, Request::Multi(operations))
            }
            _ => {
                let path = Bytes::from_static(LOCK.as_bytes());
                (Asked::Look, Request::GetChildren { path, watch: false })
            }
        };
        self.send(client, &request, Waiting::Lock(asked));
    }

    /// The answer.
    pub(super) fn lock_told(&mut self, client: usize, asked: Asked, error: i32, answer: &Bytes) {
        let Some(place) = &mut self.clients[client].lock else {
            return;
        };
        place.is_busy = false;
        let kind = match asked {
            Asked::Make => zk_reply::Kind::Created,
            Asked::Look => zk_reply::Kind::Children,
            Asked::Write => zk_reply::Kind::Multi,
            Asked::Release => zk_reply::Kind::Done,
        };
        assert_eq!(error, 0, "client {client} has its session: {asked:?}");
        match zk_reply::decode(answer, kind).expect("a reply") {
            Reply::Created { path } => {
                let path = String::from_utf8(path.to_vec()).expect("UTF-8");
                place.path = Some(path);
            }
            Reply::Children(names) => {
                let names = names.iter().map(|name| String::from_utf8_lossy(name));
                let names: Vec<String> = names.map(|name| name.into_owned()).collect();
                self.look_at_queue(client, &names);
            }
            Reply::Multi(replies) => {
                let turn = place.path.as_deref().map(turn_of);
                let (Some(turn), Some(OperationReply::DataSet(stat))) = (turn, replies.last())
                else {
                    panic!("{replies:?}");
                };
                self.check_fence(stat.version, turn);
                self.tally.add("writes behind the fence", 1);
            }
            Reply::Done => {
                self.clients[client].lock = None;
                self.tally.add("locks let go", 1);
            }
            other => panic!("client {client} has its session: {other:?}"),
        }
    }

    fn look_at_queue(&mut self, client: usize, names: &[String]) {
        let place = self.clients[client].lock.as_mut().expect("it looked");
        let own = names.iter().find(|name| name.starts_with(&place.prefix));
        let Some(own) = own else {
            assert!(place.path.is_none(), "its znode is gone: {place:?}");
            // It was never made, and never will be: the connection that was to make it is gone.
            self.clients[client].lock = None;
            return;
        };
        place.path = Some(format!("{LOCK}/{own}"));
        let turn = turn_of(own);
        let is_first = names.iter().all(|name| turn_of(name) >= turn);
        if !is_first || place.holds {
            return;
        }
        place.holds = true;
        let now = self.now;
        for (other, it) in self.clients.iter_mut().enumerate() {
            let holds = it.lock.as_ref().is_some_and(|place| place.holds);
            if other != client && holds {
                assert!(
                    it.may_be_over(now),
                    "clients {other} and {client} hold the lock"
                );
                it.lock = None;
                self.tally.add("locks lost", 1);
            }
        }
        self.tally.add("locks held", 1);
    }

    /// Nobody wrote to the fence whose turn was over: each knows who wrote before it.
    pub(super) fn check_fence(&mut self, version: i32, turn: u64) {
        self.memory.fence.insert(version, turn);
        let turns: Vec<u64> = self.memory.fence.values().copied().collect();
        assert!(turns.is_sorted(), "an older holder wrote later: {turns:?}");
    }

    /// What the fence has in the end.
    pub(super) fn check_last_fence(&mut self, tree: &Tree) {
        if let Some((data, stat)) = tree.get(FENCE.as_bytes()) {
            self.check_fence(stat.version, number_in(data));
        }
    }
}
