//! Was it true, what the clients were told, and is it still?

use super::clients::{Creation, Notes, SEQUENCE, Use, held_by, path_of};
use crate::harness::cluster::Cluster;
use crate::harness::history::{Action, History, Register, Told};
use crate::harness::lab;
use crate::harness::roaming::Roamer;
use crate::harness::zookeeper_wire::{Body, op};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// For sessions that outlive every outage.
const TIMEOUT_MS: i32 = 60_000;

/// All judges: of what each client was told, and of what each server has now.
pub(super) fn judge(notes: &[Notes], cluster: &Cluster) {
    let creations: Vec<&Creation> = notes.iter().flat_map(|it| &it.creations).collect();
    let registers = registers(notes);
    let servers = cluster.places();
    let found: Vec<Found> = servers
        .map(|i| Found::on(cluster, i, registers.keys()))
        .collect();
    for found in &found {
        nothing_acknowledged_is_lost(&creations, &found.names);
        nothing_is_done_twice(&creations, &found.names);
    }
    sequences_follow_time(&creations);
    notes.iter().for_each(nobody_goes_back_in_time);
    for (register, uses) in &registers {
        let held: Vec<Register> = found.iter().map(|it| it.held[register]).collect();
        there_is_an_order(*register, uses, &held);
    }
    tell(notes, &creations, registers.len());
}

/// What a server has in the end, behind a sync.
struct Found {
    /// Those below [`SEQUENCE`].
    names: BTreeSet<String>,
    held: BTreeMap<u64, Register>,
}

impl Found {
    fn on<'a>(cluster: &Cluster, i: usize, registers: impl Iterator<Item = &'a u64>) -> Found {
        // It knows no other server, and comes back to this one when its connection breaks, with what it has seen.
        let mut client = Roamer::new(vec![cluster.address(i)], 0, TIMEOUT_MS);
        let synced = client.answer(op::SYNC, &Body::new().string(SEQUENCE));
        assert_eq!(synced.error, 0, "sync");
        let children = Body::new().string(SEQUENCE).bool(false);
        let listed = client.answer(op::GET_CHILDREN, &children);
        assert_eq!(listed.error, 0, "it is there");
        let listed = listed.reader().strings();
        let held = registers.map(|register| {
            let path = Body::new().string(&path_of(*register)).bool(false);
            (*register, held_by(&client.answer(op::GET_DATA, &path)))
        });
        let held = held.collect();
        let names: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(names.len(), listed.len(), "a name twice");
        Found { names, held }
    }
}

fn nothing_acknowledged_is_lost(creations: &[&Creation], names: &BTreeSet<String>) {
    let acknowledged = creations.iter().filter_map(|it| it.named.as_ref());
    let lost: Vec<&String> = acknowledged
        .map(|(_, name)| name)
        .filter(|name| !names.contains(*name))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

/// Also of what was never answered there is one at most, and nothing is there that nobody asked for.
fn nothing_is_done_twice(creations: &[&Creation], names: &BTreeSet<String>) {
    let asked: BTreeSet<&str> = creations.iter().map(|it| it.stem.as_str()).collect();
    let mut met = BTreeSet::new();
    for name in names {
        let (stem, _) = parts(name);
        assert!(asked.contains(stem), "{name}: nobody asked for it");
        assert!(met.insert(stem), "{name}: it was done twice");
    }
}

/// The stem of a name, and its number in the sequence.
fn parts(name: &str) -> (&str, u64) {
    let (stem, number) = name.split_at(name.len() - 10);
    (stem, number.parse().expect("ten digits"))
}

/// What was asked for behind an acknowledgement has a later number in the sequence.
fn sequences_follow_time(creations: &[&Creation]) {
    let mut acknowledged: Vec<(u64, u64, &String)> = creations
        .iter()
        .filter_map(|it| {
            let (at, name) = it.named.as_ref()?;
            Some((it.asked_at, *at, name))
        })
        .collect();
    acknowledged.sort_by_key(|(_, at, _)| *at);
    // The highest number of what was acknowledged by a time.
    let mut highest = BTreeMap::new();
    let mut high = 0;
    for (_, at, name) in &acknowledged {
        high = high.max(parts(name).1);
        highest.insert(*at, high);
    }
    for (asked_at, _, name) in &acknowledged {
        let before = highest.range(..*asked_at).next_back();
        let fits = before.is_none_or(|(_, before)| parts(name).1 > *before);
        assert!(fits, "{name} came behind {before:?} and has a lower number");
    }
}

fn nobody_goes_back_in_time(notes: &Notes) {
    let mut seen: BTreeMap<u64, Register> = BTreeMap::new();
    for (register, held) in &notes.sights {
        let before = *seen.entry(*register).or_insert(*held);
        assert!(
            held.version > before.version || *held == before,
            "a client: register {register} held {held:?} behind {before:?}"
        );
        seen.insert(*register, *held);
    }
}

/// What all clients did, by register and in the order of time.
fn registers(notes: &[Notes]) -> BTreeMap<u64, Vec<Use>> {
    let mut registers: BTreeMap<u64, Vec<Use>> = BTreeMap::new();
    for one in notes.iter().flat_map(|it| &it.uses) {
        registers.entry(one.register).or_default().push(*one);
    }
    for uses in registers.values_mut() {
        uses.sort_by_key(|it| it.asked_at);
    }
    registers
}

/// One order explains what the clients were told, and what each server has in the end.
fn there_is_an_order(register: u64, uses: &[Use], held: &[Register]) {
    let mut history = History::default();
    for one in uses {
        let number = history.asked(one.asked_at, one.action);
        if let Some((at, told)) = one.told {
            history.told(number, at, told);
        }
    }
    // Behind all else.
    for held in held {
        let number = history.asked(u64::MAX - 1, Action::Read);
        history.told(number, u64::MAX, Told::Holds(*held));
    }
    assert!(
        history.has_an_order(),
        "no order explains what clients were told of register {register}: {uses:?}, and {held:?} in the end"
    );
}

fn tell(notes: &[Notes], creations: &[&Creation], registers: usize) {
    let uses = notes.iter().flat_map(|it| &it.uses);
    let answered = uses.clone().filter(|it| it.told.is_some()).count();
    let acknowledged = creations.iter().filter(|it| it.named.is_some()).count();
    let waited = notes.iter().map(|it| it.longest_wait).max();
    lab::note(&format!(
        "{answered} of {} uses of {registers} registers were answered, {acknowledged} of {} creations; the longest wait was {:?}",
        uses.count(),
        creations.len(),
        waited.expect("there are clients")
    ));
}
