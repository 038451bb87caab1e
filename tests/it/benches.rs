//! The benchmarks' loads with tiny sizes, so that they cannot rot.

#[path = "../../benches/coordinator/workload.rs"]
mod coordinator_workload;
#[path = "../../benches/journal/load.rs"]
mod journal_load;

use chrysalis::disk::Backend;
use coordinator_workload::Workload;
use journal_load::{Load, baseline};

#[test]
fn the_journal_s_loads_run_on_both_backends() {
    for backend in [Backend::Auto, Backend::Threads] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut load = Load::open(backend, folder.path());
        let rate = load.throughput(3000, 1024, 16);
        assert_eq!((rate.entries, rate.bytes), (3000, 3000 * 1024));
        assert!(rate.per_second() > 0.0 && rate.megabytes() > 0.0 && rate.cpu.as_nanos() > 0);
        assert_eq!(load.latency(5, 1024).len(), 5);
        load.settle();
        drop(load);
        // Opened again, it goes on where it was.
        Load::open(backend, folder.path()).throughput(10, 100, 1);
        assert_eq!(baseline(folder.path(), 3).len(), 3);
    }
}

#[test]
fn the_coordinator_s_workload_gets_all_its_replies() {
    let mut workload = Workload::new(2000, 10);
    assert_eq!(workload.set(2), 2 * 1024);
    assert_eq!(workload.get(2), 2 * 1024);
    assert_eq!(workload.lock(1), 2 * 1024);
    assert!(workload.snapshot(4096, |slice| slice()) > 2000 * 10);
    let (mut sessions, mut watches, mut connections) = (0, 0, 0);
    workload.watch(100, |piece| {
        piece();
        watches += 1;
    });
    workload.disconnect(|piece| {
        piece();
        connections += 1;
    });
    workload.end_a_session(100, |piece| {
        piece();
        sessions += 1;
    });
    assert_eq!((sessions, watches, connections), (1, 100, 1));
}
