//! What an operator is told of the consumers whose gets wait: who has fewer threads than partitions, what turns that
//! takes, and who is answered 404 in their place.

use super::count;
use crate::appliance::status::{Consumer, Consumers, NotTurned};
use crate::broker::ConsumerStatus;

/// All of them together.
pub(super) fn together(all: &[ConsumerStatus]) -> Consumers {
    let mut sum = Consumers::default();
    for one in all {
        sum.count += u64::from(one.held > 0);
        sum.few_threads += u64::from(has_few_threads(one));
        sum.turns += one.turns;
        sum.refused += one.room_made;
        if let Some(why) = not_turned(one) {
            sum.not_turned.insert(one.group.as_str().to_owned(), why);
        }
    }
    sum
}

/// It has fewer fetch threads than partitions, and that made a difference.
pub(super) fn has_few_threads(it: &ConsumerStatus) -> bool {
    it.lacks_threads && it.turns + it.room_made > 0
}

/// One of them.
pub(super) fn one(it: &ConsumerStatus) -> Consumer {
    Consumer {
        group: it.group.as_str().to_owned(),
        consumer: it.consumer.as_str().to_owned(),
        partitions: count(it.partitions),
        elsewhere: it.elsewhere,
        threads: count(it.threads_seen),
        turns: it.turns,
        refused: it.room_made,
        not_turned: not_turned(it),
    }
}

fn not_turned(it: &ConsumerStatus) -> Option<NotTurned> {
    let why = it.not_turned?;
    Some(NotTurned {
        code: why.as_str().to_owned(),
        reason: why.to_string(),
    })
}
