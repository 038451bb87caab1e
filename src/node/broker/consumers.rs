//! What an operator is told of the consumers whose gets wait: who has fewer threads than partitions, what turns that
//! takes, and who is answered 404 instead.

use super::count;
use crate::appliance::status::{Consumer, Consumers, NotTurned};
use crate::broker::ConsumerStatus;
use crate::units::Moment;

/// All of them together.
pub(super) fn together(now: Moment, all: &[ConsumerStatus]) -> Consumers {
    let mut sum = Consumers::default();
    for one in all {
        sum.count += u64::from(one.held > 0);
        sum.few_threads += u64::from(has_few_threads(one));
        sum.turns += one.turns;
        sum.refused += one.room_made;
        if let Some(why) = not_turned(now, one) {
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
pub(super) fn one(now: Moment, it: &ConsumerStatus) -> Consumer {
    Consumer {
        group: it.group.as_str().to_owned(),
        consumer: it.consumer.as_str().to_owned(),
        partitions: count(it.partitions),
        elsewhere: it.elsewhere,
        threads: count(it.threads_seen),
        turns: it.turns,
        refused: it.room_made,
        not_turned: not_turned(now, it),
    }
}

/// Nothing once turns work again, or when it was given no 404 for a while.
fn not_turned(now: Moment, it: &ConsumerStatus) -> Option<NotTurned> {
    let why = it.not_turned_now(now)?;
    Some(NotTurned {
        code: why.as_str().to_owned(),
        reason: why.to_string(),
    })
}
