//! The four-letter words: the plain-text questions that monitoring tools ask a ZooKeeper server.
//!
//! Four bytes at the start of a fresh connection, a text back, and the server closes. Here are the
//! words, the list of those that may be answered, and the exact texts of 3.4.14; who gathers the
//! facts, and what a word resets, is the node's.
//!
//! To add a word, add it to [`Word`]; the compiler names the other places.

use std::fmt;

mod facts;
mod texts;

#[cfg(test)]
mod tests;

pub use facts::{
    Configuration, Connection, ConnectionSession, Ensemble, Environment, ExpiryBucket, Latency,
    Leading, Mode, Server,
};
pub use texts::{
    conf, cons, crst, cut, dump, envi, isro, mntr, not_serving, not_whitelisted, ruok, srst, srvr,
    stat, trace_mask, wchc, wchp, wchs,
};

/// What this server calls itself to ZooKeeper clients.
///
/// kazoo reads the dotted triple and turns off what 3.4 lacks; go-zookeeper insists on the shape of
/// the date, so it is written as releases before 3.8 wrote it.
pub const VERSION: &str = concat!(
    "3.4.14-chrysalis.",
    env!("CARGO_PKG_VERSION"),
    ", built on 11/01/2026 12:00 GMT"
);

/// The trace mask that an untouched ZooKeeper answers to `gtmk`.
pub const TRACE_MASK_DEFAULT: i64 = 306;

/// A four-letter word that 3.4.14 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// The configuration in use.
    Conf,
    /// Every connection with all its numbers.
    Cons,
    /// Reset the connections' numbers.
    Crst,
    /// Sessions by expiry, and their ephemeral znodes.
    Dump,
    /// The environment of the process.
    Envi,
    /// The trace mask.
    Gtmk,
    /// Whether the server is read-only.
    Isro,
    /// The monitored numbers, a key and a value a line.
    Mntr,
    /// Whether the process is alive.
    Ruok,
    /// Reset the server's numbers.
    Srst,
    /// The server in short.
    Srvr,
    /// The server in short, and its connections.
    Stat,
    /// Set the trace mask; eight bytes follow.
    Stmk,
    /// Watches by session.
    Wchc,
    /// Watches by path.
    Wchp,
    /// How many watches there are.
    Wchs,
}

impl Word {
    /// Every word.
    pub const ALL: [Word; 16] = [
        Word::Conf,
        Word::Cons,
        Word::Crst,
        Word::Dump,
        Word::Envi,
        Word::Gtmk,
        Word::Isro,
        Word::Mntr,
        Word::Ruok,
        Word::Srst,
        Word::Srvr,
        Word::Stat,
        Word::Stmk,
        Word::Wchc,
        Word::Wchp,
        Word::Wchs,
    ];

    /// The word these four bytes are, if they are one.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Word> {
        Word::ALL
            .into_iter()
            .find(|word| word.name().as_bytes() == bytes)
    }

    /// The word as it is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Word::Conf => "conf",
            Word::Cons => "cons",
            Word::Crst => "crst",
            Word::Dump => "dump",
            Word::Envi => "envi",
            Word::Gtmk => "gtmk",
            Word::Isro => "isro",
            Word::Mntr => "mntr",
            Word::Ruok => "ruok",
            Word::Srst => "srst",
            Word::Srvr => "srvr",
            Word::Stat => "stat",
            Word::Stmk => "stmk",
            Word::Wchc => "wchc",
            Word::Wchp => "wchp",
            Word::Wchs => "wchs",
        }
    }

    /// Whether it is answered even while the server does not serve clients. `isro` is too, with a text
    /// of its own.
    pub const fn needs_no_service(self) -> bool {
        matches!(
            self,
            Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk | Word::Isro
        )
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which words are answered: ZooKeeper's `4lw.commands.whitelist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whitelist(u32);

impl Default for Whitelist {
    /// 3.4.14 answers all but the two that walk every watch.
    fn default() -> Whitelist {
        Word::ALL
            .into_iter()
            .filter(|word| !matches!(word, Word::Wchc | Word::Wchp))
            .fold(Whitelist::srvr_only(), Whitelist::with)
    }
}

impl Whitelist {
    /// Every word.
    pub fn all() -> Whitelist {
        Word::ALL
            .into_iter()
            .fold(Whitelist::srvr_only(), Whitelist::with)
    }

    /// Reads a comma-separated list; `*` is every word. `srvr` is always among them, because
    /// zkServer.sh asks it, and words that 3.4.14 does not know are passed over, as it does.
    pub fn parse(list: &str) -> Whitelist {
        list.split(',')
            .map(str::trim)
            .fold(Whitelist::srvr_only(), |whitelist, name| {
                if name == "*" {
                    return Whitelist::all();
                }
                match name.as_bytes().try_into().ok().and_then(Word::from_bytes) {
                    Some(word) => whitelist.with(word),
                    None => whitelist,
                }
            })
    }

    /// The same list and one more word.
    #[must_use]
    pub fn with(self, word: Word) -> Whitelist {
        Whitelist(self.0 | Whitelist::bit(word))
    }

    /// Whether a word is answered.
    pub fn allows(self, word: Word) -> bool {
        self.0 & Whitelist::bit(word) != 0
    }

    fn srvr_only() -> Whitelist {
        Whitelist(Whitelist::bit(Word::Srvr))
    }

    fn bit(word: Word) -> u32 {
        let place = Word::ALL.iter().take_while(|other| **other != word).count();
        1 << place
    }
}
