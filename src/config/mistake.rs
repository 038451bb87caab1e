//! What is wrong with a configuration: all of it at once, each with its place and its cure.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where something stands: a file and a line, the first line being 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the operator would name it.
    pub file: PathBuf,
    /// Its line; 0 when the mistake is what is *not* in the file.
    pub line: usize,
}

impl Place {
    /// A line of a file.
    pub fn new(file: &Path, line: usize) -> Place {
        Place {
            file: file.to_path_buf(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// One thing that is wrong, or worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What, and what would be right: one line without a full stop at its end.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Every mistake of a configuration, in the order of the file. Never empty as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Notes one more.
    pub fn add(&mut self, place: Place, text: impl Into<String>) {
        self.0.push(Mistake {
            place,
            text: text.into(),
        });
    }

    /// The mistakes in the order of the file.
    pub fn list(&self) -> &[Mistake] {
        &self.0
    }

    /// `value`, unless there is something wrong.
    pub fn or<T>(mut self, value: T) -> Result<T, Mistakes> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        Err(self)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
