//! The brokers of the same ensemble, and how many messages each has sent to the processes that read here, too.
//!
//! A message may be sent to a process again only while that remembers it (`memory`), so what other brokers send has to be
//! counted. While messages go to such a process, and for a second after, its brokers tell each other their counts ten
//! times a second; and at once when a turn is to be given and what was heard is old. When nobody sends anything, nothing is said.
//!
//! *When a count was true.* It says what was sent up to some moment. The other clock is not ours, and a word may be on its
//! way for seconds. So each word returns the newest stamp that its sender had heard of its receiver: what is told is at least as
//! new as that. From then on the process is assumed to read as fast as any (`elsewhere`).
//!
//! *What was sent is not read yet.* A process may have an answer with thousands of messages in its listeners while
//! it reads another one, and forgets that one while it goes on with them. So with what was sent goes what of it the process has not come back from:
//! whatever was sent and not come back from before a message was read may have been read after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::elsewhere::read_at_most;
use super::reading::Reading;
use super::{ConsumerId, Waiting};
use crate::broker::request::Name;
use crate::broker::word::{COUNTED_MAX, Count, Counts, NAME_BYTES_MAX, Word};
use crate::units::{Moment, ServerId};

/// How often counts are told while messages are sent,
const TELL_EVERY: Duration = Duration::from_millis(100);
/// and for how long after.
const STIRRED_FOR: Duration = Duration::from_secs(1);
/// They are not asked for again sooner.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// A turn waits for counts for so long.
const ANSWER_SOON: Duration = Duration::from_millis(250);
/// Counts as old as this are new enough: asking anew makes no difference.
const FRESH: Duration = Duration::from_millis(30);
/// A process may be at work for so long at least on what was sent to a connection before it was known whose that is.
const WORKS_FOR: Duration = Duration::from_secs(10);
/// Where clocks of messages begin, so that what is out can be taken off.
const CLOCK_START: u64 = 1 << 32;
/// Who has not come back for so long may wait for a thread,
const MISSED_AFTER: Duration = Duration::from_millis(250);
/// and who has not for so long has a thread that is busy, or never comes.
const MISSED_FOR: Duration = Duration::from_secs(30);
/// A broker that says nothing to what it was asked for so long cannot be relied on to ask for what it wants.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The broker of another server.
#[derive(Debug, Default)]
struct Neighbour {
    /// Which it is, once it has said so.
    broker: Option<ServerId>,
    /// The newest stamp heard from it.
    stamp: u64,
    /// What it tells is at least as new as this.
    heard: Option<Moment>,
    /// Since when an answer is due.
    asked: Option<Moment>,
    told: BTreeMap<String, Told>,
}

/// What a broker has told of a process.
#[derive(Clone, Copy, Debug)]
struct Told {
    sent: u64,
    out: u64,
    /// It has been so since then.
    since: Moment,
}

/// What was heard of a process.
#[derive(Debug)]
struct Heard {
    /// Who tells of it.
    of: BTreeSet<ServerId>,
    /// Messages that they are known to have sent to it: a clock, which never falls.
    sent: u64,
    /// Since when those that tell are the same.
    since: Moment,
}

/// A consumer may be given turns once newer counts have come than those of then.
#[derive(Clone, Copy, Debug)]
struct HeldUp {
    began: Moment,
    /// They came then.
    answered: Option<Moment>,
}

/// How many messages went to clients of whom nobody knows yet which process they are.
#[derive(Debug, Default)]
struct Strangers {
    /// All, up to [`WORKS_FOR`] ago or more.
    before: u64,
    /// All, up to then.
    noted: (u64, Moment),
}

impl Strangers {
    /// How many of all went out in the last [`WORKS_FOR`], or more.
    fn out(&mut self, now: Moment, all: u64) -> u64 {
        let (noted, at) = self.noted;
        if now.since(at) >= WORKS_FOR {
            self.before = noted;
            self.noted = (all, now);
        }
        all - self.before
    }
}

/// All brokers of the ensemble but this one.
#[derive(Debug, Default)]
pub(super) struct Beside {
    neighbours: BTreeMap<ServerId, Neighbour>,
    processes: BTreeMap<String, Heard>,
    stirred_until: Moment,
    told_at: Option<Moment>,
    tell_at: Option<Moment>,
    held_up: BTreeMap<ConsumerId, HeldUp>,
    strangers: Strangers,
    /// Consumers that others want threads of, until when.
    pub(super) called: BTreeMap<ConsumerId, Moment>,
    /// Whom to ask for threads of which consumers, at the end of the turn.
    pub(super) calls: BTreeMap<ServerId, BTreeSet<ConsumerId>>,
}

impl Beside {
    /// All that was heard is forgotten; the connections are still there.
    pub(super) fn clear(&mut self) {
        for neighbour in self.neighbours.values_mut() {
            *neighbour = Neighbour::default();
        }
        self.processes.clear();
        self.tell_at = None;
        self.held_up.clear();
        self.called.clear();
        self.calls.clear();
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.calls.is_empty() {
            true => self.tell_at,
            false => Some(Moment::START),
        }
    }

    /// The server with this broker.
    pub(super) fn server(&self, broker: Option<ServerId>) -> Option<ServerId> {
        let mut all = self.neighbours.iter();
        let found = all.find(|(_, it)| it.broker.is_some() && it.broker == broker);
        found.map(|(server, _)| *server)
    }

    /// The same, if it answers.
    fn answering(&self, now: Moment, broker: Option<ServerId>) -> Option<ServerId> {
        let server = self.server(broker)?;
        let it = &self.neighbours[&server];
        let in_time = it.asked.is_none_or(|asked| now.since(asked) < ANSWER_MAX);
        (it.heard.is_some() && in_time).then_some(server)
    }

    /// Whether somebody is asked who may still answer. A server that has no broker never says which it has.
    fn is_asking(&self, now: Moment) -> bool {
        let mut all = self.neighbours.values().filter(|it| it.broker.is_some());
        all.any(|it| it.asked.is_some_and(|asked| now.since(asked) < ANSWER_MAX))
    }

    /// Whether all of these brokers tell of this process.
    fn tell_of(&self, process: &str, brokers: impl Iterator<Item = Option<ServerId>>) -> bool {
        let Some(heard) = self.processes.get(process) else {
            return false;
        };
        let of = |server: &ServerId| self.neighbours[server].broker;
        let telling: BTreeSet<Option<ServerId>> = heard.of.iter().map(of).collect();
        let mut brokers = brokers;
        brokers.all(|broker| broker.is_some() && telling.contains(&broker))
    }

    /// Messages that a process is known to have come back from, by the clock of what others sent to it.
    pub(super) fn read_for_sure(&self, process: &str) -> u64 {
        let Some(heard) = self.processes.get(process) else {
            return 0;
        };
        let out = |server: &ServerId| self.neighbours[server].told[process].out;
        let out = heard.of.iter().map(out).fold(0, u64::saturating_add);
        heard.sent.saturating_sub(out)
    }

    /// Whether a process has not come back to another broker for more of what it was sent there, so that the thread that is to do
    /// so may be held here: its listener may have failed, and asks for the same again when it can.
    pub(super) fn is_missed(&self, now: Moment, process: &str) -> bool {
        let Some(heard) = self.processes.get(process) else {
            return false;
        };
        let mut told = heard.of.iter();
        told.any(|server| {
            let told = self.neighbours[server].told[process];
            told.out > 0 && (MISSED_AFTER..MISSED_FOR).contains(&now.since(told.since))
        })
    }

    /// How many messages of these brokers a process may have read since `read_at`, when it had read `read` of them for sure. `None`:
    /// they do not all tell.
    pub(super) fn read_since(
        &self,
        now: Moment,
        process: &str,
        brokers: impl Iterator<Item = Option<ServerId>>,
        (read_at, read): (Moment, u64),
    ) -> Option<u64> {
        let heard = self.processes.get(process)?;
        if heard.since >= read_at || !self.tell_of(process, brokers) {
            return None;
        }
        let oldest = heard
            .of
            .iter()
            .map(|server| self.neighbours[server].heard)
            .min()??;
        let sent = heard.sent.saturating_sub(read);
        Some(sent.saturating_add(read_at_most(now.since(oldest))))
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.neighbours.is_empty()
    }

    /// Takes what a broker tells. False: nobody is met there.
    fn take(&mut self, now: Moment, from: ServerId, counts: &Counts) -> bool {
        let Some(neighbour) = self.neighbours.get_mut(&from) else {
            return false;
        };
        neighbour.broker = Some(counts.broker);
        neighbour.stamp = counts.stamp;
        if counts.echo > 0 {
            let echo = Moment::from_nanos(counts.echo).min(now);
            neighbour.heard = neighbour.heard.max(Some(echo));
            neighbour.asked.take_if(|asked| *asked <= echo);
        }
        let mut before = std::mem::take(&mut neighbour.told);
        for count in counts.processes.iter().take(COUNTED_MAX) {
            let process = count.process.as_str();
            let former = before.remove(process);
            let same = former.filter(|it| (it.sent, it.out) == (count.sent, count.out));
            let told = Told {
                sent: count.sent,
                out: count.out,
                since: same.map_or(now, |it| it.since),
            };
            neighbour.told.insert(process.to_owned(), told);
            let heard = self.processes.entry(process.to_owned());
            let heard = heard.or_insert_with(|| Heard {
                of: BTreeSet::new(),
                sent: CLOCK_START,
                since: now,
            });
            match former {
                Some(former) if former.sent <= told.sent => {
                    heard.sent = heard.sent.saturating_add(told.sent - former.sent)
                }
                _ => {
                    heard.sent = heard.sent.saturating_add(told.sent);
                    heard.since = now;
                }
            }
            heard.of.insert(from);
        }
        for process in before.keys() {
            self.tells_no_more(now, from, process);
        }
        true
    }

    fn tells_no_more(&mut self, now: Moment, from: ServerId, process: &str) {
        if let Some(heard) = self.processes.get_mut(process) {
            heard.of.remove(&from);
            heard.since = now;
            if heard.of.is_empty() {
                self.processes.remove(process);
            }
        }
    }
}

impl Waiting {
    /// There is a connection to another server of the ensemble.
    pub(in crate::broker) fn met(&mut self, now: Moment, server: ServerId) {
        self.beside.neighbours.insert(server, Neighbour::default());
        self.stir(now);
    }

    /// There is none any more: what is held on the strength of it is held briefly.
    pub(in crate::broker) fn parted(&mut self, now: Moment, server: ServerId) {
        let Some(gone) = self.beside.neighbours.remove(&server) else {
            return;
        };
        for process in gone.told.keys() {
            self.beside.tells_no_more(now, server, process);
        }
        self.beside.calls.remove(&server);
        let had = |id: &ConsumerId| self.consumers[id].brokers.contains(&gone.broker);
        let left: BTreeSet<ConsumerId> = self.consumers.keys().copied().filter(had).collect();
        for consumer in left {
            self.hold_beside_others(now, consumer);
        }
    }

    /// A broker of the ensemble says something.
    pub(in crate::broker) fn told(&mut self, now: Moment, from: ServerId, word: Word) {
        if !self.options.enabled {
            return;
        }
        match word {
            Word::Wanted(readers) => {
                for reader in readers {
                    self.called(now, &reader);
                }
            }
            Word::Counts(counts) => {
                if !self.beside.take(now, from, &counts) {
                    return;
                }
                if counts.asks {
                    self.tell_counts(now, [from], false);
                }
                self.let_go_for(now, &counts);
                self.go_on(now);
            }
        }
    }

    /// What is held of processes that are missed elsewhere is held briefly.
    fn let_go_for(&mut self, now: Moment, counts: &Counts) {
        let named = counts.processes.iter().filter(|count| count.out > 0);
        let missed: BTreeSet<&str> = named
            .map(|count| count.process.as_str())
            .filter(|process| self.beside.is_missed(now, process))
            .collect();
        if missed.is_empty() {
            return;
        }
        let consumers = self.consumers.iter().filter(|(_, consumer)| {
            let process = consumer.client.process();
            process.is_some_and(|process| missed.contains(process))
        });
        let consumers: Vec<ConsumerId> = consumers.map(|(id, _)| *id).collect();
        for consumer in consumers {
            self.hold_beside_others(now, consumer);
        }
    }

    /// Messages go to a process that reads from others, too: they hear of it.
    pub(super) fn stir(&mut self, now: Moment) {
        self.beside.stirred_until = now + STIRRED_FOR;
        if self.beside.tell_at.is_none() && !self.beside.neighbours.is_empty() {
            let again = self.beside.told_at.map(|told| told + TELL_EVERY);
            self.beside.tell_at = Some(again.unwrap_or(now).max(now));
        }
    }

    pub(in crate::broker) fn tell_counts_when_due(&mut self, now: Moment) {
        if self.beside.tell_at.is_some_and(|at| at <= now) {
            let stirred = now < self.beside.stirred_until || self.beside.is_asking(now);
            match stirred && !self.elsewhere.is_empty() && !self.beside.neighbours.is_empty() {
                true => self.ask_counts(now),
                false => self.beside.tell_at = None,
            }
        }
        self.beside.called.retain(|_, until| *until > now);
        let waits = |it: &HeldUp| now.since(it.answered.unwrap_or(it.began)) < ANSWER_MAX;
        self.beside.held_up.retain(|_, it| waits(it));
    }

    /// Tells all what was sent from here, and asks for theirs.
    fn ask_counts(&mut self, now: Moment) {
        self.beside.told_at = Some(now);
        for neighbour in self.beside.neighbours.values_mut() {
            neighbour.asked.get_or_insert(now);
        }
        self.beside.tell_at = Some(now + TELL_EVERY);
        let all: Vec<ServerId> = self.beside.neighbours.keys().copied().collect();
        self.tell_counts(now, all, true);
    }

    /// A consumer could be given a turn if newer counts allowed it: whether they are on their way.
    pub(super) fn awaits_counts(&mut self, now: Moment, owner: ConsumerId) -> bool {
        // Not all can be asked, or it makes no difference.
        let oldest = self.oldest_counts(now, owner);
        if oldest.is_none_or(|oldest| now.since(oldest) <= FRESH) {
            return false;
        }
        let anew = HeldUp {
            began: now,
            answered: None,
        };
        let it = self.beside.held_up.entry(owner).or_insert(anew);
        if let Some(answered) = it.answered {
            // Where they take long to come, it would wait for ever for newer ones.
            if now.since(answered) <= answered.since(it.began) {
                return false;
            }
            *it = anew;
        }
        let told_at = self.beside.told_at;
        if told_at.is_none_or(|told| now.since(told) >= ASK_AGAIN) {
            self.ask_counts(now);
        }
        true
    }

    /// Since when nothing is counted that other brokers sent to a consumer's process. `None`: some of them do not say, or
    /// answer late.
    fn oldest_counts(&self, now: Moment, owner: ConsumerId) -> Option<Moment> {
        let process = self.consumers[&owner].client.process()?;
        let mut brokers = self.elsewhere.brokers(process);
        brokers.try_fold(now, |oldest, broker| {
            let it = &self.beside.neighbours[&self.beside.answering(now, broker)?];
            let is_late = it
                .asked
                .is_some_and(|asked| now.since(asked) >= ANSWER_SOON);
            Some(oldest.min(it.heard.filter(|_| !is_late)?))
        })
    }

    /// Counts have come: who waited for them goes on.
    fn go_on(&mut self, now: Moment) {
        for (consumer, it) in self.beside.held_up.clone() {
            if it.answered.is_some() || !self.consumers.contains_key(&consumer) {
                continue;
            }
            let oldest = self.oldest_counts(now, consumer);
            if oldest.is_none_or(|oldest| oldest >= it.began) {
                let answered = Some(now);
                let it = HeldUp { answered, ..it };
                self.beside.held_up.insert(consumer, it);
            }
            self.make_room(now, consumer);
            self.make_way(now, consumer);
        }
    }

    fn tell_counts(&mut self, now: Moment, to: impl IntoIterator<Item = ServerId>, asks: bool) {
        let processes = self.counts(now);
        for server in to {
            let Some(neighbour) = self.beside.neighbours.get(&server) else {
                continue;
            };
            let counts = Counts {
                stamp: now.as_nanos(),
                echo: neighbour.stamp,
                asks,
                broker: self.broker,
                processes: processes.clone(),
            };
            self.words.push((server, Word::Counts(counts)));
        }
    }

    /// What was sent from here to each process that reads elsewhere, too.
    fn counts(&mut self, now: Moment) -> Vec<Count> {
        let strangers = self.beside.strangers.out(now, self.sent.unattributed());
        let mut out: BTreeMap<&str, u64> = BTreeMap::new();
        for consumer in self.consumers.values() {
            // One whose name does not tell may have been counted by its connection.
            let connection = self.connections.get(&consumer.connection);
            let of_connection = connection.and_then(|it| it.client.as_ref()?.process());
            let process = consumer.client.process().or(of_connection);
            if let Some(process) = process.filter(|process| self.elsewhere.has(process)) {
                let readings = consumer.keys.iter();
                let readings = readings.filter_map(|key| self.keys[key].reading.as_ref());
                *out.entry(process).or_default() +=
                    readings.map(Reading::messages_out).sum::<u64>();
            }
        }
        let sent = &mut self.sent;
        let count = |process: &str| Count {
            process: Name::from(process),
            sent: sent.reading(process),
            out: strangers.saturating_add(out.get(process).copied().unwrap_or(0)),
        };
        let named = self.elsewhere.all();
        let short = |process: &&str| process.len() <= NAME_BYTES_MAX;
        named.filter(short).take(COUNTED_MAX).map(count).collect()
    }

    /// A consumer owns partitions of brokers that cannot say when they have data for it.
    pub(super) fn is_apart(&self, now: Moment, owner: ConsumerId) -> bool {
        let mut brokers = self.consumers[&owner].brokers.iter();
        brokers.any(|broker| self.beside.answering(now, *broker).is_none())
    }
}
