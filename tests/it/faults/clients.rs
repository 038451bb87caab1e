//! Clients of all servers, each doing one thing after the other, and what each was told and when: the material of the judges.
//!
//! They write and read registers, a few hundred times each, and create znodes with a sequence. A client that loses its
//! server goes on with the next one and does not ask for the same thing again, so nobody knows what became of it.

use crate::harness::cluster::Cluster;
use crate::harness::history::{Action, Register, Told};
use crate::harness::process::eventually;
use crate::harness::roaming::{Lost, NODE_EXISTS, Roamer};
use crate::harness::zookeeper_wire::{Body, Reply, create, op};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Where the registers are.
pub(super) const REGISTERS: &str = "/registers";
/// Where znodes are created with a sequence.
pub(super) const SEQUENCE: &str = "/sequence";
/// A register is used so often by all together, and then another one: a judge tries many orders.
const USES: u64 = 150;
/// For each server. Two ask for the same thing at the same time more often than one.
const CLIENTS_EACH: usize = 2;
/// After so many steps a client goes on through the next server, so that all are used again when all are back.
const STAYS_FOR: u64 = 40;
/// The servers have the processors for most of the time.
const PAUSE: Duration = Duration::from_millis(2);
/// For sessions that outlive every outage.
const TIMEOUT_MS: i32 = 60_000;
/// Longer than anybody is kept waiting here.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);
/// Longer than all need to have been at each server, on a busy machine.
const GOES_ROUND_WITHIN: Duration = Duration::from_secs(180);
/// The flag of a sequence.
const WITH_SEQUENCE: i32 = 2;
/// The number of the refusal for another version.
const BAD_VERSION: i32 = -103;

/// Something asked of a register, in nanoseconds since the clients began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) register: u64,
    pub(super) asked_at: u64,
    pub(super) action: Action,
    /// When the answer came, and what it was, if it ever came.
    pub(super) told: Option<(u64, Told)>,
}

/// A znode that was to be created.
#[derive(Clone, Debug)]
pub(super) struct Creation {
    /// The beginning of its name, which nobody else uses.
    pub(super) stem: String,
    pub(super) asked_at: u64,
    /// When it was acknowledged, and by which name.
    pub(super) named: Option<(u64, String)>,
}

/// All that one client did.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) uses: Vec<Use>,
    /// What it knew of registers, in order: what it was told, and what it read without a sync.
    pub(super) sights: Vec<(u64, Register)>,
    pub(super) creations: Vec<Creation>,
    /// The longest that it had no answer.
    pub(super) longest_wait: Duration,
}

/// What all of them share.
struct Shared {
    began: Instant,
    ends: AtomicBool,
    /// How often registers were used.
    uses: AtomicU64,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a test is short")
    }
}

/// Clients at work.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Notes>>,
    /// How many steps of each were answered.
    progress: Vec<Arc<AtomicU64>>,
}

impl Clients {
    /// Some at each server of the cluster.
    pub(super) fn start(cluster: &Cluster) -> Clients {
        let mut first = cluster.client(0, TIMEOUT_MS);
        first.create(REGISTERS, b"", 0);
        first.create(SEQUENCE, b"", 0);
        let shared = Arc::new(Shared {
            began: Instant::now(),
            ends: AtomicBool::new(false),
            uses: AtomicU64::new(0),
        });
        let count = cluster.places().len() * CLIENTS_EACH;
        let progress: Vec<Arc<AtomicU64>> = (0..count).map(|_| Arc::default()).collect();
        let threads = progress.iter().enumerate().map(|(number, progress)| {
            let roamer = cluster.client(number % cluster.places().len(), TIMEOUT_MS);
            let client = Client::new(number, roamer, Arc::clone(&shared));
            let progress = Arc::clone(progress);
            thread::spawn(move || client.work(&progress))
        });
        Clients {
            threads: threads.collect(),
            shared,
            progress,
        }
    }

    fn counts(&self) -> Vec<u64> {
        let counts = self.progress.iter();
        counts.map(|count| count.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each client has asked for something from now on, and was answered.
    pub(super) fn go_on(&self) {
        self.take_steps(2, GOES_ON_WITHIN);
    }

    /// Waits until each client has been at each server.
    pub(super) fn go_round(&self) {
        self.take_steps(3 * STAYS_FOR, GOES_ROUND_WITHIN);
    }

    fn take_steps(&self, steps: u64, limit: Duration) {
        let before = self.counts();
        eventually("every client is answered", limit, || {
            let failed = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client has failed");
            let pairs = before.iter().zip(self.counts());
            pairs.into_iter().all(|(before, now)| now >= before + steps)
        });
    }

    /// Goes on for so long, while something is as it is.
    pub(super) fn go_on_for(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.go_on();
        }
    }

    /// Lets each finish its step: what they did.
    pub(super) fn end(mut self) -> Vec<Notes> {
        self.shared.ends.store(true, Ordering::SeqCst);
        let threads = mem::take(&mut self.threads).into_iter();
        threads
            .map(|it| it.join().expect("no client fails"))
            .collect()
    }
}

/// Those of a test that failed end by themselves.
impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
    }
}

/// One of them.
struct Client {
    number: usize,
    roamer: Roamer,
    shared: Arc<Shared>,
    /// How often it has tried to do something: no content is written twice.
    step: u64,
    /// The register that it used last, and the version that it knows of.
    seen: (u64, i32),
    notes: Notes,
}

impl Client {
    fn new(number: usize, roamer: Roamer, shared: Arc<Shared>) -> Client {
        Client {
            number,
            roamer,
            shared,
            step: 0,
            // None.
            seen: (u64::MAX, 0),
            notes: Notes::default(),
        }
    }

    fn work(mut self, progress: &AtomicU64) -> Notes {
        let mut answered_at = Instant::now();
        while !self.shared.ends.load(Ordering::SeqCst) {
            // What cannot be sent is not asked for.
            let answered = self.roamer.connect().and_then(|()| self.take_a_step());
            if answered.is_ok() {
                let waited = answered_at.elapsed();
                self.notes.longest_wait = self.notes.longest_wait.max(waited);
                answered_at = Instant::now();
                let count = progress.fetch_add(1, Ordering::SeqCst) + 1;
                if count.is_multiple_of(STAYS_FOR) {
                    self.roamer.leave();
                }
            }
            sleep(PAUSE);
        }
        self.notes
    }

    fn take_a_step(&mut self) -> Result<(), Lost> {
        self.step += 1;
        let value = u64::try_from(self.number).expect("few") * 1_000_000_000 + self.step;
        match self.step % 5 {
            0 => self.set(value, false),
            1 => self.set(value, true),
            2 => self.create(),
            3 => self.glance(),
            _ => self.read(),
        }
    }

    /// The register that is in use; it is there.
    fn register(&mut self) -> u64 {
        let register = self.shared.uses.fetch_add(1, Ordering::SeqCst) / USES;
        if self.seen.0 != register {
            let made = create(&path_of(register), b"0", 0);
            let reply = self.roamer.answer(op::CREATE, &made);
            assert!([0, NODE_EXISTS].contains(&reply.error), "{reply:?}");
            self.seen = (register, 0);
        }
        register
    }

    /// Sets a register, or does so only if it has the version that this client knows of.
    fn set(&mut self, value: u64, only_if: bool) -> Result<(), Lost> {
        let register = self.register();
        let known = self.seen.1;
        let (action, version) = match only_if {
            false => (Action::Set(value), -1),
            true => {
                let version = known;
                (Action::SetIf { version, value }, version)
            }
        };
        let body = Body::new().string(&path_of(register));
        let body = body.bytes(value.to_string().as_bytes()).int(version);
        let asked_at = self.shared.now();
        let answer = self.roamer.call(op::SET_DATA, &body);
        let told = answer.as_ref().ok().map(|reply| match reply.error {
            0 => Told::Version(reply.reader().stat().version),
            BAD_VERSION => Told::Refused,
            error => panic!("a register is there for all: {error}"),
        });
        self.note_use(register, asked_at, action, told);
        if let Some(Told::Version(version)) = told {
            self.saw(register, Register { value, version });
        }
        answer.map(|_| ())
    }

    /// A sync and a read behind it, on one connection.
    fn read(&mut self) -> Result<(), Lost> {
        let register = self.register();
        let path = Body::new().string(&path_of(register));
        let asked_at = self.shared.now();
        let synced = self.roamer.call(op::SYNC, &path)?;
        assert_eq!(synced.error, 0, "sync");
        let held = held_by(&self.roamer.call(op::GET_DATA, &path.bool(false))?);
        self.note_use(register, asked_at, Action::Read, Some(Told::Holds(held)));
        self.saw(register, held);
        Ok(())
    }

    /// A read without a sync: it may be old, and never older than what this client has seen.
    fn glance(&mut self) -> Result<(), Lost> {
        let register = self.register();
        let path = Body::new().string(&path_of(register)).bool(false);
        let held = held_by(&self.roamer.call(op::GET_DATA, &path)?);
        self.saw(register, held);
        Ok(())
    }

    fn create(&mut self) -> Result<(), Lost> {
        let stem = format!("{}-{}-", self.number, self.step);
        let body = create(&format!("{SEQUENCE}/{stem}"), b"", WITH_SEQUENCE);
        let asked_at = self.shared.now();
        let answer = self.roamer.call(op::CREATE, &body);
        let named = answer.as_ref().ok().map(|reply| {
            assert_eq!(reply.error, 0, "a name of its own");
            let path = reply.reader().string();
            let name = path.rsplit('/').next().expect("a name").to_owned();
            (self.shared.now(), name)
        });
        self.notes.creations.push(Creation {
            stem,
            asked_at,
            named,
        });
        answer.map(|_| ())
    }

    fn note_use(&mut self, register: u64, asked_at: u64, action: Action, told: Option<Told>) {
        self.notes.uses.push(Use {
            register,
            asked_at,
            action,
            told: told.map(|told| (self.shared.now(), told)),
        });
    }

    fn saw(&mut self, register: u64, held: Register) {
        self.seen = (register, held.version);
        self.notes.sights.push((register, held));
    }
}

pub(super) fn path_of(register: u64) -> String {
    format!("{REGISTERS}/{register}")
}

/// What a register holds, as a read of it was answered.
pub(super) fn held_by(reply: &Reply) -> Register {
    assert_eq!(reply.error, 0, "a register is there for all");
    let mut reader = reply.reader();
    let data = reader.bytes().expect("it has data");
    let text = String::from_utf8(data).expect("ASCII");
    Register {
        value: text.parse().expect("a number"),
        version: reader.stat().version,
    }
}
