//! A header line cut into tokens, as Java's `split(" ")` cuts it.
//!
//! One space separates two tokens, so two spaces enclose an empty one, and a line that begins with a
//! space begins with an empty token. Spaces at the end of the line are dropped. Clients depend on
//! it: the Java client asks for all statistics with `stats`, an empty token, and its opaque.

use std::ops::Range;

/// The most tokens any command has (a transactional put, a sync).
const TOKENS_MAX: usize = 8;

/// Where the tokens of one header line are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    places: [(usize, usize); TOKENS_MAX],
    count: usize,
}

impl Tokens {
    /// Cuts a line, given without its line end.
    pub(crate) fn of(line: &[u8]) -> Tokens {
        let end = line
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |last| last + 1);
        let mut tokens = Tokens {
            places: [(0, 0); TOKENS_MAX],
            count: 0,
        };
        let mut start = 0;
        for token in line[..end].split(|&byte| byte == b' ') {
            if let Some(place) = tokens.places.get_mut(tokens.count) {
                *place = (start, start + token.len());
            }
            start += token.len() + 1;
            tokens.count += 1;
        }
        tokens
    }

    /// How many there are. May exceed what [`Tokens::place`] can give: surplus tokens are counted, not kept.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Where the token with this number is, if the line has that many.
    pub(crate) fn place(&self, number: usize) -> Option<Range<usize>> {
        let (start, end) = *self.places.get(number)?;
        (number < self.count).then_some(start..end)
    }
}

#[cfg(test)]
mod tests;
