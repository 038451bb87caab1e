//! The words and small notations that values are written in.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use base64::Engine as _;

use super::key::Written;

/// A word that is none of those permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the words permitted here")]
pub struct UnknownWord;

/// How the disk is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Through io_uring where the kernel lets us, otherwise by threads.
    Auto,
    /// Through io_uring, or not at all.
    Ring,
    /// By threads.
    Threads,
}

impl FromStr for Backend {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Backend, UnknownWord> {
        match text {
            "auto" => Ok(Backend::Auto),
            "ring" => Ok(Backend::Ring),
            "threads" => Ok(Backend::Threads),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Ring => "ring",
            Backend::Threads => "threads",
        })
    }
}

impl Written for Backend {
    const WORDS: &'static str = "\"auto\", \"ring\" or \"threads\"";
}

/// How lines for people look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line to be read.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<LogFormat, UnknownWord> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

impl Written for LogFormat {
    const WORDS: &'static str = "\"text\" or \"json\"";
}

/// Which lines are written: a level, or levels by module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<LogFilter, UnknownWord> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_module = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        let is_directive = |directive: &str| match directive.split_once('=') {
            Some((module, level)) => is_module(module) && LEVELS.contains(&level),
            None => LEVELS.contains(&directive),
        };
        match text.split(',').all(is_directive) {
            true => Ok(LogFilter(text.to_owned())),
            false => Err(UnknownWord),
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Written for LogFilter {
    const WORDS: &'static str = "off, error, warn, info, debug or trace, or a list such as \"info,chrysalis::broker=debug\"";
}

/// Whether a URI can have this host: clients read `meta://HOST:PORT` with Java's strict parser, to
/// which a name with an underscore is no host at all.
pub(super) fn host_name_is_valid(text: &str) -> bool {
    const BYTES_MAX: usize = 253;
    let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    let is_name = !text.is_empty() && text.len() <= BYTES_MAX && text.chars().all(permitted);
    let has_colon = text.contains(':');
    is_name && (!has_colon || text.parse::<Ipv6Addr>().is_ok())
}

/// Whether this is empty or `super:` and a base64 SHA-1.
pub(super) fn super_digest_is_valid(text: &str) -> bool {
    const SHA1_BYTES: usize = 20;
    let is_sha1 = |digest: &str| {
        let decoded = base64::engine::general_purpose::STANDARD.decode(digest);
        decoded.is_ok_and(|bytes| bytes.len() == SHA1_BYTES)
    };
    text.is_empty() || text.strip_prefix("super:").is_some_and(is_sha1)
}

/// `HOST:PORT[,HOST:PORT]...[/PATH]` without what ZooKeeper's clients pass over: a comma or a slash at the end,
/// blanks between the hosts. Nothing if it is none.
pub(super) fn connect_string(text: &str) -> Option<String> {
    let (addresses, path) = match text.find('/') {
        Some(slash) => text.split_at(slash),
        None => (text, ""),
    };
    let path = path.trim_end().trim_end_matches('/');
    let addresses: Vec<&str> = addresses
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .collect();
    let are_valid = addresses
        .iter()
        .all(|address| host_and_port(address).is_some());
    let is_one = !addresses.is_empty() && are_valid;
    let path_is_valid = path.is_empty() || zookeeper_root_is_valid(path);
    (is_one && path_is_valid).then(|| addresses.join(",") + path)
}

/// A connect string's single address, taken apart. Without a port it is ZooKeeper's own.
pub(in crate::config) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    const PORT: u16 = 2181;
    let address = address.trim();
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            let port = match behind {
                "" => PORT,
                _ => behind.strip_prefix(':')?.parse().ok()?,
            };
            (host, port)
        }
        None => match address.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().ok()?),
            _ => (address, PORT),
        },
    };
    // Unlike an advertised host, a host to look up may have an underscore.
    host_name_is_valid(&host.replace('_', "-")).then_some((host, port))
}

/// The host before the first colon, an IPv6 address being in brackets, and what is behind that colon. An address is told
/// as it is usually written, and without brackets.
pub(in crate::config) fn leading_host(text: &str) -> Option<(String, &str)> {
    let text = text.trim();
    let (host, behind) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            let address: Ipv6Addr = host.trim().parse().ok()?;
            (address.to_string(), behind.trim_start().strip_prefix(':')?)
        }
        None => {
            let (host, behind) = text.split_once(':')?;
            (host.trim().to_owned(), behind)
        }
    };
    // Unlike an advertised host, a host to look up may have an underscore.
    host_name_is_valid(&host.replace('_', "-")).then_some((host, behind))
}

/// Whether this is an absolute path of a ZooKeeper node.
pub(super) fn zookeeper_root_is_valid(text: &str) -> bool {
    let is_name =
        |name: &str| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control);
    text.strip_prefix('/')
        .is_some_and(|names| names.split('/').all(is_name))
}
