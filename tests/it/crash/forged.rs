//! Files that were mended or forged: every checksum is right, and what they protect is not.

use std::path::{Path, PathBuf};

use super::world::{World, at_rest};
use crate::harness::lab::seeds;
use crate::harness::tally::Tally;

const BLOCK: usize = 4096;
const HEADER: usize = 96;
const MAGIC: &[u8] = b"CHRYSJNL";

/// The batches of all files: where each begins.
fn batches(world: &World) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for path in world.disk.paths() {
        let bytes = world.disk.bytes(&path);
        for at in (0..bytes.len()).step_by(BLOCK) {
            if bytes[at..].starts_with(MAGIC) {
                found.push((path.clone(), at));
            }
        }
    }
    found
}

/// Numbers at which sums and lengths go wrong.
fn number(world: &mut World) -> u64 {
    match world.random.below(6) {
        0 => u64::MAX,
        1 => u64::MAX - world.random.below(3),
        2 => u64::from(u32::MAX) - world.random.below(3),
        3 => world.random.below(5),
        4 => 1 << 63,
        _ => world.random.next(),
    }
}

/// Changes some numbers in a batch, and makes its checksums right again.
fn forge(world: &mut World, path: &Path, at: usize) {
    let mut bytes = world.disk.bytes(path).to_vec();
    let length = u32::from_le_bytes(bytes[at + 72..at + 76].try_into().expect("four bytes"));
    let length = usize::try_from(length).expect("32 bits");
    let body_end = (at + HEADER + length).min(bytes.len());
    for _ in 0..=world.random.below(3) {
        let value = number(world).to_le_bytes();
        // Most often in the header's numbers; of the body, where the records' numbers are likely to be.
        let span = if world.chance(50) { 56 } else { length.max(8) };
        let offset = usize::try_from(world.random.below(span as u64)).expect("small");
        let from = if span == 56 {
            at + 24 + offset / 8 * 8
        } else {
            at + HEADER + offset
        };
        let width = if world.chance(50) { 4 } else { 8 };
        let to = (from + width).min(bytes.len());
        if from < to {
            bytes[from..to].copy_from_slice(&value[..to - from]);
        }
    }
    if body_end > at + HEADER {
        let check = crc32fast::hash(&bytes[at + HEADER..body_end]);
        bytes[at + 76..at + 80].copy_from_slice(&check.to_le_bytes());
    }
    let check = crc32fast::hash(&bytes[at..at + 92]);
    bytes[at + 92..at + HEADER].copy_from_slice(&check.to_le_bytes());
    world.disk.put(path, Some(bytes));
}

/// Whatever is there, the start opens it or says what is wrong with it; and so does what comes after an opening.
#[test]
fn no_number_in_a_file_makes_the_start_panic() {
    let mut tally = Tally::default();
    for seed in seeds(400, 40_000) {
        let mut world = at_rest(seed);
        world.disk.power_cut();
        let all = batches(&world);
        for _ in 0..=world.random.below(3) {
            let chosen = usize::try_from(world.random.below(all.len() as u64)).expect("small");
            let (path, at) = &all[chosen];
            forge(&mut world, path, *at);
        }
        let refused = world.open().is_err();
        world.options.accept_loss = true;
        let lasting = refused && world.open().is_err();
        let became = match (refused, lasting) {
            (false, _) => "opened",
            (true, false) => "opened with a loss",
            (true, true) => "refused",
        };
        tally.add(became, 1);
        if lasting {
            continue;
        }
        world.options.accept_loss = false;
        world.idle();
        world.disk.power_cut();
        // What it made of them is a journal again.
        world.open().unwrap_or_else(|error| panic!("{error}"));
    }
    tally.assert_at_least(&[("opened", 60), ("opened with a loss", 90), ("refused", 4)]);
}
