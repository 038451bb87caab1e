//! `consume --group`: as a member, with the others. What nobody can read is told, and waited for no longer than is
//! sensible.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Consume, FETCH_BYTES, MESSAGE_BYTES_MAX, OUT_BYTES, Printer, gap, note};
use crate::client::metaq::{
    Client, Consumer, ConsumerOptions, Error, PartitionRange, Reading, Received, Trouble,
};
use crate::client::rebalance::Partition;
use crate::operator::cli::interrupt::Interrupt;
use crate::operator::cli::output_failed;
use crate::report::{self, Code};

/// Messages that are printed before they are taken for consumed, where it is known at once that they are.
const PRINTED_MAX: usize = 1000;
/// Messages that go into a pipe one by one, before more of them go at a time.
const ONE_BY_ONE: u64 = 1000;
/// How often to look whether all is read, where nothing comes.
const LOOK: Duration = Duration::from_millis(50);
/// How often to look at what the others have read.
const LOOK_AT_OTHERS: Duration = Duration::from_millis(500);
/// How long nothing may come before it is said what is waited for.
const SAY_AFTER: Duration = Duration::from_secs(2);
/// How long a broker may be away before that is the end.
const AWAY_MAX: Duration = Duration::from_secs(10);
/// How long leaving the group may take.
const LEAVE_MAX: Duration = Duration::from_secs(5);

impl Consume {
    /// As a member of a group; `None` where a signal ended it.
    pub(super) async fn as_member(
        &self,
        client: &Client,
        group: &str,
        printer: &mut Printer,
        interrupt: &mut Interrupt,
    ) -> Option<anyhow::Result<()>> {
        let joined = interrupt.or(self.join(client, group)).await?;
        let (mut consumer, rest) = match joined {
            Ok(joined) => joined,
            Err(error) => return Some(Err(error.into())),
        };
        let mut session = MemberSession {
            consume: self,
            client,
            group,
            consumer: &mut consumer,
            rest,
            troubles: BTreeSet::new(),
        };
        let printed = interrupt.or(session.print_all(printer)).await;
        // What cannot be given back in time goes with the session.
        let _left = tokio::time::timeout(LEAVE_MAX, consumer.close()).await;
        printed
    }

    /// A consumer, and, where it is to end, how far there is to read.
    async fn join(
        &self,
        client: &Client,
        group: &str,
    ) -> Result<(Consumer, Option<Rest>), report::Error> {
        let errand = self.errand();
        let what = format!("consume {} as {group}", self.topic);
        let rest = match self.follow {
            true => None,
            false => {
                let ranges = client.reader().partitions(&self.topic).await;
                let ranges = ranges.map_err(|error| errand.explain(error, &what))?;
                Some(Rest::new(ranges, Duration::from_secs(self.wait.into())))
            }
        };
        let options = ConsumerOptions {
            start: self.from,
            fetch_bytes: FETCH_BYTES,
            message_bytes_max: MESSAGE_BYTES_MAX,
            ..ConsumerOptions::default()
        };
        let consumer = client.consumer(group, &[&self.topic], options);
        let consumer = consumer.map_err(|error| errand.explain(error, &what))?;
        Ok((consumer, rest))
    }
}

/// A consumer at work.
struct MemberSession<'a> {
    consume: &'a Consume,
    client: &'a Client,
    group: &'a str,
    consumer: &'a mut Consumer,
    rest: Option<Rest>,
    /// Partitions whose trouble was told.
    troubles: BTreeSet<Partition>,
}

impl MemberSession<'_> {
    async fn print_all(&mut self, printer: &mut Printer) -> anyhow::Result<()> {
        let mut printed = 0;
        let mut first = None;
        loop {
            let count = self.print_some(first.take(), printed, printer).await?;
            printed += count;
            for over in self.consumer.take_gaps() {
                note(&gap(&over.partition.to_string(), over.from, over.to));
            }
            if printer.left == Some(0) {
                return Ok(());
            }
            if count > 0 {
                continue;
            }
            match &mut self.rest {
                Some(rest) => {
                    let readings = self.consumer.readings();
                    if rest
                        .is_read(self.client, self.group, self.consume, &readings)
                        .await?
                    {
                        return Ok(());
                    }
                }
                None => self.tell_troubles(),
            }
            first = tokio::select! {
                message = self.consumer.more() => match message {
                    Some(message) => Some(message),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(LOOK) => None,
            };
        }
    }

    /// Prints what is at hand, and takes for consumed what is out of our hands then; how many that were.
    async fn print_some(
        &mut self,
        first: Option<Received>,
        printed: u64,
        printer: &mut Printer,
    ) -> anyhow::Result<u64> {
        let one_by_one = printer.printing.is_watched() && printed < ONE_BY_ONE;
        let left = printer.left.and_then(|left| usize::try_from(left).ok());
        let most = left
            .unwrap_or(usize::MAX)
            .min(if one_by_one { 1 } else { PRINTED_MAX });
        let (mut piece, mut ends) = (Vec::new(), Vec::new());
        let mut next = first.or_else(|| self.consumer.more_ready());
        while let Some(message) = next {
            printer.form.put(&message, &mut piece);
            ends.push(piece.len());
            let more = ends.len() < most && piece.len() < OUT_BYTES;
            next = more.then(|| self.consumer.more_ready()).flatten();
        }
        if ends.is_empty() {
            return Ok(0);
        }
        let outcome = printer.printing.print(piece).await;
        let taken = ends.partition_point(|end| *end <= outcome.taken);
        self.consumer.acknowledge_first(taken);
        if let Some(error) = outcome.failure {
            return Err(output_failed(error).into());
        }
        let count = u64::try_from(taken).unwrap_or(u64::MAX);
        if let Some(left) = &mut printer.left {
            *left -= count;
        }
        Ok(count)
    }

    /// Who follows is told once of a partition that cannot be read, and again when it could be read meanwhile.
    fn tell_troubles(&mut self) {
        for reading in self.consumer.readings() {
            let Some(trouble) = &reading.trouble else {
                self.troubles.remove(&reading.partition);
                continue;
            };
            if self.troubles.insert(reading.partition) {
                let explained = self.consume.unread(self.group, &reading, trouble);
                note(&format!("{explained}. Trying again until then"));
            }
        }
    }
}

impl Consume {
    fn unread(&self, group: &str, reading: &Reading, trouble: &Trouble) -> report::Error {
        let what = format!(
            "consume {} as {group}: partition {} at offset {}: {}",
            self.topic,
            reading.partition,
            reading.consumed,
            trouble.error.chain()
        );
        let explained = self.errand().explain_told(&trouble.error, &what);
        explained.means("What was printed is consumed.")
    }
}

/// What is to be read before a member ends that does not follow: all that was there when it began, by whomever in
/// the group.
struct Rest {
    ranges: Vec<PartitionRange>,
    /// How long to wait while nothing gets on.
    wait: Duration,
    /// How far all of it is, as it was seen last, and since when it is the same.
    seen: Vec<Standing>,
    since: Instant,
    looked_at_others: Option<Instant>,
    is_told: bool,
}

/// How far a partition is that is not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    partition: Partition,
    offset: Option<i64>,
    end: i64,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    /// Us.
    Us,
    /// Us, if it could be read.
    Stuck,
    /// Somebody else, by the consumer's id.
    Other(String),
    /// Nobody yet.
    Nobody,
}

impl Rest {
    fn new(ranges: Vec<PartitionRange>, wait: Duration) -> Rest {
        Rest {
            ranges,
            wait,
            seen: Vec::new(),
            since: Instant::now(),
            looked_at_others: None,
            is_told: false,
        }
    }

    /// Whether the group has read all of it.
    ///
    /// # Errors
    /// Some of it cannot be read, or nothing has got on for too long.
    async fn is_read(
        &mut self,
        client: &Client,
        group: &str,
        consume: &Consume,
        readings: &[Reading],
    ) -> anyhow::Result<bool> {
        let own = |partition: Partition| {
            let mut readings = readings.iter();
            readings.find(|reading| reading.partition == partition)
        };
        let mut unread = Vec::new();
        let mut others = Vec::new();
        for range in &self.ranges {
            let partition = Partition {
                broker: range.broker.unwrap_or_default(),
                number: range.partition,
            };
            match own(partition) {
                // Not asked yet where its end is.
                Some(reading) if reading.consumed == i64::MAX || reading.consumed < range.end => {
                    unread.push(Standing {
                        partition,
                        offset: Some(reading.consumed),
                        end: range.end,
                        by: if is_stuck(reading) { By::Stuck } else { By::Us },
                    });
                }
                Some(_) => {}
                None => others.push((partition, range)),
            }
        }
        if !others.is_empty() {
            let looked = self.looked_at_others.replace(Instant::now());
            if looked.is_some_and(|looked| looked.elapsed() < LOOK_AT_OTHERS) {
                self.looked_at_others = looked;
                return Ok(false);
            }
            unread.extend(unread_by_others(client, group, consume, &others).await?);
        }
        if unread.is_empty() {
            return Ok(true);
        }
        if unread != self.seen {
            self.seen = unread;
            self.since = Instant::now();
        }
        let stuck = |standing: &Standing| standing.by == By::Stuck;
        if self.seen.iter().all(stuck) {
            let first = own(self.seen[0].partition);
            let first = first.and_then(|reading| Some((reading, reading.trouble.as_ref()?)));
            if let Some((reading, trouble)) = first {
                return Err(consume.unread(group, reading, trouble).into());
            }
        }
        if self.since.elapsed() >= self.wait {
            return Err(self.given_up(group, consume).into());
        }
        if self.since.elapsed() >= SAY_AFTER.min(self.wait / 2) && !self.is_told {
            self.is_told = true;
            let left = (self.wait - self.since.elapsed()).as_secs();
            note(&format!("waiting up to {left} s: {}", self.who()));
        }
        Ok(false)
    }

    /// What is not read, and who would have to.
    fn who(&self) -> String {
        let one = |standing: &Standing| {
            let Standing {
                partition, end, by, ..
            } = standing;
            let offset = standing.offset.filter(|offset| *offset != i64::MAX);
            let how_far = offset.map_or_else(
                || format!("of {end}"),
                |offset| format!("offset {offset} of {end}"),
            );
            match by {
                By::Us => format!("partition {partition} sends nothing ({how_far})"),
                By::Stuck => format!("partition {partition} cannot be read ({how_far})"),
                By::Other(owner) => format!("partition {partition} is held by {owner} ({how_far})"),
                By::Nobody => format!("partition {partition} is held by nobody ({how_far})"),
            }
        };
        let all: Vec<String> = self.seen.iter().map(one).collect();
        all.join(", ")
    }

    fn given_up(&self, group: &str, consume: &Consume) -> report::Error {
        let what = format!("consume {} as {group}: {}", consume.topic, self.who());
        let (dir, topic) = (consume.brokers.dir(), &consume.topic);
        report::Error::new(Code::E0405, what)
            .means(format!(
                "What was printed is consumed. Nobody has committed that more of it was read for {} s; consumers commit \
                 every few seconds, so one that holds it may be reading all the same.",
                self.wait.as_secs()
            ))
            .cure(format!(
                "Wait longer (--wait): a consumer that died lets go when its session times out. One that lives and \
                 commits nothing for longer has to be looked at. chrysalis topic describe {dir} {topic} shows the groups."
            ))
    }
}

/// What other members own, or nobody, and the group has not read.
async fn unread_by_others(
    client: &Client,
    group: &str,
    consume: &Consume,
    partitions: &[(Partition, &PartitionRange)],
) -> anyhow::Result<Vec<Standing>> {
    let errand = consume.errand();
    let owners = client.owners(group, &consume.topic).await;
    let owners = owners.map_err(|error| errand.explain(error, &errand.what()))?;
    let mut unread = Vec::new();
    for (partition, range) in partitions {
        let owned = owners.iter().find(|owned| owned.partition == *partition);
        let progress = owned.and_then(|owned| owned.progress);
        let offset = progress.map(|progress| progress.offset);
        if offset.unwrap_or(range.first) >= range.end {
            continue;
        }
        unread.push(Standing {
            partition: *partition,
            offset,
            end: range.end,
            by: owned
                .and_then(|owned| owned.owner.clone())
                .map_or(By::Nobody, By::Other),
        });
    }
    Ok(unread)
}

/// Whether waiting does not help.
fn is_stuck(reading: &Reading) -> bool {
    reading.trouble.as_ref().is_some_and(|trouble| {
        let lasts = matches!(
            *trouble.error,
            Error::Refused { .. }
                | Error::NotAMessage { .. }
                | Error::Protocol { .. }
                | Error::Answer { .. }
        );
        lasts || trouble.since.elapsed() >= AWAY_MAX
    })
}
