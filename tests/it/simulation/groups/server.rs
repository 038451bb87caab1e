//! One server of the simulation: a group over a journal that is a list, and a state machine that only counts.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrysalis::consensus::founding::{Decision, Founding, Hello};
use chrysalis::consensus::group::{Group, Options, Output};
use chrysalis::consensus::message::{Body, Message};
use chrysalis::consensus::{Entry, Identity, Marker, Membership, Record, Remembered};
use chrysalis::units::feature::{FeatureLevel, Levels};
use chrysalis::units::{GroupId, Random, Seed, ServerId};

/// What the state machine holds: enough to tell two histories apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The last entry that is in it.
    pub(super) index: u64,
    /// Of all that is in it, in order.
    pub(super) digest: u64,
}

impl State {
    pub(super) fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.index + 1, "entries come without a gap");
        self.index = entry.index;
        let mut digest = self.digest ^ entry.index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in &entry.data {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.digest = digest;
    }
}

/// How a command begins, behind its number, that is of the second feature level.
pub(super) const SECOND_LEVEL: u8 = 2;

/// What outlives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// The journal; a record's ticket is its number, from 1.
    pub(super) journal: Vec<Record>,
    /// So many of its records are durable.
    pub(super) durable: usize,
    /// Snapshots, all durable, by index.
    pub(super) snapshots: BTreeMap<u64, (Marker, State)>,
    /// Which member it is, once it knows.
    number: Option<u64>,
}

impl Disk {
    /// What the journal remembers, told the slow way.
    fn remembered(&self) -> Remembered {
        let mut all = Remembered::default();
        for record in &self.journal {
            match record {
                Record::Entry(entry) => {
                    all.entries.retain(|kept| kept.index < entry.index);
                    assert_eq!(entry.index, all.last_index() + 1, "the journal has no gap");
                    all.entries.push(entry.clone());
                }
                Record::HardState(state) => all.hard_state = *state,
                Record::Marker(marker) => {
                    all.entries.retain(|kept| kept.index > marker.index);
                    all.marker = marker.clone();
                }
                Record::Reset(marker) => {
                    all.entries.clear();
                    all.marker = marker.clone();
                }
                Record::Incomplete | Record::Healed => {}
            }
        }
        all
    }

    /// A power cut: what was not durable is there up to some record, or not at all.
    pub(super) fn crash(&mut self, random: &mut Random) {
        let torn = self.journal.len() - self.durable;
        let left = usize::try_from(random.below(torn as u64 + 1)).expect("small");
        self.journal.truncate(self.durable + left);
        self.durable = self.journal.len();
    }
}

/// A running server.
pub(super) struct Live {
    pub(super) group: Group,
    pub(super) state: State,
    /// Entries up to here are in the state that the disk brought back, and come once more.
    restored: u64,
    /// A snapshot that is being written.
    writing: Option<State>,
}

/// What a turn brought, for the world to act upon.
#[derive(Debug)]
pub(super) enum News {
    /// This entry is applied.
    Applied(Entry),
    /// To be delivered, with the state that a snapshot has.
    Send(Message, Option<State>),
    Led(u64),
    ReadAt {
        number: u64,
        index: u64,
    },
    Fetch {
        number: u64,
        from: u64,
        to: u64,
    },
    SnapshotWanted,
    Installed,
    /// It cannot go on with the group.
    Halted,
}

/// A server, running or not.
pub(super) struct Server {
    pub(super) identity: Identity,
    /// What its release supports.
    pub(super) levels: Levels,
    /// All of the list, and those of them that are to be observers.
    lists: (Vec<ServerId>, Vec<ServerId>),
    pub(super) disk: Disk,
    pub(super) is_up: bool,
    /// While it belongs to nothing.
    founding: Founding,
    /// Once it belongs to a group.
    pub(super) live: Option<Live>,
    seed: u64,
    lives: u64,
}

impl Server {
    /// With an empty folder.
    pub(super) fn new(
        identity: Identity,
        lists: (Vec<ServerId>, Vec<ServerId>),
        levels: Levels,
        seed: u64,
    ) -> Server {
        let (servers, observers) = lists.clone();
        Server {
            identity,
            levels,
            founding: Founding::new(identity, servers, observers, levels),
            lists,
            disk: Disk::default(),
            is_up: false,
            live: None,
            seed,
            lives: 0,
        }
    }

    /// Which member it is.
    pub(super) fn number(&self) -> Option<u64> {
        self.disk.number
    }

    /// Starts it with what is on its disk; false where that is of a level that its release does not support.
    pub(super) fn start(&mut self) -> bool {
        let newest = self.disk.snapshots.last_key_value();
        let snapshot = newest.map(|(_, (marker, _))| marker.clone());
        let journal = Some(self.disk.remembered().marker);
        let mut markers = journal.into_iter().chain(snapshot);
        let group = GroupId::COORDINATOR;
        if !markers.all(|marker| Group::members(group, &marker, self.levels).is_ok()) {
            return false;
        }
        self.is_up = true;
        let (servers, observers) = self.lists.clone();
        self.founding = Founding::new(self.identity, servers, observers, self.levels);
        if let Some(number) = self.disk.number {
            self.start_group(number);
        }
        true
    }

    fn start_group(&mut self, member: u64) {
        self.lives += 1;
        let mut remembered = self.disk.remembered();
        let newest = self.disk.snapshots.last_key_value();
        let (marker, state) = newest.map(|(_, it)| it.clone()).unwrap_or_default();
        if let Some(reset) = remembered.settle(&marker) {
            self.disk.journal.push(reset);
        }
        assert!(
            state.index >= remembered.marker.index,
            "the journal forgets only what a snapshot holds"
        );
        let options = Options {
            id: GroupId::COORDINATOR,
            member,
            identity: self.identity,
            joins: true,
            levels: self.levels,
            uncommitted_bytes_max: 4096,
            window_bytes: 1500,
            election_ticks: 10,
            heartbeat_ticks: 2,
        };
        let seed = Seed(self.seed ^ member.wrapping_mul(0xa5a5) ^ self.lives << 32);
        let mut group = Group::new(options, remembered, seed).expect("the state is sound");
        if marker.index > 0 {
            group.offer_snapshot(marker);
        }
        let restored = state.index;
        self.live = Some(Live {
            group,
            state,
            restored,
            writing: None,
        });
    }

    /// What it says to whom it meets.
    pub(super) fn hello(&self) -> Hello {
        let live = self.live.as_ref();
        let members = live.map(|live| live.group.membership().clone());
        Hello {
            members: members.filter(|members| !members.is_empty()),
            ..self.founding.hello()
        }
    }

    /// Hears another one; true if it founds the group now.
    pub(super) fn hear(&mut self, hello: &Hello, ensemble: u128) -> bool {
        if self.live.is_some() {
            return false;
        }
        match self.founding.hear(hello, ensemble) {
            Some(Decision::Founds(members)) => {
                let number = members.number_of(self.identity);
                self.found(&members);
                self.disk.number = number;
                self.start_group(number.expect("a founder is a member"));
                true
            }
            Some(Decision::Joins { number }) => {
                self.disk.number = Some(number);
                self.start_group(number);
                false
            }
            _ => false,
        }
    }

    fn found(&mut self, members: &Membership) {
        let begun = Remembered::founding(members);
        let index = begun.marker.index;
        let state = State { index, digest: 0 };
        let kept = (begun.marker.clone(), state);
        self.disk.snapshots.insert(index, kept);
        self.disk.journal = vec![
            Record::Reset(begun.marker),
            Record::HardState(begun.hard_state),
        ];
        self.disk.durable = self.disk.journal.len();
    }

    /// The process is gone.
    pub(super) fn crash(&mut self, random: &mut Random) {
        self.live = None;
        self.is_up = false;
        self.disk.crash(random);
    }

    /// A turn of its group, applied as far as it goes.
    pub(super) fn turn(&mut self) -> Vec<News> {
        let Some(live) = &mut self.live else {
            return Vec::new();
        };
        let mut outputs = Vec::new();
        let journal = &mut self.disk.journal;
        live.group.turn(
            |record| {
                journal.push(record);
                journal.len() as u64
            },
            &mut outputs,
        );
        let mut news = Vec::new();
        for output in outputs {
            match output {
                Output::Committed(entry) => {
                    let index = entry.index;
                    if index > live.restored {
                        // Whoever wrote it was told that everybody can read it.
                        let second = entry.data.get(8) == Some(&SECOND_LEVEL);
                        let is_raised = live.group.level() >= FeatureLevel(2);
                        assert!(!second || is_raised, "what is new comes behind the level");
                        let is_readable = self.levels.contains(FeatureLevel(2));
                        assert!(!second || is_readable, "this release cannot read it");
                        live.state.apply(&entry);
                        news.push(News::Applied(entry));
                    }
                    live.group.applied(index);
                }
                Output::Send(message) => {
                    let state = match &message.body {
                        Body::Snapshot(marker) => {
                            let known = self.disk.snapshots.get(&marker.index);
                            let (_, state) = known.expect("what is offered stays on disk");
                            Some(state.clone())
                        }
                        _ => None,
                    };
                    news.push(News::Send(message, state));
                }
                Output::Led { term } => news.push(News::Led(term)),
                Output::Deposed { .. } => {}
                Output::ReadAt { number, index } => news.push(News::ReadAt { number, index }),
                Output::Fetch {
                    number, from, to, ..
                } => news.push(News::Fetch { number, from, to }),
                Output::Halted { .. } => news.push(News::Halted),
                Output::SnapshotWanted { .. } => news.push(News::SnapshotWanted),
                Output::Forgot { .. } => panic!("nobody puts an older state back"),
                Output::Installed(marker) => {
                    let (_, state) = &self.disk.snapshots[&marker.index];
                    live.state = state.clone();
                    live.restored = state.index;
                    live.writing = None;
                    // It may be the one who leads next, and others need the same.
                    live.group.offer_snapshot(marker);
                    news.push(News::Installed);
                }
            }
        }
        news
    }

    /// So many more records are durable.
    pub(super) fn sync(&mut self, count: usize) {
        let Some(live) = &mut self.live else { return };
        self.disk.durable = (self.disk.durable + count).min(self.disk.journal.len());
        live.group.durable(self.disk.durable as u64);
    }

    /// Begins a snapshot of what is applied, if there is something new in it; or ends the one that was begun, while more
    /// was applied.
    pub(super) fn snapshot(&mut self) {
        let Some(live) = &mut self.live else { return };
        let Some(state) = live.writing.take() else {
            let newest = self.disk.snapshots.last_key_value();
            let is_new = newest.is_none_or(|(newest, _)| *newest < live.state.index);
            live.writing = is_new.then(|| live.state.clone());
            return;
        };
        if let Some(marker) = live.group.marker_at(state.index) {
            let kept = (marker.clone(), state);
            self.disk.snapshots.insert(marker.index, kept);
            live.group.offer_snapshot(marker);
        }
    }

    /// Lets the journal forget what the newest snapshot but `keep` holds.
    pub(super) fn compact(&mut self, keep: usize) {
        let Some(live) = &mut self.live else { return };
        let mut newest_first = self.disk.snapshots.values().rev();
        let Some((marker, _)) = newest_first.nth(keep).cloned() else {
            return;
        };
        let now = self.disk.remembered().marker.index;
        if marker.index > now && marker.index <= live.group.applied_index() {
            live.group.marked(marker.index);
            self.disk.journal.push(Record::Marker(marker));
        }
    }

    /// Entries that its journal still has, durable or not.
    pub(super) fn read_journal(&self, from: u64, to: u64) -> Vec<Entry> {
        let entries = self.disk.remembered().entries;
        let wanted = entries.into_iter();
        let wanted: Vec<Entry> = wanted
            .filter(|entry| (from..to).contains(&entry.index))
            .take(3)
            .collect();
        match wanted.first() {
            Some(first) if first.index == from => wanted,
            _ => Vec::new(),
        }
    }

    /// A snapshot came whole, and is on disk.
    pub(super) fn receive(&mut self, marker: &Marker, state: State) {
        let kept = (marker.clone(), state);
        self.disk.snapshots.insert(marker.index, kept);
    }

    pub(super) fn propose(&mut self, data: Bytes) -> bool {
        let live = self.live.as_mut();
        live.is_some_and(|live| live.group.propose(data).is_ok())
    }
}
