//! The next good record behind damage, found a window at a time: a file may be large, and the loop that
//! takes the windows must not be held up by one of them.
//!
//! The rule is [`super::dump::next_record_after`]'s. A window is read where [`Search::wants`] says; each
//! call tests candidates until the window ends or so many bytes were summed.

use super::dump::{is_record, likely_record};
use super::format::{DATA_BYTES_MAX, HEADER_BYTES};
use super::verify::Range;

/// What a window holds: the longest record, and room to go on from one candidate to the next.
const WINDOW_BYTES: usize = HEADER_BYTES + DATA_BYTES_MAX + (256 << 10);
/// After so many summed bytes the rest of a window waits for the next call.
const SUMMED_BYTES_MAX: usize = 4 << 20;

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A good record begins at this position.
    Found(u64),
    /// None begins before the range's end.
    Nothing,
    /// The file could not be read.
    Unreadable,
}

/// A search of one [`Range`]: for the first good record that begins behind `from` and before `to`.
#[derive(Clone, Debug)]
pub struct Search {
    candidate: u64,
    to: u64,
    length: u64,
}

impl Search {
    /// A search of this range.
    pub fn new(range: &Range) -> Search {
        Search {
            candidate: range.from + 1,
            to: range.to,
            length: range.length,
        }
    }

    /// The next window: its position and how many bytes.
    pub fn wants(&self) -> (u64, usize) {
        let left = self.length.saturating_sub(self.candidate);
        let bytes = usize::try_from(left).unwrap_or(WINDOW_BYTES);
        // At least one, so that there is always something to read.
        (self.candidate, bytes.clamp(1, WINDOW_BYTES))
    }

    /// Takes the window that was wanted, or less of it where the file ends. `None`: go on with the next.
    pub fn feed(&mut self, window: &[u8]) -> Option<Outcome> {
        let at = self.candidate;
        let whole = at + window.len() as u64 >= self.length || window.len() < self.wants().1;
        let mut summed = 0;
        for skipped in 0..window.len() {
            self.candidate = at + skipped as u64;
            if self.candidate >= self.to {
                return Some(Outcome::Nothing);
            }
            let rest = &window[skipped..];
            if rest.len() < HEADER_BYTES && !whole {
                return None;
            }
            let Some(header) = likely_record(rest) else {
                continue;
            };
            let bytes = HEADER_BYTES + header.length as usize;
            if bytes > rest.len() {
                if whole {
                    continue;
                }
                return None;
            }
            // The first candidate is always tested, or there would be no end.
            if summed > 0 && summed + bytes > SUMMED_BYTES_MAX {
                return None;
            }
            summed += bytes;
            if is_record(rest) {
                return Some(Outcome::Found(self.candidate));
            }
        }
        self.candidate = at + window.len() as u64;
        (whole || self.candidate >= self.to).then_some(Outcome::Nothing)
    }
}

#[cfg(test)]
mod tests;
