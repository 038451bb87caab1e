//! `chrysalis host plan` and `host apply`.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::Utc;
use nix::unistd::gethostname;

use super::{Prefix, next};
use crate::config::COORDINATOR_ID_MAX;
use crate::disk::folder::{Lock, LockError};
use crate::host::{self, ACCOUNT, Facts, Layout, NewServer, Source, Step, Wish};
use crate::operator::cli::init;
use crate::report::{Code, Error};

/// Show what `apply` would do, and change nothing
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    options: Options,
}

/// Make this host as it should be
///
/// Installs the program, makes a server, starts it, sends a message and reads it back. A second run with the same options
/// changes nothing. If a step fails, everything that this run has made is taken back. If the run itself is cut off, run it
/// again: it goes on.
///
/// What an option chooses for a server holds when the server is made. Afterwards its conf/server.toml is the place to
/// change it; an option that says otherwise is named, and the command ends with 4.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis host apply\n      \
    as root: into /opt/chrysalis, run by systemd where there is one\n  \
    chrysalis host apply --prefix ~/chrysalis --topic orders:4\n      \
    anybody: into a folder of one's own\n  \
    chrysalis host apply --id 2\n      \
    a second server beside the first, with ports ten higher")]
pub(super) struct Apply {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    prefix: Prefix,
    /// Install this binary [default: the one that runs]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The server's number; its folder is serverN below the prefix
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(COORDINATOR_ID_MAX)))]
    id: u16,
    /// The address that clients reach it at; 0.0.0.0 is every address of this host. Whoever reaches a port may do
    /// everything [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// For ZooKeeper's clients [default: 2181; the second server of a host 2191, and so on]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    coordinator_port: Option<u16>,
    /// For MetaQ's clients [default: 8123; 8133 ...]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    broker_port: Option<u16>,
    /// For /health, /ready and /metrics, on loopback [default: 8120; 8130 ...]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    web_port: Option<u16>,
    /// A topic to begin with; may be given again. The topic `test` is always made
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = topic)]
    topics: Vec<String>,
    /// As root, too: started with `chrysalis start`, not by a unit
    #[arg(long)]
    without_systemd: bool,
    /// The account that a unit runs it as; made when missing [default: chrysalis]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only lay everything out
    #[arg(long)]
    no_start: bool,
}

/// A topic, as `init` takes it.
fn topic(text: &str) -> Result<String, String> {
    init::parse_topic(text).map(|_topic| text.to_owned())
}

impl Plan {
    pub(super) fn run(self, umask: u32, out: &mut dyn Write) -> anyhow::Result<()> {
        let wish = self.options.wish(umask)?;
        let plan = host::plan(&Facts::gather(&wish.layout), &wish)?;
        writeln!(out, "Plan for {}", wish.layout.prefix().display())?;
        for step in &plan.steps {
            writeln!(out, "  would {step}")?;
        }
        if plan.proves {
            writeln!(
                out,
                "  would send a message, read it back, and measure the disk"
            )?;
        }
        if plan.steps.is_empty() {
            writeln!(out, "  nothing: everything is as it should be")?;
        }
        tell_what_stays(&plan, out)?;
        writeln!(out, "This was the plan; nothing was changed.")?;
        applied(&plan, &wish)
    }
}

impl Apply {
    pub(super) fn run(self, umask: u32, out: &mut dyn Write) -> anyhow::Result<()> {
        let wish = self.options.wish(umask)?;
        let prefix = wish.layout.prefix();
        // What cannot work is refused before even the folder is made.
        host::plan(&Facts::gather(&wish.layout), &wish)?;
        writeln!(out, "Installing into {}", prefix.display())?;
        let is_new = !prefix.exists();
        let _lock = lock(prefix)?;
        let plan = host::plan(&Facts::gather(&wish.layout), &wish)?;
        tell_what_stays(&plan, out)?;
        let carried_out = host::carry_out(&plan.steps, |told| {
            out.write_all(told.as_bytes())?;
            out.flush()
        });
        if let Err(failed) = carried_out {
            if is_new {
                // Empty, unless something could not be taken back.
                let _stays = fs::remove_dir(prefix);
            }
            return Err(taken_back(failed, &plan.steps, out).into());
        }
        let server = wish.layout.server(wish.server.id);
        let version = &wish.source.version;
        if plan.steps.is_empty() {
            let state = if wish.is_started {
                "runs"
            } else {
                "is laid out"
            };
            writeln!(
                out,
                "  nothing to do: version {version} is installed, {} {state}",
                server.name()
            )?;
            return applied(&plan, &wish);
        }
        if plan.proves {
            prove(&wish, out)?;
        }
        next::tell(&wish, plan.makes_server, out)?;
        applied(&plan, &wish)
    }
}

/// What stays as it is, although somebody may have thought otherwise.
fn tell_what_stays(plan: &host::Plan, out: &mut dyn Write) -> anyhow::Result<()> {
    for note in &plan.notes {
        writeln!(out, "  {note}")?;
    }
    for difference in &plan.not_applied {
        writeln!(out, "  not applied: {difference}")?;
    }
    Ok(())
}

/// Whether all that was asked for is so now.
fn applied(plan: &host::Plan, wish: &Wish) -> anyhow::Result<()> {
    if plan.not_applied.is_empty() {
        return Ok(());
    }
    let folder = wish.layout.server(wish.server.id);
    let error = Error::new(Code::E0312, "not everything that was asked for was applied")
        .means("See \"not applied\" above")
        .cure(format!(
            "Change {}, which every key is explained in, and restart {}",
            folder.server_toml().display(),
            folder.name()
        ));
    Err(error.into())
}

/// Keeps a second run out of this one's way.
pub(super) fn lock(prefix: &Path) -> Result<Lock, Error> {
    fs::create_dir_all(prefix).map_err(|error| {
        Error::new(Code::E0103, format!("make {}", prefix.display())).because(error)
    })?;
    Lock::take(prefix).map_err(|error| match error {
        LockError::Taken(_) => Error::new(
            Code::E0306,
            format!("another command is changing {}", prefix.display()),
        )
        .means("Nothing was changed.")
        .cure("Wait until it has ended."),
        LockError::Failed(error) => {
            Error::new(Code::E0104, format!("lock {}", prefix.display())).because(error)
        }
    })
}

/// Tells that a failure was taken back, to whoever still listens, and gives back what failed.
fn taken_back(failed: host::Failed, steps: &[Step], out: &mut dyn Write) -> Error {
    let before = steps.iter().find_map(|step| match step {
        Step::Lead { before, .. } => before.as_ref(),
        _ => None,
    });
    let mut told = match before {
        Some(before) => format!("  taken back: {} is used as before\n", before.display()),
        None => "  taken back: what this run had made\n".to_owned(),
    };
    for left in &failed.left {
        told.push_str(&format!("  not taken back: {left}\n"));
    }
    let _told = out.write_all(told.as_bytes());
    failed.error
}

fn prove(wish: &Wish, out: &mut dyn Write) -> anyhow::Result<()> {
    let host = gethostname().unwrap_or_default();
    let now = Utc::now().format("%FT%TZ");
    let text = format!("hello from install.sh on {}, {now}", host.to_string_lossy());
    let folder = wish.layout.server(wish.server.id);
    writeln!(out, "\nA message, on disk before it is acknowledged:")?;
    out.flush()?;
    let proof = host::prove(&wish.layout.program(), &folder, &text)?;
    writeln!(
        out,
        "  sent: {}\n  received: {text}\n\nThis disk:",
        proof.sent
    )?;
    match proof.disk {
        Ok(figures) => {
            for line in figures.lines() {
                writeln!(out, "  {line}")?;
            }
        }
        Err(why) => writeln!(out, "  (not measured: {})", why.trim())?,
    }
    Ok(())
}

impl Options {
    fn wish(self, umask: u32) -> anyhow::Result<Wish> {
        let layout = self.prefix.layout()?;
        let source = self.source()?;
        let account = self.account(&layout)?;
        Ok(Wish {
            layout,
            source,
            account,
            server: NewServer {
                id: self.id,
                listen: self.listen,
                coordinator_port: self.coordinator_port,
                broker_port: self.broker_port,
                web_port: self.web_port,
                topics: self.topics,
            },
            is_started: !self.no_start,
            umask,
        })
    }

    /// The account of the units, where there are to be any.
    fn account(&self, layout: &Layout) -> Result<Option<String>, Error> {
        let facts = Facts::gather(layout);
        if facts.may_have_units() && !self.without_systemd {
            let account = self.user.as_deref().or(facts.account());
            return Ok(Some(account.unwrap_or(ACCOUNT).to_owned()));
        }
        match &self.user {
            Some(user) => Err(super::super::usage(format!(
                "--user {user}: without systemd a server runs as whoever starts it"
            ))),
            None => Ok(None),
        }
    }

    fn source(&self) -> Result<Source, Error> {
        let Some(path) = self.binary.clone() else {
            let own = std::env::current_exe().map_err(|error| {
                Error::new(Code::E0308, "find the program that runs").because(error)
            })?;
            return Ok(Source {
                path: own,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            });
        };
        let told = Command::new(&path).arg("--version").output();
        let version = told.ok().and_then(|output| version(&output.stdout));
        version.map(|version| Source { path: path.clone(), version }).ok_or_else(|| {
            let what = format!("{} does not run, or is no chrysalis", path.display());
            Error::new(Code::E0308, what)
                .means("Nothing was changed.")
                .cure("Is it there? Is its folder mounted noexec? Was it packed for another machine?")
        })
    }
}

/// The version in what a binary says of itself; it names a folder.
fn version(told: &[u8]) -> Option<String> {
    let told = std::str::from_utf8(told).ok()?;
    let word = told.lines().next()?.split_whitespace().nth(1)?;
    let numbers: Vec<&str> = word.splitn(3, '.').collect();
    let is_plain = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
    let begin = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    (numbers.len() == 3 && numbers.iter().all(begin) && is_plain).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_a_folder_and_nothing_else() {
        let of = |text: &str| version(text.as_bytes());
        assert_eq!(of("chrysalis 1.4.0\nmore\n").as_deref(), Some("1.4.0"));
        assert_eq!(of("chrysalis 1.4.0-rc.1\n").as_deref(), Some("1.4.0-rc.1"));
        for odd in [
            "",
            "chrysalis",
            "chrysalis 1.4",
            "chrysalis ../../1.4.0",
            "chrysalis 1.4./etc",
            "a b.c.d",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
