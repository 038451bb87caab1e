//! What a conformance program runs against: a coordinator and a broker that belong together, ours or the
//! originals.

use std::net::SocketAddr;
use std::time::Duration;

/// A topic and its number of partitions.
pub(crate) type Topic = (&'static str, u32);

/// A running pair of coordinator and broker.
pub(crate) trait Deployment {
    /// For messages: `ours` or `original`.
    fn name(&self) -> &'static str;
    /// Where ZooKeeper clients connect.
    fn coordinator(&self) -> SocketAddr;
    /// All servers where ZooKeeper clients connect, as they are told of them.
    fn coordinators(&self) -> String {
        self.coordinator().to_string()
    }
    /// Where MetaQ clients connect.
    fn broker(&self) -> SocketAddr;
    /// An orderly stop of everything, and a start on the same data.
    fn restart(&mut self);
    /// The broker's process dies at once and is started again on the same data.
    fn kill_and_restart(&mut self);
    /// Does what a conformance program asks for; false if nobody here knows what that means.
    fn carry_out(&mut self, request: &str) -> bool {
        match request {
            "restart" => self.restart(),
            "kill" => self.kill_and_restart(),
            _ => return false,
        }
        true
    }
}

/// Starting a JVM on a loaded machine of two cores takes its time.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);

/// An orderly stop drains connections; the original sleeps 5 s in it.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(40);
