//! The error codes: each has a page, compiled in, which `chrysalis explain CODE` prints.
//!
//! To add a code: a line in the table below and a page in `codes/`; the compiler wants the page, and a
//! test its form. A code is never used for something else.

use std::fmt;
use std::str::FromStr;

use super::exit::ExitCode;

macro_rules! codes {
    ($($code:ident $exit:ident $doc:literal)*) => {
        /// What can go wrong, by number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(
                #[doc = $doc]
                $code,
            )*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The number as it is written, such as `E0104`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$code => stringify!($code),)*
                }
            }

            /// How the program ends when it ends for this.
            pub const fn exit_code(self) -> ExitCode {
                match self {
                    $(Code::$code => ExitCode::$exit,)*
                }
            }

            /// The page: what happened, what it means, what to do.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Code::$code => include_str!(concat!("codes/", stringify!($code), ".md")),)*
                }
            }
        }
    };
}

codes! {
    E0001 BadConfig "The configuration has mistakes."
    E0002 BadConfig "This is not a server's folder."
    E0003 Failed "The folder already is a server."
    E0004 BadConfig "A configuration file cannot be read."
    E0005 Failed "A configuration file cannot be changed."
    E0101 PortInUse "A port is in use."
    E0102 AlreadyRunning "The server already runs."
    E0103 NoPermission "Permission denied."
    E0104 DiskFailed "A file of data cannot be opened."
    E0106 NewerData "The data was written by a newer version."
    E0107 BadConfig "This machine does not have the address to listen on."
    E0108 Failed "The server did not come up in time."
    E0109 BadConfig "The data belongs to another server."
    E0110 BadConfig "io_uring is required, and the kernel refuses it."
    E0111 Failed "A limit of the process is too low."
    E0112 NewerData "The feature level is one that this release does not support."
    E0113 BadConfig "A server's certificates cannot be used."
    E0114 Failed "This host cannot take it."
    E0201 DamagedData "The journal is damaged."
    E0202 DamagedData "A snapshot is damaged."
    E0203 DamagedData "A message file is damaged."
    E0204 NoRoom "The disk is full."
    E0205 DiskFailed "The disk refused a write or a sync."
    E0206 DamagedData "A folder of message files is gone."
    E0207 Failed "The server has forgotten what it acknowledged."
    E0301 NotRunning "The server does not run."
    E0302 Failed "The server does not answer."
    E0303 Failed "There is no such topic or partition."
    E0304 Failed "The topic already exists."
    E0305 Failed "The server did not stop in time."
    E0306 Failed "The server refused the command."
    E0307 Failed "There is no such file."
    E0308 Failed "The command failed."
    E0309 Failed "What cannot be undone was not confirmed."
    E0310 Usage "The command line is wrong."
    E0311 Failed "The ensemble has not changed in time."
    E0312 NotApplied "Not everything was applied."
    E0401 Failed "A server cannot be reached."
    E0402 Failed "A server refused a request."
    E0403 Failed "A server did not answer in time."
    E0404 Failed "A server does not speak the expected protocol."
    E0405 Failed "A partition is not read by its owner."
    E0406 Failed "The output could not be written."
    E0407 Failed "The input could not be read."
    E0408 Interrupted "The command was interrupted."
    E0409 Failed "No message begins at an offset."
    E0900 Bug "A bug."
}

impl Code {
    /// The page's title: what it is, in a few words.
    pub fn title(self) -> &'static str {
        let first_line = self.page().lines().next().unwrap_or_default();
        first_line
            .split_once(": ")
            .map_or(first_line, |(_, title)| title)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an error code; they look like E0104")]
pub struct NotACode(String);

impl FromStr for Code {
    type Err = NotACode;

    /// Takes the number in any spelling: `E0104`, `e0104`, `0104`, `104`.
    fn from_str(text: &str) -> Result<Code, NotACode> {
        let digits = text.trim().trim_start_matches(['E', 'e']);
        let padded = format!("E{digits:0>4}");
        let known = Code::ALL.iter().find(|code| code.name() == padded);
        known.copied().ok_or_else(|| NotACode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
