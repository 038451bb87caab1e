//! The simulated world: everything from a seed.

use std::path::PathBuf;

use chrysalis::coordinator::{Coordinator, Event, Options, Restore};
use chrysalis::server::System;
use chrysalis::units::{Moment, Seed};
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

/// The snapshot of another state than this one's: whoever reads it cannot know. It has a session that nobody has, of a server
/// that is not there.
pub(crate) fn altered(snapshot: &[u8]) -> Vec<u8> {
    let mut restore = Restore::new(Seed(1));
    restore.feed(snapshot).expect("a snapshot");
    let restored = restore.finish().expect("a snapshot");
    let (index, place) = (restored.index(), restored.place().cloned());
    let mut core = Coordinator::restored(Options::default(), Seed(1), restored);
    let before = core.digest();
    let mut data = vec![2, 1, 99, 0, 0, 0, 0, 0, 0, 1];
    data.extend(i32::MAX.to_be_bytes());
    data.extend(99_u16.to_be_bytes());
    let data = data.into();
    let mut effects = Vec::new();
    core.handle(
        Moment::START,
        Event::Committed { index, data },
        &mut effects,
    );
    assert!(effects.is_empty(), "{effects:?}");
    assert_ne!(core.digest(), before, "it is another one");
    core.snapshot_begin(place.expect("it says where it was taken"));
    let slices = std::iter::from_fn(|| core.snapshot_step(100_000));
    slices.flat_map(|slice| slice.bytes).collect()
}
