//! Batches: records gather, a batch closes, is in flight, is durable.
//!
//! **When a batch closes**: when nothing is in flight, or when enough bytes wait. There is no timer; a lone
//! record is written at once, and under load batches grow by themselves to what the disk takes. The
//! coordinator's records go first, because a batch is durable only when it and all before it are, and a small
//! `set` should not wait behind large puts.
//!
//! `durable ≤ sequence`, and `sequence - durable` batches are in flight.

use std::collections::{BTreeMap, VecDeque};

use super::circle::LogChange;
use super::format::{
    HEADER_BYTES, Header, Kind, State, batch_bytes, encode_record, encode_state, record_bytes,
    state_bytes,
};
use super::{Current, Options, Ticket};
use crate::consensus::Record;
use crate::disk::{AlignedBuffer, Disk, Lane, Operation, Owner, Token};
use crate::units::{GroupId, LatencyHistogram, Moment};

/// The smallest buffer that is made, so that one fits many batches.
const BUFFER_BYTES_MIN: usize = 64 << 10;

/// What waits for a batch.
#[derive(Debug)]
struct Waiting {
    group: GroupId,
    ticket: Ticket,
    record: Record,
}

/// A batch the disk works on.
#[derive(Debug)]
struct InFlight {
    sequence: u64,
    submitted: Moment,
    written: bool,
    /// The last ticket of each group in it.
    tickets: Vec<(GroupId, Ticket)>,
    durable: Durable,
}

/// What a batch means once it is durable.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) file: u64,
    pub(super) position: u64,
    pub(super) oldest: u64,
    pub(super) changes: Vec<(GroupId, LogChange)>,
}

/// A group as its records were appended.
#[derive(Debug, Default)]
struct Group {
    /// As of the last batch closed: what the next file's start says.
    closed: State,
    /// As of the last record appended.
    marker_index: u64,
    last_index: u64,
    durable: Ticket,
}

/// Gathers, closes, and keeps account.
#[derive(Debug)]
pub(super) struct Writer {
    id: [u8; 16],
    incarnation: u64,
    /// Of the last batch closed.
    sequence: u64,
    /// The checksum of the last header.
    previous: u32,
    durable_sequence: u64,
    /// What the last header said about that.
    covered: u64,
    /// The last batch with records in it.
    records_sequence: u64,
    groups: BTreeMap<GroupId, Group>,
    coordinator: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    waiting_bytes: usize,
    in_flight: VecDeque<InFlight>,
    buffers: Vec<AlignedBuffer>,
    ticket: u64,
    written_bytes: u64,
    records: u64,
    /// The time, as it was last told.
    now: Moment,
    latency: LatencyHistogram,
}

/// From where the writer goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) id: [u8; 16],
    pub(super) incarnation: u64,
    /// The last batch, durable as all before it.
    pub(super) sequence: u64,
    /// The next batch's number.
    pub(super) sequence_next: u64,
    /// The last header's checksum.
    pub(super) previous: u32,
}

impl Writer {
    pub(super) fn new(chain: Chain, states: BTreeMap<GroupId, State>) -> Writer {
        let group = |state: State| Group {
            marker_index: state.marker.index,
            last_index: state.last_index,
            closed: state,
            durable: Ticket(0),
        };
        Writer {
            id: chain.id,
            incarnation: chain.incarnation,
            sequence: chain.sequence_next - 1,
            previous: chain.previous,
            durable_sequence: chain.sequence,
            covered: chain.sequence,
            records_sequence: 0,
            groups: states
                .into_iter()
                .map(|(id, state)| (id, group(state)))
                .collect(),
            coordinator: VecDeque::new(),
            others: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: VecDeque::new(),
            buffers: Vec::new(),
            ticket: 0,
            written_bytes: 0,
            records: 0,
            now: Moment::START,
            latency: LatencyHistogram::default(),
        }
    }

    /// Takes a record.
    pub(super) fn append(&mut self, id: GroupId, record: Record) -> Ticket {
        self.ticket += 1;
        let ticket = Ticket(self.ticket);
        let group = self.groups.entry(id).or_default();
        match &record {
            Record::Entry(entry) => {
                assert!(
                    entry.index > group.marker_index && entry.index <= group.last_index + 1,
                    "entries follow the marker without a gap"
                );
                group.last_index = entry.index;
            }
            Record::Marker(marker) => {
                assert!(
                    marker.index >= group.marker_index && marker.index <= group.last_index,
                    "a marker moves forward, and not beyond the last entry"
                );
                group.marker_index = marker.index;
            }
            Record::Reset(marker) => {
                group.marker_index = marker.index;
                group.last_index = marker.index;
            }
            Record::HardState(_) | Record::Incomplete | Record::Healed => {}
        }
        self.waiting_bytes += record_bytes(&record);
        let first = id == GroupId::COORDINATOR;
        let queue = if first {
            &mut self.coordinator
        } else {
            &mut self.others
        };
        queue.push_back(Waiting {
            group: id,
            ticket,
            record,
        });
        ticket
    }

    /// A batch should close now.
    pub(super) fn wants_batch(&self, options: &Options) -> bool {
        let waits = !self.coordinator.is_empty() || !self.others.is_empty();
        let enough = self.in_flight.is_empty()
            || self.waiting_bytes >= options.batch_bytes_close
                && self.in_flight.len() < options.in_flight_max;
        waits && enough
    }

    /// Nothing goes on, and the last records are not covered by a header yet.
    pub(super) fn wants_seal(&self) -> bool {
        self.records_sequence > self.covered
            && self.in_flight.is_empty()
            && self.coordinator.is_empty()
            && self.others.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && self.coordinator.is_empty()
            && self.others.is_empty()
            && !self.wants_seal()
    }

    /// Bytes of a batch that has only the next record.
    pub(super) fn first_bytes(&self) -> u64 {
        let first = self.coordinator.front().or(self.others.front());
        batch_bytes(first.map_or(0, |waiting| record_bytes(&waiting.record)) as u64)
    }

    /// Closes a batch of what waits: at least one record, and no more than fit into `bytes_max`.
    pub(super) fn close_records(
        &mut self,
        current: &mut Current,
        bytes_max: u64,
        oldest: u64,
        disk: &mut dyn Disk,
    ) {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let first = usize::try_from(self.first_bytes()).expect("a record fits into memory");
        let wanted = (HEADER_BYTES + self.waiting_bytes)
            .min(bytes_max)
            .max(first);
        let mut buffer = self.buffer(wanted);
        let mut tickets: Vec<(GroupId, Ticket)> = Vec::new();
        let mut changes = Vec::new();
        for queue in [&mut self.coordinator, &mut self.others] {
            while let Some(next) = queue.front() {
                let bytes = record_bytes(&next.record);
                let full = buffer.len() + bytes > bytes_max;
                if full && buffer.len() > HEADER_BYTES {
                    break;
                }
                let Waiting {
                    group,
                    ticket,
                    record,
                } = queue.pop_front().expect("there is a front");
                encode_record(&mut buffer, group, &record);
                self.waiting_bytes -= bytes;
                self.records += 1;
                match tickets.iter_mut().find(|(of, _)| *of == group) {
                    Some((_, last)) => *last = ticket,
                    None => tickets.push((group, ticket)),
                }
                let closed = &mut self.groups.get_mut(&group).expect("append made it").closed;
                if let Some(change) = note(closed, record) {
                    push(&mut changes, group, change);
                }
            }
        }
        self.submit(
            Kind::Records,
            buffer,
            tickets,
            changes,
            current,
            oldest,
            disk,
        );
        self.records_sequence = self.sequence;
    }

    /// Closes a batch without records.
    pub(super) fn close_seal(&mut self, current: &mut Current, oldest: u64, disk: &mut dyn Disk) {
        let buffer = self.buffer(HEADER_BYTES);
        self.submit(
            Kind::Seal,
            buffer,
            Vec::new(),
            Vec::new(),
            current,
            oldest,
            disk,
        );
    }

    /// Closes the first batch of a file, and returns its sequence.
    pub(super) fn close_file_start(
        &mut self,
        current: &mut Current,
        oldest: u64,
        disk: &mut dyn Disk,
    ) -> u64 {
        let buffer = self.states_buffer();
        self.submit(
            Kind::FileStart,
            buffer,
            Vec::new(),
            Vec::new(),
            current,
            oldest,
            disk,
        );
        self.sequence
    }

    /// A buffer with all groups' states in it.
    fn states_buffer(&mut self) -> AlignedBuffer {
        let bytes: usize = self
            .groups
            .values()
            .map(|group| state_bytes(&group.closed))
            .sum();
        let mut buffer = self.buffer(HEADER_BYTES + bytes);
        for (id, group) in &self.groups {
            encode_state(&mut buffer, *id, &group.closed);
        }
        buffer
    }

    /// A buffer for so many bytes, with room for the header at its front.
    fn buffer(&mut self, bytes: usize) -> AlignedBuffer {
        let fits = self
            .buffers
            .iter()
            .position(|buffer| buffer.capacity() >= bytes);
        let mut buffer = match fits {
            Some(fits) => self.buffers.swap_remove(fits),
            None => {
                // What was too small goes, so that there are never more than were in flight at once.
                self.buffers.pop();
                AlignedBuffer::new(bytes.next_power_of_two().max(BUFFER_BYTES_MIN))
            }
        };
        buffer.set_len(HEADER_BYTES);
        buffer
    }

    /// Writes the header and hands the batch to the disk.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one batch, from three callers"
    )]
    fn submit(
        &mut self,
        kind: Kind,
        mut buffer: AlignedBuffer,
        tickets: Vec<(GroupId, Ticket)>,
        changes: Vec<(GroupId, LogChange)>,
        current: &mut Current,
        oldest: u64,
        disk: &mut dyn Disk,
    ) {
        self.finish(kind, &mut buffer, current.number, oldest);
        let sequence = self.sequence;
        let durable = Durable {
            file: current.number,
            position: current.position,
            oldest,
            changes,
        };
        self.in_flight.push_back(InFlight {
            sequence,
            submitted: self.now,
            written: false,
            tickets,
            durable,
        });
        self.written_bytes += buffer.len() as u64;
        let position = current.position;
        current.position += buffer.len() as u64;
        assert!(
            current.position <= current.length,
            "a batch fits into its file"
        );
        let operation = Operation::Write {
            file: current.file,
            position,
            buffer,
        };
        disk.submit(
            Lane::Journal,
            Token::new(Owner::Journal, sequence),
            operation,
        );
    }

    /// Makes a batch of a buffer with a body: the next sequence, the header, the padding.
    fn finish(&mut self, kind: Kind, buffer: &mut AlignedBuffer, file: u64, oldest: u64) {
        self.sequence += 1;
        let body = &buffer[HEADER_BYTES..];
        let header = Header {
            kind,
            previous: self.previous,
            id: self.id,
            incarnation: self.incarnation,
            sequence: self.sequence,
            durable: self.durable_sequence,
            file,
            oldest,
            body_length: u32::try_from(body.len()).expect("a batch fits into a file"),
            body_crc: crc32fast::hash(body),
            crc: 0,
        };
        self.covered = self.durable_sequence;
        self.previous = header.encode(buffer);
        buffer.pad();
        debug_assert_eq!(header.batch_bytes(), buffer.len() as u64);
    }

    /// The first batch of an incarnation, which the opening writes itself and waits for.
    pub(super) fn first_batch(&mut self, kind: Kind, file: u64, oldest: u64) -> AlignedBuffer {
        let mut buffer = match kind {
            Kind::FileStart => self.states_buffer(),
            Kind::Seal | Kind::Records => self.buffer(HEADER_BYTES),
        };
        self.finish(kind, &mut buffer, file, oldest);
        buffer
    }

    /// The first batch is durable.
    pub(super) fn first_batch_written(&mut self, buffer: AlignedBuffer) {
        self.durable_sequence = self.sequence;
        self.covered = self.sequence;
        self.buffers.push(buffer);
    }

    /// A batch's bytes are on the medium; perhaps not those of the batches before it.
    pub(super) fn written(&mut self, sequence: u64, buffer: AlignedBuffer) {
        self.buffers.push(buffer);
        let batch = self
            .in_flight
            .iter_mut()
            .find(|batch| batch.sequence == sequence);
        batch.expect("only what is in flight completes").written = true;
    }

    /// The next batch that is written and has none before it that is not.
    pub(super) fn take_durable(&mut self) -> Option<Durable> {
        let batch = self.in_flight.pop_front_if(|batch| batch.written)?;
        self.durable_sequence = batch.sequence;
        self.latency.record(self.now.since(batch.submitted));
        for (group, ticket) in batch.tickets {
            self.groups.get_mut(&group).expect("append made it").durable = ticket;
        }
        Some(batch.durable)
    }

    pub(super) fn durable(&self, group: GroupId) -> Ticket {
        self.groups
            .get(&group)
            .map_or(Ticket(0), |group| group.durable)
    }

    pub(super) fn durable_sequence(&self) -> u64 {
        self.durable_sequence
    }

    pub(super) fn id(&self) -> [u8; 16] {
        self.id
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest batch was handed over that the disk has not finished.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        self.in_flight.front().map(|batch| batch.submitted)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Tells the time: what is submitted or becomes durable from here on does so now.
    pub(super) fn tell(&mut self, now: Moment) {
        self.now = now;
    }

    pub(super) fn latency(&self) -> LatencyHistogram {
        self.latency
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

/// Takes a closed record into the state that the next file begins with.
fn note(state: &mut State, record: Record) -> Option<LogChange> {
    match record {
        Record::Entry(entry) => {
            state.last_index = entry.index;
            Some(LogChange::Appended {
                first: entry.index,
                last: entry.index,
            })
        }
        Record::HardState(hard_state) => {
            state.hard_state = hard_state;
            None
        }
        Record::Marker(marker) => {
            state.marker = marker;
            Some(LogChange::Compacted {
                index: state.marker.index,
            })
        }
        Record::Reset(marker) => {
            state.last_index = marker.index;
            state.marker = marker;
            Some(LogChange::Emptied {
                index: state.marker.index,
            })
        }
        Record::Incomplete => {
            state.incomplete = true;
            None
        }
        Record::Healed => {
            state.incomplete = false;
            None
        }
    }
}

/// Adds a change; entries in a row become one.
fn push(changes: &mut Vec<(GroupId, LogChange)>, group: GroupId, change: LogChange) {
    if let LogChange::Appended { first, last: to } = change
        && let Some((of, LogChange::Appended { last, .. })) = changes.last_mut()
        && *of == group
        && *last + 1 == first
    {
        *last = to;
        return;
    }
    changes.push((group, change));
}
