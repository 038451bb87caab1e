//! Hosts on one network: each is a namespace of the kernel's with an address of its own, all plugged into one bridge. The
//! thread that made it is on the bridge itself, as are the threads and processes that it starts from then on.
//!
//! Nothing of it has a name on the machine: it goes with the last who is in it, also when the test is killed.
//!
//! What a host sends to another one is lost while it has a wrong hardware address for it. So either direction is cut without
//! the other, no packet is refused or answered, and nothing is needed but `ip`.

use super::debian::need;
use super::{may_make_namespaces, run, seen};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::process::{self, Command};

/// Nobody's.
const NOBODY: &str = "02:00:00:00:00:01";
/// What not every kernel has.
const PROBE: &str =
    "ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2";
/// What each host calls its only way out.
const PLUG: &str = "eth0";

/// Hosts by their place, from 0.
pub(crate) struct Network {
    hosts: Vec<File>,
    bridge: File,
    /// Where this thread was before.
    before: File,
}

impl Network {
    /// So many hosts; none, and a word why this test was not seen, where we may not.
    pub(crate) fn of(count: u8) -> Option<Network> {
        if !may_make_namespaces() {
            return None;
        }
        need("ip", "iproute2");
        let mut probe = Command::new("unshare");
        probe.args(["--net", "sh", "-c", PROBE]);
        if !seen(&mut probe, "it needs bridges and what is plugged into them") {
            return None;
        }
        let before = here();
        let hosts = (0..count).map(|_| apart()).collect();
        let network = Network {
            hosts,
            bridge: apart(),
            before,
        };
        ip("link add middle type bridge");
        ip(&format!("addr add {}/24 dev middle", address(count)));
        ip("link set middle up");
        for host in 0..usize::from(count) {
            network.plug_in(host);
        }
        Some(network)
    }

    fn plug_in(&self, host: usize) {
        // For `ip` it is a file of this process.
        let space = format!(
            "/proc/{}/fd/{}",
            process::id(),
            self.hosts[host].as_raw_fd()
        );
        let ends = format!("port{host} type veth peer name {PLUG} netns {space}");
        ip(&format!("link add {ends}"));
        ip(&format!("link set port{host} master middle up"));
        self.on(host, || {
            ip(&format!("addr add {}/24 dev {PLUG}", self.address(host)));
            ip(&format!("link set {PLUG} up"));
        });
    }

    pub(crate) fn address(&self, host: usize) -> Ipv4Addr {
        assert!(host < self.hosts.len(), "there is no host {host}");
        address(u8::try_from(host).expect("few"))
    }

    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        (0..self.hosts.len()).map(|i| self.address(i)).collect()
    }

    /// Does something on a host: what it starts stays there.
    pub(crate) fn on<T>(&self, host: usize, work: impl FnOnce() -> T) -> T {
        enter(&self.hosts[host]);
        let done = work();
        enter(&self.bridge);
        done
    }

    /// Nothing gets from one host to the other any more.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.say_neighbour(
            from,
            to,
            &format!("lladdr {NOBODY} nud permanent"),
            "replace",
        );
    }

    /// It does again.
    pub(crate) fn mend(&self, from: usize, to: usize) {
        self.say_neighbour(from, to, "", "del");
    }

    fn say_neighbour(&self, from: usize, to: usize, hardware: &str, verb: &str) {
        let neighbour = format!("{} {hardware} dev {PLUG}", self.address(to));
        self.on(from, || ip(&format!("neigh {verb} {neighbour}")));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        enter(&self.before);
    }
}

fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host + 1)
}

/// The namespace that this thread is in.
fn here() -> File {
    File::open("/proc/thread-self/ns/net").expect("each thread is in a namespace")
}

/// Takes this thread to a new namespace.
fn apart() -> File {
    unshare(CloneFlags::CLONE_NEWNET).expect("we may make namespaces");
    ip("link set lo up");
    here()
}

fn enter(space: &File) {
    setns(space, CloneFlags::CLONE_NEWNET).expect("we have been there");
}

fn ip(words: &str) {
    let mut command = Command::new("ip");
    run(
        command.args(words.split_whitespace()),
        "make a network (as root)",
    );
}
