//! What the machine lets the process use: limits that a server can only lose by are raised as far as they may be, and
//! one that is too low is told before anything is begun, and not found in the middle of the work.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};

use crate::config::Config;
use crate::report::{Code, Error};

/// Files that a command has open at a time, with those of its runtime.
const DESCRIPTORS_MIN: usize = 16;
/// Address space that a server needs before it keeps anything for clients; mostly what the allocator sets aside for threads.
const ADDRESS_SPACE_MIN: u64 = 640 << 20;
/// The same of memory that is written to.
const DATA_MIN: u64 = 192 << 20;

/// Prepares the process for whatever it is asked to do. To be called first, and before any thread exists.
///
/// # Errors
/// The stack is too small for the program to say so later.
pub fn begin() -> Result<(), Error> {
    raise(Resource::RLIMIT_STACK);
    outlive_long_files();
    raise(Resource::RLIMIT_NOFILE);
    match finite(STACK.resource) {
        Some(most) if most < STACK.needed => Err(STACK.too_low(most)),
        _ => find_descriptors(),
    }
}

/// Libraries take it for a bug of their caller's if they find no descriptor, so it is found out before they need one.
fn find_descriptors() -> Result<(), Error> {
    let copies: Result<Vec<OwnedFd>, Errno> = (0..DESCRIPTORS_MIN)
        .map(|_| nix::unistd::dup(io::stdin()))
        .collect();
    copies.map(drop).map_err(|error| {
        Error::new(Code::E0111, "open files")
            .because(error)
            .means("Nothing was started or changed.")
            .cure(format!(
                "The program needs {DESCRIPTORS_MIN} at least. Raise the limit of open files: `ulimit -n`, LimitNOFILE in a unit."
            ))
    })
}

/// Finds out whether the process may have so many more threads: libraries take it for a bug of their caller's if they
/// get none. They are gone when this returns.
///
/// # Errors
/// The system refuses one of them.
pub fn find_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let started: Vec<io::Result<JoinHandle<()>>> = (0..count)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::Builder::new().spawn(move || drop(gate.lock()))
        })
        .collect();
    drop(closed);
    let mut refused = Ok(());
    for thread in started {
        match thread {
            // It does nothing that could go wrong.
            Ok(thread) => drop(thread.join()),
            Err(error) => refused = Err(error),
        }
    }
    refused
}

/// Has a write beyond the permitted size of a file fail, instead of the process.
fn outlive_long_files() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // Without it such a write ends the process, as it would have anyway.
    let _ = signals.thread_block();
}

/// Raises the soft limit to the hard one, which is what an administrator has decided on.
fn raise(resource: Resource) {
    if let Ok((soft, hard)) = getrlimit(resource)
        && soft < hard
    {
        // A kernel that has changed its mind about the hard limit leaves us with the soft one.
        let _ = setrlimit(resource, hard, hard);
    }
}

/// Prepares the process for serving. What an operator should know of its limits, a sentence each.
///
/// # Errors
/// A limit is too low for what this configuration needs.
pub fn prepare(config: &mut Config) -> Result<Vec<String>, Error> {
    for resource in [
        Resource::RLIMIT_NPROC,
        Resource::RLIMIT_FSIZE,
        Resource::RLIMIT_MEMLOCK,
        Resource::RLIMIT_CPU,
    ] {
        raise(resource);
    }
    let mut notes = Vec::new();
    for limit in limits(config) {
        let Some(most) = finite(limit.resource) else {
            continue;
        };
        if most < limit.needed {
            return Err(limit.too_low(most));
        }
        notes.extend((most < limit.wanted).then(|| limit.note(most)));
    }
    for limit in &MEMORY {
        notes.extend(fit_into_memory(limit, config)?);
    }
    Ok(notes)
}

/// Has clients be refused before the process meets a limit of memory, which it would not outlive: what they may make it
/// keep becomes less, each kind in the same measure.
fn fit_into_memory(limit: &Limit, config: &mut Config) -> Result<Option<String>, Error> {
    let Some(most) = finite(limit.resource) else {
        return Ok(None);
    };
    // A quarter for what lies between what is kept.
    let room = most.saturating_sub(limit.needed) / 4 * 3;
    let one_connection = u64::from(config.network.connection_bytes_max);
    let config_connections = config.network.all_connections_bytes_max;
    let mut bounds = vec![&mut config.network.all_connections_bytes_max];
    if let Some(own) = &mut config.coordinator {
        bounds.push(&mut own.tree_bytes_max);
        bounds.push(&mut own.watch_bytes_max);
    }
    let sum: u128 = bounds.iter().map(|bound| u128::from(**bound)).sum();
    // Without so much not even one connection has what it may hold; with all of it nothing is bounded.
    let all_connections = u128::from(config_connections.max(1));
    let least = sum * u128::from(one_connection) / all_connections;
    let in_all = |kept: u128| u128::from(limit.needed).saturating_add(kept.div_ceil(3) * 4);
    let (least, whole) = (in_all(least), in_all(sum));
    if sum <= u128::from(room) {
        return Ok(None);
    }
    for bound in bounds {
        *bound = u64::try_from(u128::from(*bound) * u128::from(room) / sum).unwrap_or(*bound);
    }
    if config.network.all_connections_bytes_max < one_connection {
        let what = format!(
            "the limit of the {} is {most}, and what this configuration lets clients keep needs at least {least}",
            limit.what
        );
        return Err(Error::new(Code::E0111, what)
            .means("Nothing was started or changed.")
            .cure(format!(
                "Raise it to {whole}, with which nothing is bounded, or more: {}.",
                limit.raise
            )));
    }
    let connections = config.network.all_connections_bytes_max;
    let own = config.coordinator.as_ref();
    let (tree, watches) = own.map_or((0, 0), |own| (own.tree_bytes_max, own.watch_bytes_max));
    let (what, raise) = (limit.what, limit.raise);
    Ok(Some(format!(
        "the limit of the {what} is {most}: connections may hold {connections} bytes, the tree {tree}, watches {watches}, and \
         no more; what is configured needs {whole} in all; raise it: {raise}"
    )))
}

/// The soft limit, if there is one.
fn finite(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

/// A limit, and what a server needs of it.
struct Limit {
    resource: Resource,
    /// What is limited, with its unit.
    what: &'static str,
    /// How to raise it.
    raise: &'static str,
    /// Without so much the server does not start.
    needed: u64,
    /// With less than this it may meet the limit.
    wanted: u64,
    /// What happens when it meets it.
    meets: &'static str,
}

/// The main thread's.
const STACK: Limit = Limit {
    resource: Resource::RLIMIT_STACK,
    what: "stack (bytes)",
    raise: "`ulimit -s`, or LimitSTACK in the unit",
    needed: 1 << 20,
    wanted: 0,
    meets: "",
};

/// What memory is limited by.
const MEMORY: [Limit; 2] = [
    Limit {
        resource: Resource::RLIMIT_AS,
        what: "address space (bytes)",
        raise: "`ulimit -v`, or MemoryMax instead of LimitAS in the unit",
        needed: ADDRESS_SPACE_MIN,
        wanted: 0,
        meets: "",
    },
    Limit {
        resource: Resource::RLIMIT_DATA,
        what: "data segment (bytes)",
        raise: "`ulimit -d`, or MemoryMax instead of LimitDATA in the unit",
        needed: DATA_MIN,
        wanted: 0,
        meets: "",
    },
];

impl Limit {
    fn too_low(&self, most: u64) -> Error {
        let (what, needed) = (self.what, self.needed);
        Error::new(
            Code::E0111,
            format!("the limit of the {what} is {most}, and the program needs more than {needed}"),
        )
        .means("Nothing was started or changed.")
        .cure(format!("Raise it: {}.", self.raise))
    }

    fn note(&self, most: u64) -> String {
        let (what, meets, raise) = (self.what, self.meets, self.raise);
        format!("the limit of the {what} is {most}: {meets}; raise it: {raise}")
    }
}

fn limits(config: &Config) -> [Limit; 2] {
    let tree = config.coordinator.as_ref();
    let tree_bytes = tree.map_or(0, |own| own.tree_bytes_max);
    let segment = config.broker.as_ref().map_or(0, |own| {
        u64::from(own.segment_bytes) + u64::from(own.message_bytes_max)
    });
    let file = config.journal.file_bytes.max(segment);
    [
        Limit {
            resource: Resource::RLIMIT_FSIZE,
            what: "size of a file (bytes)",
            raise: "`ulimit -f`, or LimitFSIZE in the unit",
            needed: file.max(config.disk.reserve_bytes),
            wanted: file.max(tree_bytes),
            meets: "a snapshot of a larger tree cannot be written, and the journal fills up",
        },
        Limit {
            resource: Resource::RLIMIT_CPU,
            what: "processor time (seconds)",
            raise: "`ulimit -t`, or LimitCPU in the unit",
            needed: 0,
            wanted: u64::MAX,
            meets: "the system kills the server when it has used it up",
        },
    ]
}
