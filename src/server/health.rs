//! Whether the server serves, and whether it does all that it is there for.
//!
//! `/health` says that the process serves; a restart cures what it complains of. What `/ready` complains of an operator
//! cures, or somebody else, and the server goes on by itself when that is done.

use super::event_loop::Shell;
use crate::registry::{Registry, Standing};

impl Shell {
    /// Whether clients are served; the reason if not.
    pub(super) fn health(&self) -> Result<(), String> {
        let node = self.node.borrow();
        // A server that waits for others is not cured by a restart.
        if !node.opens() {
            return Err("what is on disk is still being applied".to_owned());
        }
        match node.is_stopping() {
            true => Err("the server stops".to_owned()),
            false => Ok(()),
        }
    }

    /// What keeps the server from doing all that it is there for: a sentence each.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let mut obstacles: Vec<String> = self.health().err().into_iter().collect();
        obstacles.extend(self.node.borrow().obstacles());
        obstacles.extend(self.registry.borrow().as_ref().and_then(unregistered));
        obstacles
    }
}

/// Why clients do not find the broker.
fn unregistered(registry: &Registry) -> Option<String> {
    let why = match registry.standing() {
        Standing::Registered => return None,
        Standing::Connecting => "there is no connection to it".to_owned(),
        Standing::Registering => "they are being registered".to_owned(),
        Standing::Withdrawn => "the server stops".to_owned(),
        Standing::Conflict(reason) | Standing::Failing(reason) => reason,
    };
    Some(format!(
        "clients do not find all topics in ZooKeeper: {why}"
    ))
}
