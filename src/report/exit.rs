//! The numbers with which the program ends, each with what it means.
//!
//! Scripts and the systemd unit depend on them: a number never changes its meaning.

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// It did what was asked.
    Done = 0,
    /// It could not do what was asked; the message says why.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server does not run (as the Linux Standard Base has it for `status`).
    NotRunning = 3,
    /// All was done, but for what a server that is there says otherwise.
    NotApplied = 4,
    /// `chrysalis doctor`: what is served is at risk, and nothing is broken.
    AtRisk = 5,
    /// `chrysalis doctor`: something is broken.
    Broken = 6,
    /// The configuration is missing or has mistakes.
    BadConfig = 10,
    /// Acknowledged data is damaged; nothing is served before an operator decides.
    DamagedData = 11,
    /// The disk has no room for what a start needs.
    NoRoom = 12,
    /// A port is taken.
    PortInUse = 13,
    /// Another process serves this folder.
    AlreadyRunning = 14,
    /// No permission for a file, a folder or a port.
    NoPermission = 15,
    /// The data was written by a newer version.
    NewerData = 16,
    /// The disk refused a read, a write or a sync.
    DiskFailed = 17,
    /// A promise of the program to itself was broken.
    Bug = 70,
    /// A signal ended it, as Ctrl-C does.
    Interrupted = 130,
}

impl ExitCode {
    /// Every code there is.
    pub const ALL: [ExitCode; 17] = [
        ExitCode::Done,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::NotRunning,
        ExitCode::NotApplied,
        ExitCode::AtRisk,
        ExitCode::Broken,
        ExitCode::BadConfig,
        ExitCode::DamagedData,
        ExitCode::NoRoom,
        ExitCode::PortInUse,
        ExitCode::AlreadyRunning,
        ExitCode::NoPermission,
        ExitCode::NewerData,
        ExitCode::DiskFailed,
        ExitCode::Bug,
        ExitCode::Interrupted,
    ];

    /// The number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number; [`ExitCode::Failed`] where there is none.
    pub fn from_number(number: u8) -> ExitCode {
        let known = ExitCode::ALL
            .into_iter()
            .find(|code| code.number() == number);
        known.unwrap_or(ExitCode::Failed)
    }

    /// Whether starting again can help without a person. The unit's `RestartPreventExitStatus` lists
    /// the codes for which this is false.
    pub const fn restart_may_help(self) -> bool {
        match self {
            ExitCode::Done
            | ExitCode::Usage
            | ExitCode::NotRunning
            | ExitCode::BadConfig
            | ExitCode::DamagedData
            | ExitCode::AlreadyRunning
            | ExitCode::NoPermission
            | ExitCode::NewerData => false,
            ExitCode::Failed
            | ExitCode::NotApplied
            | ExitCode::AtRisk
            | ExitCode::Broken
            | ExitCode::NoRoom
            | ExitCode::PortInUse
            | ExitCode::DiskFailed
            | ExitCode::Bug
            | ExitCode::Interrupted => true,
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            ExitCode::Done => "it did what was asked",
            ExitCode::Failed => "it could not do what was asked; the message says why",
            ExitCode::Usage => "the command line is wrong",
            ExitCode::NotRunning => "the server does not run",
            ExitCode::NotApplied => {
                "all was done, but for what a server that is there says otherwise"
            }
            ExitCode::AtRisk => "`doctor` found something at risk, and nothing broken",
            ExitCode::Broken => "`doctor` found something broken",
            ExitCode::BadConfig => "the configuration is missing or has mistakes",
            ExitCode::DamagedData => "acknowledged data is damaged; an operator must decide",
            ExitCode::NoRoom => "the disk has no room for what a start needs",
            ExitCode::PortInUse => "a port is taken",
            ExitCode::AlreadyRunning => "another process serves this folder",
            ExitCode::NoPermission => "no permission for a file, a folder or a port",
            ExitCode::NewerData => "the data was written by a newer version",
            ExitCode::DiskFailed => "the disk refused a read, a write or a sync",
            ExitCode::Bug => "a bug: the program broke a promise to itself",
            ExitCode::Interrupted => {
                "a signal ended it, as Ctrl-C does; the message says what was done"
            }
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests;
