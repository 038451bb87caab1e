//! What the journal and the bare disk do, measured in one process: the loads of the benchmark, small enough to
//! be called from a test as well.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrysalis::consensus::{Entry, EntryKind, Marker, Record};
use chrysalis::disk::{
    AlignedBuffer, Backend, Completion, Disk, Files, Mode, Operation, Options as DiskOptions,
};
use chrysalis::journal::{Journal, Options, Ticket};
use chrysalis::units::{GroupId, Moment};

const GROUP: GroupId = GroupId(1);

/// Bytes that may wait or be in flight: what the node lets be uncommitted.
const UNCOMMITTED_BYTES_MAX: u64 = 8 << 20;

/// A journal on the real disk, driven as the node's loop drives it.
pub(crate) struct Load {
    disk: Files,
    journal: Journal,
    start: Instant,
    index: u64,
    completions: Vec<Completion>,
}

impl Load {
    /// Opens the journal in `folder`.
    pub(crate) fn open(backend: Backend, folder: &Path) -> Load {
        let options = DiskOptions {
            backend,
            ..DiskOptions::default()
        };
        let mut disk = Files::new(&options).expect("this kernel has the backend");
        let options = Options::new(folder.join("journal"));
        let (journal, recovered) =
            Journal::open(&mut disk, options, [7; 16]).expect("the journal opens");
        let group = recovered.groups.get(&GROUP);
        let index = group.map_or(0, |g| g.entries.last().map_or(g.marker.index, |e| e.index));
        Load {
            disk,
            journal,
            start: Instant::now(),
            index,
            completions: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).expect("584 years"))
    }

    fn append(&mut self, data: Bytes) -> Ticket {
        self.index += 1;
        let entry = Entry {
            index: self.index,
            term: 1,
            kind: EntryKind::Normal,
            data,
        };
        self.journal.append(GROUP, Record::Entry(entry))
    }

    /// Waits for something to complete and takes it in.
    fn turn(&mut self) {
        self.disk.wait(&mut self.completions);
        let now = self.now();
        for completion in self.completions.drain(..) {
            self.journal
                .complete(now, completion)
                .expect("the disk works");
        }
        if self.journal.pressure().compact {
            let marker = Marker {
                index: self.index,
                term: 1,
                state: Bytes::new(),
            };
            self.journal.compact(GROUP, marker);
        }
        self.journal.flush(now, &mut self.disk);
    }

    /// Until the disk has nothing more to do: files are prepared, the seal is written.
    pub(crate) fn settle(&mut self) {
        loop {
            let now = self
                .journal
                .deadline()
                .map_or(self.now(), |at| at.max(self.now()));
            self.journal.flush(now, &mut self.disk);
            if self.disk.under_way() == 0 {
                return;
            }
            self.turn();
        }
    }

    /// Appends so many entries, `turn_entries` a turn, as fast as they become durable.
    pub(crate) fn throughput(
        &mut self,
        entries: u64,
        entry_bytes: usize,
        turn_entries: u64,
    ) -> Rate {
        let data = Bytes::from(vec![0x5a; entry_bytes]);
        let (began, cpu) = (Instant::now(), cpu_time());
        let mut last = Ticket(0);
        let mut appended = 0;
        while appended < entries {
            for _ in 0..turn_entries.min(entries - appended) {
                last = self.append(data.clone());
                appended += 1;
            }
            let now = self.now();
            self.journal.flush(now, &mut self.disk);
            let ahead = |load: &Load| {
                let status = load.journal.status();
                status.waiting_bytes as u64 + status.in_flight as u64 * (256 << 10)
            };
            while ahead(self) > UNCOMMITTED_BYTES_MAX {
                self.turn();
            }
            self.disk.complete(&mut self.completions);
            let now = self.now();
            for completion in self.completions.drain(..) {
                self.journal
                    .complete(now, completion)
                    .expect("the disk works");
            }
        }
        while self.journal.durable(GROUP) < last {
            self.turn();
        }
        let (elapsed, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
        Rate {
            entries,
            bytes: entries * entry_bytes as u64,
            elapsed,
            cpu,
        }
    }

    /// Appends entries one at a time, each when the one before is durable; returns the waits, sorted.
    pub(crate) fn latency(&mut self, entries: u64, entry_bytes: usize) -> Vec<Duration> {
        let data = Bytes::from(vec![0x5a; entry_bytes]);
        let mut waits = Vec::new();
        for _ in 0..entries {
            let began = Instant::now();
            let ticket = self.append(data.clone());
            let now = self.now();
            self.journal.flush(now, &mut self.disk);
            while self.journal.durable(GROUP) < ticket {
                self.turn();
            }
            waits.push(began.elapsed());
        }
        waits.sort_unstable();
        waits
    }
}

/// What a load brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// Processor time of all threads of this process in that time.
    pub(crate) cpu: Duration,
}

impl Rate {
    /// Entries a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.entries as f64 / self.elapsed.as_secs_f64()
    }

    /// Megabytes of payload a second.
    pub(crate) fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }
}

/// The bare disk: durable writes of 4 KiB one after the other into a filled file; the waits, sorted.
pub(crate) fn baseline(folder: &Path, writes: u64) -> Vec<Duration> {
    let mut disk = Files::new(&DiskOptions::default()).expect("a disk");
    let file = disk.reserve();
    let path = folder.join("baseline");
    disk.run(Operation::Open {
        file,
        path,
        mode: Mode::Durable,
    })
    .expect("opens");
    disk.run(Operation::Fill {
        file,
        position: 0,
        length: writes * 4096,
    })
    .expect("fills");
    let mut waits = Vec::new();
    for number in 0..writes {
        let mut buffer = AlignedBuffer::new(4096);
        buffer.set_len(4096);
        let began = Instant::now();
        let write = Operation::Write {
            file,
            position: number * 4096,
            buffer,
        };
        disk.run(write).expect("writes");
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    waits
}

/// Processor time that this process has used.
fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)
        .expect("every process has its usage");
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).expect("time is positive")
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}
