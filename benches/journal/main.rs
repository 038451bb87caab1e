//! The journal on the real disk, with both backends, and the bare disk beside it.
//!
//! `cargo bench --bench journal`; `cargo test --bench journal` runs each load once, tiny. The folder that is
//! measured is a temporary one in `CHRYSALIS_BENCH_FOLDER`, or in the working folder. Besides Criterion's
//! figures a line a load says entries a second, MB/s of payload, and processor time.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrysalis::disk::Backend;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod load;

use load::{Load, baseline};

fn folder() -> tempfile::TempDir {
    let above = std::env::var_os("CHRYSALIS_BENCH_FOLDER");
    let above = above.map_or(PathBuf::from("."), PathBuf::from);
    let named = tempfile::Builder::new()
        .prefix("bench-journal")
        .tempdir_in(above);
    named.expect("a folder can be made")
}

fn journal(criterion: &mut Criterion) {
    // Cargo says --bench when figures are wanted.
    let scale = if std::env::args().any(|argument| argument == "--bench") {
        1000
    } else {
        1
    };
    for backend in [Backend::Ring, Backend::Threads] {
        let folder = folder();
        let began = Instant::now();
        let mut load = Load::open(backend, folder.path());
        println!("{backend:?}: a new journal opens in {:?}", began.elapsed());
        load.settle();
        // Once round the circle, so that every file has been made and filled.
        load.throughput(600 * scale, 1024, 64);
        load.settle();
        one_at_a_time(backend, &mut load, &folder, scale);
        for turn_entries in [1, 16, 64, 512] {
            let rate = load.throughput(400 * scale, 1024, turn_entries);
            println!(
                "{backend:?}: {turn_entries} entries of 1 KB a turn: {:.0} entries/s, {:.0} MB/s, cpu {:.0}%",
                rate.per_second(),
                rate.megabytes(),
                rate.cpu.as_secs_f64() / rate.elapsed.as_secs_f64() * 100.0
            );
        }
        let mut group = criterion.benchmark_group(format!("journal {backend:?}"));
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(5));
        group.throughput(Throughput::Elements(1));
        group.bench_function("1 KB entries, 64 a turn", |bencher| {
            bencher.iter_custom(|count| load.throughput(count, 1024, 64).elapsed);
        });
        group.finish();
        drop(load);
        let began = Instant::now();
        Load::open(backend, folder.path());
        println!(
            "{backend:?}: a circle full of files opens in {:?}",
            began.elapsed()
        );
    }
}

/// A lone record's wait and the bare disk's, in turn, so that both see the same minute.
fn one_at_a_time(backend: Backend, load: &mut Load, folder: &tempfile::TempDir, scale: u64) {
    for _ in 0..2 {
        let waits = load.latency(2 * scale, 1024);
        let bare = baseline(folder.path(), 2 * scale);
        let at = |waits: &[Duration], percent: usize| waits[(waits.len() - 1) * percent / 100];
        println!(
            "{backend:?}: one 1 KB record p50 {:?} p99 {:?}; bare 4 KiB write p50 {:?} p99 {:?}",
            at(&waits, 50),
            at(&waits, 99),
            at(&bare, 50),
            at(&bare, 99)
        );
    }
}

criterion_group!(benches, journal);
criterion_main!(benches);
