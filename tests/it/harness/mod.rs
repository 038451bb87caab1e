//! What the tests use and what is no test itself. benches/figures uses it as well.

/// Bits of files that turn over.
pub(crate) mod bits;
/// Clusters whose servers show each other certificates.
pub(crate) mod certificates;
/// Several servers of ours that are one coordinator.
pub(crate) mod cluster;
/// Commands of ours, run in a server's folder.
pub(crate) mod command;
/// The line protocol of a conformance program in another language.
pub(crate) mod conversation;
/// What a conformance program runs against: ours or the originals.
pub(crate) mod deployment;
/// Small numbers at random.
pub(crate) mod dice;
/// A broker of ours alone, and the ZooKeeper that it registers in.
pub(crate) mod ensemble;
/// The judge of what clients were told, whoever the servers are.
pub(crate) mod history;
/// What comes from outside: the originals, real clients, tools; what this machine lets us do.
pub(crate) mod lab;
/// Small writers, and a ledger of what was acknowledged to them.
pub(crate) mod load;
/// A MetaQ client of the tests' own.
pub(crate) mod metaq_wire;
/// Debian's ZooKeeper and the Java MetaQ broker, running.
pub(crate) mod originals;
/// Processes: started, watched, stopped; waiting for what others bring about.
pub(crate) mod process;
/// The seed of a test, which a test that dies prints: a file of the library's own tests.
#[path = "../../../src/tests/replay.rs"]
pub(crate) mod replay;
/// A ZooKeeper client that goes on with another server.
pub(crate) mod roaming;
/// Our server, running.
pub(crate) mod server;
/// Sockets of the tests' own clients, and ports that nobody uses.
pub(crate) mod socket;
/// Counts of what a test met: a file of the library's own tests.
#[path = "../../../src/tests/tally.rs"]
pub(crate) mod tally;
/// Three servers, and what befalls them while clients of theirs go on.
pub(crate) mod under_fire;
/// What the web port answers.
pub(crate) mod web;
/// A ZooKeeper client of the tests' own.
pub(crate) mod zookeeper_wire;
