//! When a batch closes, how long it gets, and whose records go first: the journal with its usual sizes, on a disk
//! whose writes end when the test says so.

use std::collections::VecDeque;
use std::path::Path;

use chrysalis::consensus::{Entry, EntryKind, Record};
use chrysalis::disk::{Completion, Disk, Error, File, Lane, Operation, Outcome, Token};
use chrysalis::journal::{DumpedBatch, DumpedRecord, Journal, Options, Ticket, dump};
use chrysalis::units::{GroupId, Moment, Seed};

use crate::simulation::disk::SimulatedDisk;

const FOLDER: &str = "/server/journal";
const COORDINATOR: GroupId = GroupId::COORDINATOR;
const BROKER: GroupId = GroupId(2);
const KIB: usize = 1 << 10;

/// Keeps the journal's writes until one is let go.
struct HeldDisk {
    disk: SimulatedDisk,
    held: VecDeque<(Token, Operation)>,
}

impl Disk for HeldDisk {
    fn reserve(&mut self) -> File {
        self.disk.reserve()
    }

    fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        match lane {
            Lane::Journal => self.held.push_back((token, operation)),
            lane => self.disk.submit(lane, token, operation),
        }
    }

    fn complete(&mut self, completions: &mut Vec<Completion>) {
        self.disk.complete(completions);
    }

    fn wait(&mut self, completions: &mut Vec<Completion>) {
        self.disk.wait(completions);
    }

    fn run(&mut self, operation: Operation) -> Result<Outcome, Error> {
        self.disk.run(operation)
    }
}

/// A journal, and the last entry of each group in it.
struct Bench {
    disk: HeldDisk,
    journal: Journal,
    last: [u64; 2],
}

impl Bench {
    fn new() -> Bench {
        let mut disk = HeldDisk {
            disk: SimulatedDisk::new(Seed(1)),
            held: VecDeque::new(),
        };
        // The usual sizes of batches in smaller files.
        let options = Options {
            first_file_bytes: 16 << 20,
            file_bytes: 16 << 20,
            files_max: 4,
            ..Options::new(FOLDER)
        };
        let (journal, _) = Journal::open(&mut disk, options, *b"a random journal").expect("opens");
        Bench {
            disk,
            journal,
            last: [0, 0],
        }
    }

    /// Appends an entry with so many bytes.
    fn append(&mut self, group: GroupId, bytes: usize) -> Ticket {
        let last = &mut self.last[usize::from(group == BROKER)];
        *last += 1;
        let entry = Entry {
            index: *last,
            term: 1,
            kind: EntryKind::Normal,
            data: vec![7; bytes].into(),
        };
        self.journal.append(group, Record::Entry(entry))
    }

    fn flush(&mut self) {
        self.journal.flush(Moment::START, &mut self.disk);
    }

    /// The lengths of the batches under way.
    fn in_flight(&self) -> Vec<usize> {
        let length = |(_, operation): &(Token, Operation)| match operation {
            Operation::Write { buffer, .. } => buffer.len(),
            other => panic!("{other:?} in the journal's lane"),
        };
        self.disk.held.iter().map(length).collect()
    }

    /// The oldest write under way ends.
    fn let_go(&mut self) {
        let (token, operation) = self.disk.held.pop_front().expect("a write is under way");
        let result = self.disk.disk.run(operation);
        self.journal
            .complete(Moment::START, Completion { token, result })
            .expect("written");
    }

    /// All writes end, and those that follow from them.
    fn let_all_go(&mut self) {
        self.flush();
        while !self.disk.held.is_empty() {
            self.let_go();
            self.flush();
        }
    }

    /// The batches with records, as they are on the disk.
    fn batches(&mut self) -> Vec<DumpedBatch> {
        let mut batches = Vec::new();
        let end = dump(&mut self.disk, Path::new(FOLDER), &mut |batch| {
            batches.push(batch);
        });
        assert_eq!(end.expect("readable").damage, None);
        batches.retain(|batch| batch.kind == "records");
        batches
    }
}

/// Whose entries a batch holds, in order.
fn groups(batch: &DumpedBatch) -> Vec<GroupId> {
    batch.records.iter().map(|(group, _)| *group).collect()
}

#[test]
fn a_batch_closes_at_once_when_nothing_is_in_flight() {
    let mut bench = Bench::new();
    let ticket = bench.append(COORDINATOR, 100);
    assert_eq!(
        bench.in_flight(),
        [] as [usize; 0],
        "an append writes nothing"
    );
    bench.flush();
    assert_eq!(bench.in_flight(), [4 * KIB], "no timer is waited for");
    assert_eq!(bench.journal.deadline(), None);
    assert!(bench.journal.durable(COORDINATOR) < ticket);
    bench.let_go();
    assert_eq!(bench.journal.durable(COORDINATOR), ticket);
    // What came in the meantime goes out with the next flush.
    bench.append(COORDINATOR, 100);
    bench.flush();
    assert_eq!(bench.in_flight().len(), 1);
}

#[test]
fn while_a_batch_is_in_flight_the_next_one_closes_when_128_kib_wait() {
    let mut bench = Bench::new();
    bench.append(BROKER, 100);
    bench.flush();
    // 127 records of 1 KiB, their headers included.
    let data = KIB - 29;
    for _ in 0..127 {
        bench.append(BROKER, data);
        bench.flush();
        assert_eq!(bench.in_flight().len(), 1, "what waits goes on waiting");
    }
    assert_eq!(bench.journal.status().waiting_bytes, 127 * KIB);
    bench.append(BROKER, data);
    bench.flush();
    // The header, and the rest of its block.
    assert_eq!(bench.in_flight(), [4 * KIB, 132 * KIB]);
    assert_eq!(bench.journal.status().waiting_bytes, 0);
    bench.let_all_go();
    let records: Vec<usize> = bench.batches().iter().map(|b| b.records.len()).collect();
    assert_eq!(records, [1, 128]);
}

#[test]
fn a_batch_is_durable_only_with_all_before_it() {
    let mut bench = Bench::new();
    bench.append(BROKER, 100);
    bench.flush();
    let ticket = bench.append(COORDINATOR, 128 * KIB);
    bench.flush();
    assert_eq!(bench.in_flight().len(), 2);
    bench.disk.held.rotate_left(1);
    bench.let_go();
    assert!(bench.journal.durable(COORDINATOR) < ticket);
    bench.let_go();
    assert_eq!(bench.journal.durable(COORDINATOR), ticket);
}

#[test]
fn a_batch_has_at_most_1_mib() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.append(BROKER, 50_000);
    }
    bench.flush();
    let in_flight = bench.in_flight();
    assert!(
        in_flight.iter().all(|bytes| *bytes <= 1024 * KIB),
        "{in_flight:?}"
    );
    assert!(
        in_flight[0] > 900 * KIB,
        "a batch takes what waits: {in_flight:?}"
    );
    bench.let_all_go();
    assert!(bench.batches().iter().all(|batch| batch.bytes <= 1 << 20));
}

#[test]
fn a_record_that_is_longer_than_a_batch_has_one_of_its_own() {
    let mut bench = Bench::new();
    bench.append(BROKER, 1000);
    bench.append(BROKER, 3 << 20);
    bench.append(BROKER, 1000);
    bench.let_all_go();
    let records: Vec<usize> = bench.batches().iter().map(|b| b.records.len()).collect();
    assert_eq!(records, [1, 1, 1]);
}

#[test]
fn only_so_many_batches_are_in_flight() {
    let mut bench = Bench::new();
    let most = Options::new(FOLDER).in_flight_max;
    for _ in 0..most + 5 {
        bench.append(BROKER, 128 * KIB);
        bench.flush();
    }
    assert_eq!(bench.in_flight().len(), most);
    bench.let_go();
    bench.flush();
    assert_eq!(bench.in_flight().len(), most);
}

/// A small `set` does not wait behind large puts that were there before it.
#[test]
fn the_coordinators_records_go_first() {
    let mut bench = Bench::new();
    bench.append(BROKER, 100);
    bench.flush();
    for _ in 0..30 {
        bench.append(BROKER, 100_000);
    }
    let sets = [
        bench.append(COORDINATOR, 100),
        bench.append(COORDINATOR, 100),
    ];
    bench.flush();
    assert!(bench.in_flight().len() > 2, "{:?}", bench.in_flight());
    bench.let_go();
    bench.let_go();
    assert_eq!(
        bench.journal.durable(COORDINATOR),
        sets[1],
        "with the first batch that closed after it"
    );
    bench.let_all_go();
    let batches = bench.batches();
    assert_eq!(groups(&batches[0]), [BROKER]);
    assert_eq!(groups(&batches[1])[..3], [COORDINATOR, COORDINATOR, BROKER]);
    let mut last = [0, 0];
    for (group, record) in batches.iter().flat_map(|batch| &batch.records) {
        let DumpedRecord::Entry { index, .. } = record else {
            panic!("{record:?}");
        };
        let last = &mut last[usize::from(*group == BROKER)];
        assert_eq!(*index, *last + 1, "those of one group stay in order");
        *last = *index;
    }
    assert_eq!(last, bench.last);
}
