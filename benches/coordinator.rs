//! How much the coordinator's core does on one processor core, without sockets, log or disk.
//!
//! `cargo bench --bench coordinator`. The slices of a snapshot are not averaged: the longest counts.

#![allow(clippy::print_stdout, reason = "what a benchmark prints is its result")]

#[path = "coordinator/workload.rs"]
mod workload;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use workload::Workload;

fn core(criterion: &mut Criterion) {
    for znodes in [1000, 1_000_000] {
        let mut workload = Workload::new(znodes, 100);
        let mut group = criterion.benchmark_group(format!("{znodes} znodes"));
        let turn = u64::try_from(workload.set(1)).expect("a turn is small");
        group.throughput(Throughput::Elements(turn));
        group.bench_function("set", |bencher| bencher.iter(|| black_box(workload.set(1))));
        group.bench_function("get", |bencher| bencher.iter(|| black_box(workload.get(1))));
        group.throughput(Throughput::Elements(2 * turn));
        group.bench_function("lock", |bencher| {
            bencher.iter(|| black_box(workload.lock(1)))
        });
        group.finish();
        slices(&mut workload, znodes);
    }
    for count in [100_000, 1_000_000] {
        pieces(&mut Workload::new(1000, 100), count);
    }
}

/// What cannot be done in slices.
fn pieces(workload: &mut Workload, count: usize) {
    let measure = |piece: &mut dyn FnMut()| {
        let (start, waited) = (Instant::now(), time_waited());
        piece();
        start.elapsed().saturating_sub(time_waited() - waited)
    };
    let (mut longest, mut whole) = (Duration::ZERO, Duration::ZERO);
    workload.watch(count, |piece| {
        let start = Instant::now();
        piece();
        let taken = start.elapsed();
        longest = longest.max(taken);
        whole += taken;
    });
    println!("{count} watches: {whole:?}, longest {longest:?}");
    let mut taken = Duration::ZERO;
    workload.end_a_session(count, |piece| taken = measure(piece));
    println!("{count} ephemerals go with their session: {taken:?}");
    workload.disconnect(|piece| taken = measure(piece));
    println!("{count} watches go with their connection: {taken:?}");
}

fn slices(workload: &mut Workload, znodes: usize) {
    let mut taken = Vec::new();
    let bytes = workload.snapshot(128 << 10, |slice| {
        let (start, waited) = (Instant::now(), time_waited());
        slice();
        taken.push(start.elapsed().saturating_sub(time_waited() - waited));
    });
    taken.sort_unstable();
    let (slices, all) = (taken.len(), taken.iter().sum::<Duration>());
    let (median, longest) = (taken[slices / 2], &taken[slices.saturating_sub(5)..]);
    println!(
        "{znodes} znodes/snapshot: {bytes} bytes, {slices} slices in {all:?}, \
         median {median:?}, longest {longest:?}"
    );
}

/// How long this thread waited for a processor so far: not the coordinator's fault.
fn time_waited() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = statistics
        .split(' ')
        .nth(1)
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = core
}
criterion_main!(benches);
