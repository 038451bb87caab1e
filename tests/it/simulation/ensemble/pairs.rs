//! What is done as a whole: two znodes are only ever set together, and what is made beside something that is refused is not
//! made.

use bytes::Bytes;
use chrysalis::coordinator::{Operation, OperationReply, Reply, Request, SetData};
use chrysalis::wire::zookeeper::reply as zk_reply;

use super::clients::{Waiting, creation, number_in};
use super::verify::Tree;
use super::world::World;

/// The two.
pub(super) const PAIR: [&str; 2] = ["/a", "/b"];
/// A version that nothing ever has.
const NEVER: i32 = 1_000_000;

/// What was asked of the pair.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// Both were to be set.
    Both,
    /// One of the two was read; the second is no older than the first was.
    One(usize),
    /// Something was to be made, beside something that is refused.
    Refused,
}

impl World {
    /// A client does something with the pair.
    pub(super) fn use_pair(&mut self, client: usize) {
        let number = self.memory.next();
        match self.below(4) {
            0..2 => {
                let set = |path: &'static str| {
                    Operation::SetData(SetData {
                        path: Bytes::from_static(path.as_bytes()),
                        data: Some(Bytes::from(number.to_string())),
                        version: -1,
                    })
                };
                let both = Request::Multi(PAIR.map(set).to_vec());
                self.send(client, &both, Waiting::Pair(Asked::Both));
            }
            2 => {
                for (place, path) in PAIR.into_iter().enumerate() {
                    let path = Bytes::from_static(path.as_bytes());
                    let read = Request::GetData { path, watch: false };
                    self.send(client, &read, Waiting::Pair(Asked::One(place)));
                }
            }
            _ => {
                let path = Bytes::from_static(PAIR[0].as_bytes());
                let version = NEVER;
                let operations = vec![
                    Operation::Create(creation(format!("/m{number}"), number)),
                    Operation::Check { path, version },
                ];
                let request = Request::Multi(operations);
                self.send(client, &request, Waiting::Pair(Asked::Refused));
            }
        }
    }

    /// The answer.
    pub(super) fn pair_told(&mut self, client: usize, asked: Asked, answer: &Bytes) {
        let kind = match asked {
            Asked::One(_) => zk_reply::Kind::Data,
            Asked::Both | Asked::Refused => zk_reply::Kind::Multi,
        };
        let reply = zk_reply::decode(answer, kind).expect("a reply");
        match (asked, reply) {
            (Asked::Both, Reply::Multi(replies)) => {
                let version = |reply: &OperationReply| match reply {
                    OperationReply::DataSet(stat) => stat.version,
                    other => panic!("{other:?}"),
                };
                let versions: Vec<i32> = replies.iter().map(version).collect();
                assert_eq!(versions[0], versions[1], "both are set, or none is");
                self.tally.add("pairs set", 1);
            }
            (Asked::One(place), Reply::Data { stat, .. }) => {
                let first = &mut self.clients[client].pair;
                assert!(
                    place == 0 || stat.version >= *first,
                    "{} and {}: half of a pair was seen",
                    first,
                    stat.version
                );
                *first = stat.version;
            }
            (Asked::Refused, Reply::MultiRefused { refused: 1, .. }) => {
                self.tally.add("refused as a whole", 1);
            }
            (_, other) => panic!("{other:?}"),
        }
    }

    /// Nothing is there by half.
    pub(super) fn check_pairs(&self, tree: &Tree) {
        let half = tree.keys().find(|path| path.starts_with(b"/m"));
        assert_eq!(half, None, "it was refused as a whole");
        let [first, second] = PAIR.map(|path| tree.get(path.as_bytes()));
        if let (Some((first, of_first)), Some((second, of_second))) = (first, second) {
            assert_eq!(number_in(first), number_in(second), "they are set together");
            assert_eq!(of_first.version, of_second.version);
        }
    }
}
