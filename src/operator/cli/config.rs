//! `chrysalis config`: whether a server would start with its files, and what holds then.

use std::io::Write;

use serde_json::json;

use super::FolderArgument;
use crate::config::{self, Origin, ServerFolder, Shown};
use crate::report::Error;
use crate::server;

/// Check or show a server's configuration
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis config check /srv/server1 && chrysalis restart /srv/server1\n  \
    chrysalis config show /srv/server1 | grep listen")]
pub(super) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    Check(Check),
    Show(Show),
}

impl Config {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            ConfigCommand::Check(command) => command.run(out),
            ConfigCommand::Show(command) => command.run(out),
        }
    }
}

/// Check the files that a server would start with
///
/// Reads conf/server.toml, or else server.ini and zoo.cfg, and names every mistake with its line. If there is
/// no mistake, it names what a start on this machine would refuse: an address that is not this machine's, a
/// folder that cannot be written, data of another server.
///
/// It changes nothing, and the server may run meanwhile. The exit code is 10 if a start would be refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis config check /srv/server1")]
struct Check {
    #[command(flatten)]
    folder: FolderArgument,
}

impl Check {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        let config = check(&folder)?;
        for note in &config.source.notes {
            writeln!(out, "note: {note}")?;
        }
        writeln!(
            out,
            "{} would start with {}",
            folder.name(),
            config.files_shown()
        )?;
        Ok(())
    }
}

/// The configuration of `folder`, if a server would start with it.
pub(super) fn check(folder: &ServerFolder) -> Result<config::Config, Error> {
    let refused = |error| super::config_error(error);
    let config = config::load(folder).map_err(refused)?;
    server::preflight(&config, folder).map_err(|mistakes| refused(mistakes.into()))?;
    Ok(config)
}

/// Show what holds for every key, and where it comes from
///
/// Prints the settings that a start would use, as TOML, and after each key where its value comes from: a file
/// and its line, or the default. A running server uses what its files said when it started, and the topics
/// of its last reload. A digest is not shown.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis config show /srv/server1\n  \
    chrysalis config show /srv/server1 --json | jq '.keys[] | select(.from != \"default\")'")]
struct Show {
    #[command(flatten)]
    folder: FolderArgument,
    /// One JSON object instead of TOML
    #[arg(long)]
    json: bool,
}

impl Show {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        let config = config::load(&folder).map_err(super::config_error)?;
        match self.json {
            true => as_json(&config, out),
            false => as_text(&config, out),
        }
    }
}

/// What only its owner should see.
const HIDDEN: &str = "coordinator.super_digest";

fn shown_value(shown: &Shown) -> &str {
    match shown.key == HIDDEN && shown.value != "\"\"" {
        true => "\"(hidden)\"",
        false => &shown.value,
    }
}

fn as_text(config: &config::Config, out: &mut dyn Write) -> anyhow::Result<()> {
    const COLUMN: usize = 48;
    for note in &config.source.notes {
        writeln!(out, "# note: {note}")?;
    }
    for shown in config.shown() {
        let line = format!("{} = {}", shown.key, shown_value(&shown));
        writeln!(out, "{line:COLUMN$}  # {}", origin(&shown))?;
    }
    Ok(())
}

fn origin(shown: &Shown) -> String {
    let origin = match &shown.origin {
        Origin::Default => "default".to_owned(),
        Origin::Derived(from) => format!("default: {from}"),
        Origin::Implied(place) => format!("implied by {place}"),
        Origin::Written { place, shown } => match legacy_key(place, shown) {
            Some(key) => format!("{place} {key}"),
            None => place.to_string(),
        },
    };
    match &shown.follows {
        Some(key) => format!("{origin} ({key})"),
        None => origin,
    }
}

/// The key as an original's file has it, where it was written in one.
fn legacy_key<'a>(place: &config::Place, shown: &'a str) -> Option<&'a str> {
    let is_toml = place.file.extension().is_some_and(|end| end == "toml");
    let (key, _) = shown.split_once(" = ")?;
    (!is_toml).then_some(key)
}

fn as_json(config: &config::Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for shown in config.shown() {
        let line = format!("value = {}", shown_value(&shown));
        let table: toml::Table = line.parse()?;
        let mut key = json!({ "key": shown.key, "value": table["value"] });
        let place = match &shown.origin {
            Origin::Default => {
                key["from"] = "default".into();
                None
            }
            Origin::Derived(from) => {
                key["from"] = "default".into();
                key["default"] = (*from).into();
                None
            }
            Origin::Implied(place) => {
                key["from"] = "implied".into();
                Some(place)
            }
            Origin::Written { place, shown } => {
                key["from"] = "file".into();
                if let Some(legacy) = legacy_key(place, shown) {
                    key["legacy_key"] = legacy.into();
                }
                Some(place)
            }
        };
        if let Some(place) = place {
            key["file"] = place.file.display().to_string().into();
        }
        if let Some(place) = place.filter(|place| place.line > 0) {
            key["line"] = place.line.into();
        }
        if let Some(follows) = &shown.follows {
            key["follows"] = follows.as_str().into();
        }
        keys.push(key);
    }
    let files: Vec<String> = config
        .source
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let all = json!({ "files": files, "keys": keys, "notes": config.source.notes });
    // Not written by serde_json, which hides the error of a reader that has gone.
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?)
}
