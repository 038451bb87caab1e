//! The coordinator beside Debian's ZooKeeper, one server each.

use crate::harness::deployment::Deployment;
use crate::harness::originals::{Jvm, ZooKeeper};
use crate::harness::server::{Server, set_key};
use crate::rounds::{Run, Series, compare, seconds};

pub(crate) fn measure(operation: &str) {
    let ours = Server::start_with(&[], |config| {
        // All 64 come from one address.
        set_key(config, "coordinator", "connections_per_address_max", "0");
    });
    let original = ZooKeeper::start_with(Jvm::Fast);
    let servers = [ours.coordinator(), original.address()].map(|address| address.to_string());
    let run = |side: usize| {
        let seconds = seconds().to_string();
        let mut arguments = vec!["coordinator", "--server", &servers[side]];
        arguments.extend(["--operation", operation, "--seconds", &seconds]);
        arguments.extend(["--connections", "64", "--in-flight", "32"]);
        Run::of(&arguments)
    };
    // A JVM is slow until it has compiled what runs often.
    run(1);
    let [ours, original] = Series::in_turn(run);
    compare("requests", &ours, &original);
}
