//! The owner nodes of another ZooKeeper, as far as they were read in this session, without I/O.
//!
//! The broker asks; what is not known is read, and each read sets a watch, so that what was read is known until
//! its watch says that it changed. Reading is bounded in three ways: each znode is read once for all who ask for
//! it, so many reads are under way at a time, and so many begin in a second; after a start, and after a
//! connection was lost, that spreads the reads out instead of sending them all at once.
//!
//! *When nothing is believed.* Watches say nothing while the connection is lost, so all that was read is
//! dropped with it, and who asks meanwhile is told at once that nobody owns anything. The watches themselves
//! stay: the session sets them again when it has another connection. With the session both are gone, and the next one
//! begins with a cache of its own.
//!
//! *What is not there cannot be watched* (an owner node is missing, not its change). It is remembered for a
//! moment only, so that a client that owns nothing and asks again and again is not passed on to ZooKeeper.
//!
//! *What is not asked for any more* is forgotten. A watch cannot be taken back from a server of 3.4; it stays until
//! it fires, and its znode counts among those that may be kept.
//!
//! Every question is answered once, whatever happens: the broker waits for it and does not ask again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Answer, Question, Standing, Znodes, is_position};
use crate::units::ServerId;

#[cfg(test)]
mod tests;

/// Reads under way at a time.
const READING_MAX: usize = 32;
/// Reads begun in a second.
const READS_PER_SECOND: u32 = 2000;
/// Znodes that are kept; others are read each time.
const KEPT_MAX: usize = 32_768;
/// How long it is remembered that an owner node is not there.
const ABSENT_FOR: Duration = Duration::from_millis(250);
/// How long it is remembered that a position is not there, and no shorter than the group is read.
const UNTOLD_FOR: Duration = Duration::from_secs(1);
/// How long a question about a whole group may take until it is answered with what is known.
const GROUP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a read may take until ZooKeeper counts as silent.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// What was not asked for in this time is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// How often that is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What is read of a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::registry) enum Part {
    Content,
    Children,
}

/// What is read: of which znode, and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::registry) struct Place {
    pub(in crate::registry) path: Arc<str>,
    pub(in crate::registry) part: Part,
}

/// A read to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Read {
    pub(in crate::registry) place: Place,
    /// Set a watch as well.
    pub(in crate::registry) watch: bool,
}

/// What a znode holds, or which are below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Found {
    Content(String),
    Children(Vec<String>),
    Absent,
}

/// How a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Outcome {
    /// It was found; `watched` if a watch was set.
    Found { found: Found, watched: bool },
    /// ZooKeeper does not show it, and why.
    Refused(String),
}

/// Whether ZooKeeper can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Away,
    Here,
    /// It is connected and answers nothing.
    Silent,
}

#[derive(Debug, Default)]
struct Node {
    /// What was read, while it can be believed.
    found: Option<Found>,
    /// A watch of it is set.
    watched: bool,
    /// It is to be read, or is being read.
    wanted: bool,
    /// The read under way began before something that makes its result worthless.
    doubted: bool,
    /// Questions that wait for it.
    waiting: Vec<u64>,
    used: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    question: Question,
    since: Instant,
    /// Znodes it waits for.
    missing: usize,
}

/// What is known of the owner nodes, and who waits to hear of them.
#[derive(Debug)]
pub(in crate::registry) struct Cache {
    root: String,
    broker: ServerId,
    state: State,
    /// Why ZooKeeper did not show the last znode that was read, if it did not.
    refused: Option<String>,
    nodes: BTreeMap<Place, Node>,
    /// Those that are not there, and until when that is remembered, in this order: owner nodes and folders, and
    /// positions.
    absent: [VecDeque<(Instant, Place)>; 2],
    /// Open questions, the oldest first.
    pending: BTreeMap<u64, Pending>,
    next_id: u64,
    /// What is to be read: first for a get that waits, then for a whole group.
    queues: [VecDeque<Place>; 2],
    /// When each read under way began.
    reading: BTreeMap<Place, Instant>,
    /// Reads that may begin now.
    allowance: f64,
    allowed_at: Instant,
    swept: Instant,
    answers: Vec<Answer>,
}

impl Cache {
    /// Nothing is known, and there is nobody to ask.
    pub(in crate::registry) fn new(root: &str, broker: ServerId, now: Instant) -> Cache {
        Cache {
            root: root.to_owned(),
            broker,
            state: State::Away,
            refused: None,
            nodes: BTreeMap::new(),
            absent: Default::default(),
            pending: BTreeMap::new(),
            next_id: 0,
            queues: Default::default(),
            reading: BTreeMap::new(),
            allowance: f64::from(READS_PER_SECOND),
            allowed_at: now,
            swept: now,
            answers: Vec::new(),
        }
    }

    /// Takes in a question.
    pub(in crate::registry) fn ask(&mut self, now: Instant, question: Question) {
        if self.state != State::Here {
            self.answers.push(question.nobody());
            return;
        }
        self.forget_absent(now);
        self.next_id += 1;
        self.try_to_answer(
            now,
            self.next_id,
            Pending {
                question,
                since: now,
                missing: 0,
            },
        );
    }

    /// The next read, if one may begin now.
    pub(in crate::registry) fn next_read(&mut self, now: Instant) -> Option<Read> {
        if self.state != State::Here || self.reading.len() >= READING_MAX {
            return None;
        }
        let per_second = f64::from(READS_PER_SECOND);
        let passed = now.saturating_duration_since(self.allowed_at);
        self.allowance = (self.allowance + passed.as_secs_f64() * per_second).min(per_second);
        self.allowed_at = now;
        if self.allowance < 1.0 {
            return None;
        }
        let place = self.queues.iter_mut().find_map(VecDeque::pop_front)?;
        self.allowance -= 1.0;
        self.reading.insert(place.clone(), now);
        let watched = self.nodes.get(&place).is_some_and(|node| node.watched);
        let watch = !watched && self.nodes.len() <= KEPT_MAX;
        Some(Read { place, watch })
    }

    /// A read ended.
    pub(in crate::registry) fn read(&mut self, now: Instant, place: &Place, outcome: Outcome) {
        self.reading.remove(place);
        let Some(node) = self.nodes.get_mut(place) else {
            return;
        };
        node.wanted = false;
        let doubted = std::mem::take(&mut node.doubted);
        if let Outcome::Found { watched: true, .. } = outcome {
            node.watched = true;
        }
        match outcome {
            Outcome::Refused(reason) => {
                self.heard();
                self.refused = Some(reason);
                self.know(now, place, Found::Absent);
            }
            Outcome::Found { .. } if doubted => {
                self.heard();
                self.read_again(place);
                return;
            }
            Outcome::Found { found, .. } => {
                self.heard();
                if matches!(found, Found::Content(_)) {
                    self.refused = None;
                }
                self.know(now, place, found);
            }
        }
        self.answer_waiting(now, place);
    }

    /// A watch fired.
    pub(in crate::registry) fn changed(&mut self, place: &Place) {
        let Some(node) = self.nodes.get_mut(place) else {
            return;
        };
        (node.found, node.watched) = (None, false);
        // A read that is under way may have seen it before it changed.
        node.doubted = self.reading.contains_key(place);
        if !node.wanted {
            self.nodes.remove(place);
        }
        if place.part == Part::Children {
            // One that was not there may be there now.
            self.doubt_absent(&place.path);
        }
    }

    /// There is a connection: ZooKeeper can be asked.
    pub(in crate::registry) fn connected(&mut self) {
        if self.state == State::Away {
            self.state = State::Here;
        }
    }

    /// There is no connection: nothing that was read can be believed.
    pub(in crate::registry) fn lost(&mut self) {
        self.state = State::Away;
        self.reading.clear();
        self.drop_all();
    }

    /// Lets time pass.
    pub(in crate::registry) fn tick(&mut self, now: Instant) {
        let patience = |since: Instant| now.saturating_duration_since(since);
        let waits = |since: &Instant| patience(*since) >= READ_PATIENCE;
        if self.state == State::Here && self.reading.values().any(waits) {
            self.state = State::Silent;
            self.drop_all();
        }
        self.forget_absent(now);
        let late = self.pending.iter();
        let late: Vec<u64> = late
            .take_while(|(_, pending)| patience(pending.since) >= GROUP_PATIENCE)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            self.answer_with_what_is_known(now, id);
        }
        if patience(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.sweep(now);
        }
    }

    /// When [`Cache::tick`] or [`Cache::next_read`] wants to be called.
    pub(in crate::registry) fn deadline(&self) -> Instant {
        let oldest_read = self.reading.values().min().map(|&at| at + READ_PATIENCE);
        let oldest_question = self.pending.first_key_value().map(|(_, one)| one.since);
        let may_read = self.state == State::Here && self.reading.len() < READING_MAX;
        let waits = may_read && self.queues.iter().any(|queue| !queue.is_empty());
        let next_read = waits.then(|| {
            let short = (1.0 - self.allowance).max(0.0) / f64::from(READS_PER_SECOND);
            // Not a moment too soon, or this would be asked in vain.
            self.allowed_at + Duration::from_secs_f64(short) + Duration::from_millis(1)
        });
        [
            oldest_read.filter(|_| self.state == State::Here),
            oldest_question.map(|at| at + GROUP_PATIENCE),
            next_read,
        ]
        .into_iter()
        .flatten()
        .fold(self.swept + SWEEP_EVERY, Instant::min)
    }

    /// The answers since this was last asked.
    pub(in crate::registry) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Whether owners can be read now.
    pub(in crate::registry) fn standing(&self) -> Standing {
        match (&self.state, &self.refused) {
            (State::Away, _) => Standing::Away,
            (State::Silent, _) => Standing::Silent,
            (State::Here, Some(reason)) => Standing::Refused(reason.clone()),
            (State::Here, None) => Standing::Read,
        }
    }

    fn heard(&mut self) {
        if self.state == State::Silent {
            self.state = State::Here;
        }
    }

    /// Nothing is believed any more, and who waits is told so.
    fn drop_all(&mut self) {
        for node in self.nodes.values_mut() {
            let watched = node.watched;
            *node = Node {
                watched,
                ..Node::default()
            };
        }
        for place in self.reading.keys() {
            let node = self.nodes.entry(place.clone()).or_default();
            (node.wanted, node.doubted) = (true, true);
        }
        self.nodes.retain(|_, node| node.watched || node.wanted);
        self.absent = Default::default();
        self.queues = Default::default();
        let pending = std::mem::take(&mut self.pending);
        let nobody = pending.into_values().map(|one| one.question.nobody());
        self.answers.extend(nobody);
    }

    fn know(&mut self, now: Instant, place: &Place, found: Found) {
        let absent = found == Found::Absent;
        let node = self.nodes.entry(place.clone()).or_default();
        node.found = Some(found);
        if absent {
            match is_position(&place.path) {
                false => self.absent[0].push_back((now + ABSENT_FOR, place.clone())),
                true => self.absent[1].push_back((now + UNTOLD_FOR, place.clone())),
            }
        }
    }

    /// What was read may have changed meanwhile: who waits for it goes on waiting.
    fn read_again(&mut self, place: &Place) {
        let Some(node) = self.nodes.get_mut(place) else {
            return;
        };
        if node.waiting.is_empty() {
            if !node.watched {
                self.nodes.remove(place);
            }
            return;
        }
        node.wanted = true;
        self.queues[0].push_back(place.clone());
    }

    /// Tells those who wait for a znode that it was read.
    fn answer_waiting(&mut self, now: Instant, place: &Place) {
        let node = self.nodes.get_mut(place);
        let waiting = node.map_or_else(Vec::new, |node| std::mem::take(&mut node.waiting));
        for id in waiting {
            let Some(mut pending) = self.pending.remove(&id) else {
                continue;
            };
            pending.missing = pending.missing.saturating_sub(1);
            match pending.missing {
                0 => self.try_to_answer(now, id, pending),
                _ => drop(self.pending.insert(id, pending)),
            }
        }
        let unwatched = |node: &Node| !node.watched && node.found != Some(Found::Absent);
        if self
            .nodes
            .get(place)
            .is_some_and(|node| unwatched(node) && !node.wanted)
        {
            // Nobody tells when it changes.
            self.nodes.remove(place);
        }
    }

    /// Answers a question, or has it wait for what must be read first.
    fn try_to_answer(&mut self, now: Instant, id: u64, mut pending: Pending) {
        let (answer, missing) = self.look(now, &pending.question);
        if missing.is_empty() {
            self.answers.push(answer);
            return;
        }
        if self.nodes.len() > KEPT_MAX && matches!(pending.question, Question::Owned { .. }) {
            // What is read of it would be gone before the last of it is.
            self.answers.push(answer.incomplete());
            return;
        }
        pending.missing = missing.len();
        let queue = match pending.question {
            Question::Owner { .. } => 0,
            Question::Owned { .. } => 1,
        };
        for place in missing {
            let node = self.nodes.entry(place.clone()).or_default();
            node.waiting.push(id);
            if !std::mem::replace(&mut node.wanted, true) {
                self.queues[queue].push_back(place);
            }
        }
        self.pending.insert(id, pending);
    }

    /// A group is larger, or changes faster, than it can be read.
    fn answer_with_what_is_known(&mut self, now: Instant, id: u64) {
        let Some(pending) = self.pending.remove(&id) else {
            return;
        };
        let (answer, _) = self.look(now, &pending.question);
        self.answers.push(answer.incomplete());
    }

    /// The answer by what is known, and what is missing for a better one.
    fn look(&mut self, now: Instant, question: &Question) -> (Answer, BTreeSet<Place>) {
        let mut view = View {
            nodes: &mut self.nodes,
            now,
            missing: BTreeSet::new(),
        };
        let answer = question.clone().answer(&mut view, &self.root, self.broker);
        (answer, view.missing)
    }

    fn forget_absent(&mut self, now: Instant) {
        let is_group = |one: &Pending| matches!(one.question, Question::Owned { .. });
        let due = |(until, _): &mut (Instant, Place)| *until <= now;
        loop {
            let [owners, positions] = &mut self.absent;
            // What a group lacks is not read again and again before the last of it is.
            let gone = owners.pop_front_if(due).or_else(|| {
                let open = || self.pending.values().any(is_group);
                positions.pop_front_if(|one| due(one) && !open())
            });
            let Some((_, place)) = gone else { return };
            if let Some(node) = self.nodes.get_mut(&place)
                && node.found == Some(Found::Absent)
            {
                node.found = None;
                if !node.watched && !node.wanted {
                    self.nodes.remove(&place);
                }
            }
        }
    }

    /// Something came or went below `path`.
    fn doubt_absent(&mut self, path: &str) {
        let below: Arc<str> = format!("{path}/").into();
        let from = Place {
            path: Arc::clone(&below),
            part: Part::Content,
        };
        let range = (Bound::Included(from), Bound::Unbounded);
        let inside = |place: &Place| place.path.starts_with(&*below);
        let nodes = self.nodes.range_mut(range);
        for (_, node) in nodes.take_while(|(place, _)| inside(place)) {
            if node.found == Some(Found::Absent) {
                node.found = None;
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        let unused = |node: &Node| {
            let used = node.used.unwrap_or(now);
            !node.wanted && now.saturating_duration_since(used) >= FORGET_AFTER
        };
        self.nodes.retain(|_, node| {
            if unused(node) {
                node.found = None;
            }
            node.watched || node.wanted || node.found.is_some()
        });
    }
}

/// What is known, for one look at it.
struct View<'a> {
    nodes: &'a mut BTreeMap<Place, Node>,
    now: Instant,
    missing: BTreeSet<Place>,
}

impl View<'_> {
    fn find(&mut self, path: &str, part: Part) -> Option<&Found> {
        let place = Place {
            path: path.into(),
            part,
        };
        if let Some(node) = self.nodes.get_mut(&place) {
            node.used = Some(self.now);
        }
        let found = self.nodes.get(&place).and_then(|node| node.found.as_ref());
        if found.is_none() {
            self.missing.insert(place);
        }
        found
    }
}

impl Znodes for View<'_> {
    fn children(&mut self, path: &str) -> Vec<String> {
        match self.find(path, Part::Children) {
            Some(Found::Children(names)) => names.clone(),
            _ => Vec::new(),
        }
    }

    fn content(&mut self, path: &str) -> Option<String> {
        match self.find(path, Part::Content) {
            Some(Found::Content(content)) => Some(content.clone()),
            _ => None,
        }
    }
}
