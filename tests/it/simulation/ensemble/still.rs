//! A disk that stands still for a while: what it was given is under way, and nothing of it is done. It counts what is read
//! back from the journal for other servers.

use std::cell::Cell;
use std::rc::Rc;

use chrysalis::disk::{Completion, Disk, Error, File, Lane, Operation, Outcome, Owner, Token};

use crate::simulation::server::Shared;

#[derive(Clone)]
pub(super) struct Still {
    pub(super) disk: Shared,
    pub(super) is_still: Rc<Cell<bool>>,
    pub(super) reads_back: Rc<Cell<usize>>,
}

impl Disk for Still {
    fn reserve(&mut self) -> File {
        self.disk.reserve()
    }
    fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        if lane == Lane::Read && token.owner == Owner::Journal {
            self.reads_back.set(self.reads_back.get() + 1);
        }
        self.disk.submit(lane, token, operation);
    }
    fn complete(&mut self, completions: &mut Vec<Completion>) {
        if !self.is_still.get() {
            self.disk.complete(completions);
        }
    }
    fn wait(&mut self, completions: &mut Vec<Completion>) {
        self.disk.wait(completions);
    }
    fn run(&mut self, operation: Operation) -> Result<Outcome, Error> {
        self.disk.run(operation)
    }
}
