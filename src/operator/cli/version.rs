//! `chrysalis version`: which program this is.

use std::io::Write;

/// Print the version
#[derive(Debug, clap::Args)]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let architecture = std::env::consts::ARCH;
        Ok(writeln!(
            out,
            "chrysalis {} ({architecture} Linux)",
            env!("CARGO_PKG_VERSION")
        )?)
    }
}
