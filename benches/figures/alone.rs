//! What a server takes when nobody asks it for anything, and how soon it is there.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use tempfile::TempDir;

use crate::harness::deployment::Deployment;
use crate::harness::server::Server;
use crate::harness::socket::is_listening;
use crate::rounds::median;

/// A minute of nothing, after a server with one topic has come to rest.
pub(crate) fn idle() {
    const REST: Duration = Duration::from_secs(90);
    const MINUTE: Duration = Duration::from_secs(60);
    let mut server = Server::start(&[("figures", 4)]);
    sleep(REST);
    let pid = server.process().pid();
    let before = (processor_time(pid), written_bytes(pid));
    sleep(MINUTE);
    let after = (processor_time(pid), written_bytes(pid));
    println!(
        "  {:.1} MB resident, {:.3} % of a core, {} bytes written in {} s",
        mega(server.process().resident_bytes()),
        (after.0 - before.0).as_secs_f64() / MINUTE.as_secs_f64() * 100.0,
        after.1 - before.1,
        MINUTE.as_secs()
    );
}

pub(crate) fn mega(bytes: u64) -> f64 {
    let kilobytes = u32::try_from(bytes / 1000).expect("a server is smaller than 4 TB");
    f64::from(kilobytes) / 1e3
}

pub(crate) fn processor_time(pid: nix::unistd::Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Behind the name, which may hold anything: state first, then the fields from the fourth on.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks = |index: usize| -> u64 {
        let field = fields.split_whitespace().nth(index);
        field
            .expect("the kernel tells it")
            .parse()
            .expect("a number")
    };
    let a_second = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok())
        .expect("the kernel tells its clock");
    Duration::from_millis((ticks(11) + ticks(12)) * 1000 / a_second)
}

pub(crate) fn written_bytes(pid: nix::unistd::Pid) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("the process is ours");
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))
        .expect("the kernel counts")
        .parse()
        .expect("a number")
}

/// From the process's start until both ports accept, on folders that `init` has just made.
pub(crate) fn start() {
    const STARTS: usize = 21;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let home = TempDir::new().expect("make a folder");
        let server = Server::prepare(&home.path().join("server1"), &[("figures", 4)], |_| {});
        let began = Instant::now();
        let mut process = server.spawn(&mut server.command());
        for address in [server.coordinator(), server.broker()] {
            while !is_listening(address) {
                assert!(process.is_running(), "it ended:\n{}", process.log_tail());
                sleep(Duration::from_micros(500));
            }
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    println!(
        "  {STARTS} starts: median {:.0} ms, slowest {slowest:.0} ms",
        median(times)
    );
}
