//! A header line cut into tokens, as Java's `split(" ")` cuts it.
//!
//! One space separates two tokens, so two spaces enclose an empty one, and a line that begins with a
//! space begins with an empty token. Spaces at the end of the line are dropped. Clients depend on
//! it: the Java client asks for all statistics with `stats`, an empty token, and its opaque.

/// The most tokens any command has (a transactional put, a sync).
const TOKENS_MAX: usize = 8;

/// The tokens of one header line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    tokens: [&'a [u8]; TOKENS_MAX],
    count: usize,
}

impl<'a> Tokens<'a> {
    /// Cuts a line, given without its line end.
    pub(crate) fn of(line: &'a [u8]) -> Tokens<'a> {
        let end = line
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |last| last + 1);
        let mut tokens = Tokens {
            tokens: [&[]; TOKENS_MAX],
            count: 0,
        };
        for token in line[..end].split(|&byte| byte == b' ') {
            if let Some(place) = tokens.tokens.get_mut(tokens.count) {
                *place = token;
            }
            tokens.count += 1;
        }
        tokens
    }

    /// How many there are. May exceed what [`Tokens::get`] can give: surplus tokens are counted, not kept.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The token at this place, if the line has one there.
    pub(crate) fn get(&self, place: usize) -> Option<&'a [u8]> {
        if place < self.count {
            self.tokens.get(place).copied()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
