//! The proof that a new server works: one message there and back the way a client does it, and what the disk does.

use std::path::Path;
use std::process::Command;

use super::{Result, tools};
use crate::config::ServerFolder;
use crate::report::{Code, Error, shell_word};

/// The topic of the first message. The original's sample configuration has it, too.
pub(super) const CHECK_TOPIC: &str = "test";

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Where the message went.
    pub sent: String,
    /// The disk's figures; or why there are none.
    pub disk: std::result::Result<String, String>,
}

/// Whether an option's topic, `NAME` or `NAME:PARTITIONS`, is that of the first message.
pub(super) fn is_check_topic(topic: &str) -> bool {
    topic.split(':').next() == Some(CHECK_TOPIC)
}

/// Sends this text through the server in `folder`, reads it back, and measures the disk.
///
/// # Errors
/// The message was not taken, or did not come back.
pub fn prove(program: &Path, folder: &ServerFolder, text: &str) -> Result<Proof> {
    let status = format!(
        "How the server is doing: {} status {}",
        shell_word(&program.to_string_lossy()),
        shell_word(&folder.root().to_string_lossy())
    );
    let failed = |what: String| {
        let error = Error::new(Code::E0308, what);
        error
            .means("The server runs, and is not proved to work.")
            .cure(status.clone())
    };
    let call = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .arg(name)
            .arg("--folder")
            .arg(folder.root())
            .args(arguments);
        tools::output(&mut command, "try the server")
    };
    let sent = call("produce", &[CHECK_TOPIC, text])?;
    if !sent.status.success() {
        return Err(failed(format!(
            "the message was not taken: {}",
            tools::said(&sent).trim()
        )));
    }
    let received = call("consume", &[CHECK_TOPIC, "--from", "first", "--max", "1"])?;
    let received = tools::said(&received);
    if !received.contains(text) {
        return Err(failed(format!(
            "the message did not come back, but: {}",
            received.trim()
        )));
    }
    let mut bench = Command::new(program);
    bench
        .args(["bench", "disk", "--seconds", "1"])
        .arg(folder.data());
    let bench = tools::output(&mut bench, "measure the disk")?;
    let told = tools::said(&bench);
    Ok(Proof {
        sent: String::from_utf8_lossy(&sent.stdout).trim().to_owned(),
        disk: match bench.status.success() {
            true => Ok(String::from_utf8_lossy(&bench.stdout).into_owned()),
            false => Err(told),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_with_partitions_is_the_same_topic() {
        assert!(is_check_topic("test") && is_check_topic("test:4"));
        assert!(!is_check_topic("tests") && !is_check_topic("a:test"));
    }
}
