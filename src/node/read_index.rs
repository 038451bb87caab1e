//! What a server asks its group's leader about the commit index (Raft's ReadIndex).
//!
//! The group carries one number for each question. Two kinds that took each other's answer would show an old tree, or keep
//! a session that is over.

/// A question about the commit index, by what its answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadIndex {
    /// Whether this server has caught up: how often it has lost its group before, so that no answer to an earlier question
    /// is taken for one to this.
    CaughtUp(u64),
    /// A round of the core's syncs.
    Sync(u64),
    /// Whether this server still leads, for sessions that live: how many it has asked.
    Touch(u64),
}

/// The number of kinds.
const KINDS: u64 = 3;

impl ReadIndex {
    /// Its number in the group.
    pub(super) fn number(self) -> u64 {
        match self {
            ReadIndex::CaughtUp(losses) => KINDS * losses,
            ReadIndex::Sync(round) => KINDS * round + 1,
            ReadIndex::Touch(count) => KINDS * count + 2,
        }
    }

    /// The question with this number.
    pub(super) fn of(number: u64) -> ReadIndex {
        let count = number / KINDS;
        match number % KINDS {
            0 => ReadIndex::CaughtUp(count),
            1 => ReadIndex::Sync(count),
            _ => ReadIndex::Touch(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReadIndex;

    #[test]
    fn each_question_has_a_number_of_its_own() {
        let kinds = [ReadIndex::CaughtUp, ReadIndex::Sync, ReadIndex::Touch];
        let mut seen = std::collections::BTreeSet::new();
        for count in [0, 1, 2, u64::from(u32::MAX)] {
            for question in kinds.map(|kind| kind(count)) {
                assert_eq!(ReadIndex::of(question.number()), question);
                assert!(seen.insert(question.number()), "{question:?}");
            }
        }
    }
}
