//! Znodes that clients set, set if they have a version, and read behind a sync: for the judge of histories, who knows nothing
//! but what was asked and told.

use bytes::Bytes;
use chrysalis::coordinator::{Reply, Request, SetData};
use chrysalis::wire::zookeeper::reply as zk_reply;

use super::clients::{Waiting, number_in};
use super::world::World;
use crate::harness::history::{Action, Register, Told};

/// Where they are.
pub(super) const REGISTERS: [&str; 2] = ["/r0", "/r1"];
/// The number of the refusal for another version.
const BAD_VERSION: i32 = -103;

/// What was asked of a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    which: usize,
    /// Its number in the history.
    number: usize,
    action: Action,
}

impl World {
    /// A client does something with one of them.
    pub(super) fn use_register(&mut self, client: usize) {
        let which = self.below(REGISTERS.len());
        let action = match self.below(3) {
            0 => Action::Set(self.memory.next()),
            1 => Action::SetIf {
                version: self.clients[client].seen[which],
                value: self.memory.next(),
            },
            _ => Action::Read,
        };
        let path = Bytes::from_static(REGISTERS[which].as_bytes());
        let number = self.memory.histories[which].asked(self.now, action);
        let set = |value: u64, version| {
            Request::SetData(SetData {
                path: path.clone(),
                data: Some(Bytes::from(value.to_string())),
                version,
            })
        };
        let request = match action {
            Action::Set(value) => set(value, -1),
            Action::SetIf { version, value } => set(value, version),
            Action::Read => {
                let path = path.clone();
                self.send(client, &Request::Sync { path }, Waiting::Sync);
                let path = Bytes::from_static(REGISTERS[which].as_bytes());
                Request::GetData { path, watch: false }
            }
        };
        let asked = Asked {
            which,
            number,
            action,
        };
        self.send(client, &request, Waiting::Register(asked));
    }

    /// The answer.
    pub(super) fn register_told(
        &mut self,
        client: usize,
        asked: Asked,
        error: i32,
        answer: &Bytes,
    ) {
        let kind = match asked.action {
            Action::Read => zk_reply::Kind::Data,
            Action::Set(_) | Action::SetIf { .. } => zk_reply::Kind::Stat,
        };
        let told = match error {
            0 => match zk_reply::decode(answer, kind).expect("a reply") {
                Reply::Stat(stat) => Told::Version(stat.version),
                Reply::Data { data, stat } => Told::Holds(Register {
                    value: number_in(&data.expect("it has data")),
                    version: stat.version,
                }),
                other => panic!("{other:?}"),
            },
            BAD_VERSION => Told::Refused,
            error => panic!("a register is there for all: {error}"),
        };
        let seen = match told {
            Told::Version(version) => version,
            Told::Holds(register) => register.version,
            Told::Refused => self.clients[client].seen[asked.which] + 1,
        };
        self.clients[client].seen[asked.which] = seen;
        let history = &mut self.memory.histories[asked.which];
        history.told(asked.number, self.now, told);
        self.tally.add(
            "sets of another version",
            usize::from(told == Told::Refused),
        );
    }

    /// There is one order of all that was done with each of them.
    pub(super) fn check_histories(&mut self) {
        for (history, path) in self.memory.histories.iter().zip(REGISTERS) {
            assert!(
                history.has_an_order(),
                "no order explains what the clients were told of {path}: {history:?}"
            );
            self.tally.add("operations in order", history.answered());
        }
    }
}
