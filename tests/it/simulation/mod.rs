//! The simulated world: everything from a seed.

use std::path::PathBuf;

use chrysalis::server::System;
use chrysalis::wire::zookeeper::four_letter::Environment;

/// A disk that forgets at a power cut what was not made durable.
pub(crate) mod disk;

/// A whole server from a seed.
mod server;

/// Groups of several servers, alone.
mod groups;

/// An ensemble of three whole servers.
mod ensemble;

/// The facts of a machine that is nowhere. `syncs_as_one` says whether one sync is enough for a whole file system.
fn system(syncs_as_one: fn(&[PathBuf]) -> bool) -> System {
    System {
        environment: Environment {
            host_name: "simulated".into(),
            os_version: "0".into(),
            user_name: "nobody".into(),
            user_home: "/".into(),
            user_folder: "/".into(),
        },
        descriptors: || None,
        descriptors_max: None,
        utc_offset_s: 0,
        pid: 1,
        syncs_as_one,
    }
}
