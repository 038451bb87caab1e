//! What other brokers do and say in a script, and what they are told.

use crate::broker::word::{Count, Counts, Reader, Word};
use crate::broker::{Event, Name};
use crate::units::{Moment, ServerId};

/// `meet S`, `part S`, `wanted S GROUP CONSUMER`.
pub(super) fn event(words: &[&str]) -> Event {
    let server = ServerId(words[1].parse().expect("an id"));
    match words[0] {
        "meet" => Event::Met { server },
        "part" => Event::Parted { server },
        _ => {
            let reader = Reader {
                group: Name::from(words[2]),
                consumer: Name::from(words[3]),
            };
            let word = Word::Wanted(vec![reader]);
            Event::Told { from: server, word }
        }
    }
}

/// `BROKER [asks] [PROCESS:SENT:OUT]...`, by one that has just heard from here.
pub(super) fn counts(now: Moment, words: &[&str]) -> Word {
    let processes = words[1..].iter().filter_map(|word| {
        let (rest, out) = word.rsplit_once(':')?;
        let (process, sent) = rest.rsplit_once(':')?;
        Some(Count {
            process: Name::from(process),
            sent: sent.parse().expect("a number"),
            out: out.parse().expect("a number"),
        })
    });
    Word::Counts(Counts {
        stamp: 1,
        echo: now.as_nanos(),
        asks: words.contains(&"asks"),
        broker: ServerId(words[0].parse().expect("an id")),
        processes: processes.collect(),
    })
}

/// A word as a transcript has it.
pub(super) fn text(word: &Word) -> String {
    match word {
        Word::Wanted(readers) => {
            let readers = readers.iter();
            let readers = readers.map(|one| format!("{} {}", one.group, one.consumer));
            format!("wanted {}", readers.collect::<Vec<_>>().join(", "))
        }
        Word::Counts(counts) => {
            let asks = if counts.asks { "asks" } else { "answers" };
            let processes = counts.processes.iter();
            let processes =
                processes.map(|it| format!(" {} sent {} out {}", it.process, it.sent, it.out));
            format!("{asks}{}", processes.collect::<Vec<_>>().join(","))
        }
    }
}
