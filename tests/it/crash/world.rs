//! A server's worth of journal on the simulated disk: what a seed makes of it, and what it must remember.

use std::collections::BTreeMap;
use std::time::Duration;

use chrysalis::consensus::{Entry, HardState, Marker, Record};
use chrysalis::disk::{Completion, Disk as _};
use chrysalis::journal::{Journal, OpenError, Options, Recovered, Wanted};
use chrysalis::units::{GroupId, Moment, Random, Seed};

use super::model::Model;
use crate::harness::tally::Tally;
use crate::simulation::disk::{Fault, SimulatedDisk};

const ID: [u8; 16] = *b"a random journal";

/// Small files, so that the circle turns within one life.
pub(crate) fn options() -> Options {
    Options {
        first_file_bytes: 16 << 10,
        file_bytes: 64 << 10,
        files_max: 4,
        batch_bytes_close: 6 << 10,
        batch_bytes_max: 16 << 10,
        in_flight_max: 4,
        fill_step_bytes: 16 << 10,
        seal_after: Duration::from_millis(30),
        ..Options::new("/server/journal")
    }
}

/// A server's worth of journal: disk, journal and what it must remember.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) disk: SimulatedDisk,
    pub(crate) options: Options,
    pub(crate) journal: Option<Journal>,
    pub(crate) model: Model,
    pub(crate) now: Moment,
    pub(crate) term: u64,
    pub(crate) failed: bool,
    /// Calls of the disk are made to fail.
    pub(crate) faulty: bool,
    /// What happened so far.
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut random = Random::new(Seed(seed));
        let disk = SimulatedDisk::new(Seed(random.next()));
        // From a batch for nearly every record to large ones.
        let batch_bytes_close = 1 << (9 + random.below(5));
        World {
            random,
            disk,
            options: Options {
                batch_bytes_close,
                ..options()
            },
            journal: None,
            model: Model::default(),
            now: Moment::START,
            term: 1,
            failed: false,
            faulty: false,
            tally: Tally::default(),
        }
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// Opens the journal and returns what it remembers.
    pub(crate) fn open(&mut self) -> Result<Recovered, OpenError> {
        self.failed = false;
        let (journal, recovered) = Journal::open(&mut self.disk, self.options.clone(), ID)?;
        self.journal = Some(journal);
        Ok(recovered)
    }

    /// Opens it after a crash, and compares. The power may go again while it opens.
    pub(crate) fn reopen(&mut self) {
        let acknowledged = match self.journal.take() {
            Some(journal) => self.model.acknowledged(&journal),
            None => Default::default(),
        };
        for _ in 0..3 {
            if self.chance(30) {
                let nth = self.random.below(20);
                self.disk.fault(nth, Fault::Power);
            }
            match self.open() {
                Ok(recovered) => {
                    self.disk.forget_faults();
                    self.recover(&acknowledged, &recovered);
                    return;
                }
                Err(OpenError::Disk(_)) if self.disk.is_dead() => {
                    self.tally.add("power cuts while it opens", 1);
                    self.disk.power_cut();
                }
                Err(error) => panic!("the journal does not open: {error}"),
            }
        }
        self.disk.power_cut();
        let recovered = self
            .open()
            .unwrap_or_else(|error| panic!("the journal does not open: {error}"));
        self.recover(&acknowledged, &recovered);
    }

    /// Compares what came back with what must be there, and goes on from there.
    pub(crate) fn recover(
        &mut self,
        acknowledged: &BTreeMap<GroupId, usize>,
        recovered: &Recovered,
    ) {
        let told = self.model.recover(acknowledged, recovered);
        self.tally
            .merge(&told.unwrap_or_else(|what| panic!("{what}")));
    }

    /// Appends something that may follow.
    pub(crate) fn append(&mut self) {
        let group = GroupId(u32::try_from(self.random.below(4)).expect("small"));
        let now = self.model.now(group);
        let last = now
            .entries
            .last()
            .map_or(now.marker.index, |entry| entry.index);
        let journal = self.journal.as_mut().expect("open");
        let refuse = journal.pressure().refuse;
        let record = match self.random.below(100) {
            // What frees files may always go on.
            0..=9 => {
                let index = now.marker.index + self.random.below(last - now.marker.index + 1);
                let term = if index == now.marker.index {
                    now.marker.term
                } else {
                    now.entries
                        .iter()
                        .find(|e| e.index == index)
                        .expect("no gap")
                        .term
                };
                let state = format!("state {index}").into_bytes().into();
                Record::Marker(Marker { index, term, state })
            }
            10..=11 => {
                let index = last + self.random.below(5);
                Record::Reset(Marker {
                    index,
                    term: self.term,
                    state: "reset".into(),
                })
            }
            12..=19 => {
                self.term += self.random.below(2);
                let vote = self.random.below(4);
                let commit = now
                    .hard_state
                    .commit
                    .max(self.random.below(last + 1))
                    .min(last);
                Record::HardState(HardState {
                    term: self.term,
                    vote,
                    commit,
                })
            }
            20..=21 => Record::Incomplete,
            22..=23 => Record::Healed,
            _ if refuse => return,
            number => {
                let back = if number < 28 { self.random.below(4) } else { 0 };
                let bytes = match self.random.below(10) {
                    0 => 0,
                    1 => self.random.below(6000),
                    _ => self.random.below(1500),
                };
                let fill = u8::try_from(self.random.below(256)).expect("a byte");
                let data = vec![fill; usize::try_from(bytes).expect("small")];
                self.model.entry(group, back, self.term, data)
            }
        };
        self.model
            .append(self.journal.as_mut().expect("open"), group, record);
    }

    /// Moves every marker to the end: what checkpoints do when the circle fills.
    pub(crate) fn compact_all(&mut self) {
        let journal = self.journal.as_mut().expect("open");
        let groups: Vec<GroupId> = self.model.groups.keys().copied().collect();
        for group in groups {
            let now = self.model.now(group);
            if let Some(last) = now.entries.last() {
                let marker = Marker {
                    index: last.index,
                    term: last.term,
                    state: "all".into(),
                };
                self.model.append(journal, group, Record::Marker(marker));
            }
        }
    }

    /// Reads some of a group's durable entries back: what comes was there when it was asked for, or has replaced it since.
    pub(crate) fn read_back(&mut self) {
        let group = GroupId(u32::try_from(self.random.below(4)).expect("small"));
        let journal = self.journal.as_ref().expect("open");
        let asked = self.model.durable(journal, group).entries;
        let (Some(first), Some(last)) = (asked.first(), asked.last()) else {
            return;
        };
        let from = first.index + self.random.below(last.index + 1 - first.index);
        let to = from + 1 + self.random.below(last.index + 1 - from);
        let bytes = self.random.below(8000);
        let wanted = Wanted {
            group,
            number: to,
            from,
            to,
            bytes,
        };
        self.journal.as_mut().expect("open").read(wanted);
        let read = loop {
            let journal = self.journal.as_mut().expect("open");
            journal.flush(self.now, &mut self.disk);
            if let Some(read) = journal.take_read(group) {
                break read;
            }
            let mut completions = Vec::new();
            self.disk.wait(&mut completions);
            if completions.is_empty() || self.disk.is_dead() {
                return;
            }
            self.complete(completions);
        };
        assert_eq!(read.number, to);
        let entries = match read.entries {
            Ok(entries) => entries,
            // A call that was made to fail may have been this one.
            Err(_) if self.faulty => return,
            Err(why) => panic!("entries {from} to {to} of group {group}: {why}"),
        };
        let now = self.model.now(group).entries;
        let of = |entries: &[Entry], index| entries.iter().find(|it| it.index == index).cloned();
        let mut before = 0;
        for (index, entry) in (from..to).zip(&entries) {
            let (then, now) = (of(&asked, index), of(&now, index));
            let lengths = [&then, &now].map(|it| it.as_ref().map(|entry| entry.data.len()));
            assert!(
                Some(entry) == then.as_ref() || Some(entry) == now.as_ref(),
                "entry {index} of group {group} has {} bytes, and had {:?}, and has {:?}",
                entry.data.len(),
                lengths[0],
                lengths[1]
            );
            before += entry.data.len() as u64;
            // An entry without bytes may follow on the last that fits.
            assert!(
                index == from || before <= bytes,
                "no more is read than is wanted"
            );
        }
        assert!(!entries.is_empty(), "there is one at least");
        let count = u64::try_from(entries.len()).expect("few");
        assert!(count <= to - from, "nothing else comes");
        self.tally.add("entries read back", entries.len());
    }

    /// Takes completions in; a failure ends this life.
    pub(crate) fn complete(&mut self, completions: Vec<Completion>) {
        let journal = self.journal.as_mut().expect("open");
        for completion in completions {
            let before = journal.status().durable;
            if journal.complete(self.now, completion).is_err() {
                self.failed = true;
            }
            assert!(
                journal.status().durable >= before,
                "durable never goes back"
            );
        }
    }

    /// One turn of a server's loop.
    pub(crate) fn turn(&mut self) {
        for _ in 0..self.random.below(4) {
            self.append();
        }
        if self.chance(15) {
            self.read_back();
        }
        if self.failed || self.disk.is_dead() {
            return;
        }
        let journal = self.journal.as_mut().expect("open");
        let pressure = journal.pressure();
        if pressure.refuse || pressure.compact && self.random.below(4) == 0 {
            self.compact_all();
        }
        self.journal
            .as_mut()
            .expect("open")
            .flush(self.now, &mut self.disk);
        let mut completions = Vec::new();
        self.disk.complete(&mut completions);
        self.complete(completions);
        self.now = self.now + Duration::from_millis(self.random.below(20));
        self.journal
            .as_mut()
            .expect("open")
            .flush(self.now, &mut self.disk);
    }

    /// Goes on without new records until nothing more happens.
    pub(crate) fn idle(&mut self) {
        for _ in 0..10_000 {
            let journal = self.journal.as_mut().expect("open");
            journal.flush(self.now, &mut self.disk);
            let mut completions = Vec::new();
            self.disk.wait(&mut completions);
            let quiet = completions.is_empty();
            self.complete(completions);
            let journal = self.journal.as_ref().expect("open");
            if quiet {
                match journal.deadline() {
                    Some(at) => self.now = self.now.max(at),
                    None => return,
                }
            }
        }
        panic!("the journal does not come to rest");
    }
}

/// A life that came to rest, sealed: everything in it is acknowledged.
pub(crate) fn at_rest(seed: u64) -> World {
    let mut world = World::new(seed);
    world.reopen();
    for _ in 0..10 + world.random.below(150) {
        world.turn();
    }
    world.idle();
    let journal = world.journal.as_ref().expect("open");
    for (group, count) in world.model.acknowledged(journal) {
        assert_eq!(
            count,
            world.model.groups[&group].len(),
            "at rest all is acknowledged"
        );
    }
    world
}
