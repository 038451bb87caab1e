//! What an operator reads when something fails: what happened, what it means for the service, what to
//! do; in this order, with a code whose page says more.

use std::error;
use std::fmt;

use super::code::Code;
use super::exit::ExitCode;

/// An error for an operator.
#[derive(Debug)]
pub struct Error {
    code: Code,
    what: String,
    means: Option<String>,
    cure: Option<String>,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// What happened: a phrase without a full stop, with the file, port or topic it is about.
    pub fn new(code: Code, what: impl Into<String>) -> Error {
        Error {
            code,
            what: what.into(),
            means: None,
            cure: None,
            source: None,
        }
    }

    /// Why: the error beneath, printed behind what happened.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What it means for the service: a sentence.
    #[must_use]
    pub fn means(mut self, sentence: impl Into<String>) -> Error {
        self.means = Some(sentence.into());
        self
    }

    /// What to do: a sentence, with the command if there is one.
    #[must_use]
    pub fn cure(mut self, sentence: impl Into<String>) -> Error {
        self.cure = Some(sentence.into());
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// How the program ends for it.
    pub fn exit_code(&self) -> ExitCode {
        self.code.exit_code()
    }
}

impl fmt::Display for Error {
    /// One paragraph: `E0104 open …/000123.seg: permission denied. The server stays down. Run: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} {}", self.code, self.what);
        if let Some(source) = &self.source {
            text.push_str(": ");
            text.push_str(&chain(source.as_ref()));
        }
        for sentence in [&self.means, &self.cure].into_iter().flatten() {
            // A list of mistakes ends in a line of its own, a question or another's sentence in its own mark.
            text.push_str(
                match (self.what.contains('\n'), text.ends_with(['?', '.'])) {
                    (true, _) => "\n",
                    (false, true) => " ",
                    (false, false) => ". ",
                },
            );
            text.push_str(sentence.trim_end_matches('.'));
        }
        f.write_str(&text)
    }
}

/// An error and all that lies beneath it, in one line. Some errors tell their source themselves: what has been
/// said already is not said again.
pub fn chain(error: &(dyn error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !told.ends_with(&next) {
            told.push_str(": ");
            told.push_str(&next);
        }
        source = error.source();
    }
    told
}

/// The source is part of the message, and so not told again by whoever prints a chain.
impl error::Error for Error {}

#[cfg(test)]
mod tests;
