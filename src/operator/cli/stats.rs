//! `chrysalis stats`: what the broker counts, in the original's words.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::place::FolderOption;
use super::server;
use crate::net::listener::reachable;
use crate::report::{Code, Error};

/// How long a broker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Print what the broker counts, as the original's stats command tells it
///
/// For scripts that read the original's; `chrysalis status` says more.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "chrysalis stats [OPTIONS] [DIR] [ITEM]",
    after_long_help = "Examples:\n  \
    chrysalis stats /srv/server1\n  \
    chrysalis stats /srv/server1 topics"
)]
pub(super) struct Stats {
    #[command(flatten)]
    folder: FolderOption,
    /// What to tell: topics, realtime, offsets, config, or a topic's name. The server's folder may stand before it
    #[arg(value_name = "ITEM", num_args = 0..=2)]
    words: Vec<String>,
}

impl Stats {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (folder, item) = self.folder.and_perhaps(&self.words)?;
        let Some(address) = server::ask_status(&folder)?.ports.broker else {
            let what = format!("the server in {} has no broker", folder.root().display());
            return Err(Error::new(Code::E0401, what)
                .means("Nothing was asked.")
                .into());
        };
        let address = reachable(address);
        let text = ask(address, item).map_err(|error| {
            Error::new(Code::E0401, format!("ask {address} for its stats"))
                .because(error)
                .cure(format!(
                    "See how it is doing: chrysalis status {}",
                    folder.root().display()
                ))
        })?;
        Ok(out.write_all(&text)?)
    }
}

/// The text behind the line `result CODE LENGTH OPAQUE`. The broker closes when it is told to quit.
fn ask(address: SocketAddr, item: Option<&str>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let item = item.map(|item| format!(" {item}")).unwrap_or_default();
    write!(stream, "stats{item}\r\nquit\r\n")?;
    let mut answer = BufReader::new(stream);
    answer.skip_until(b'\n')?;
    let mut text = Vec::new();
    answer.read_to_end(&mut text)?;
    Ok(text)
}
