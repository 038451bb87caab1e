//! What a consumer's name in the owner nodes says of its client.
//!
//! A client from 1.4.6 on passes over a message that it has read; one before reads it again. The names tell
//! them apart: `<group>_<host>-<pid>-<millis>-<counter>` (and `<host>-<pid>-<uuid>` in the last sources)
//! against `<group>_<host>-<millis>-<counter>`. The host is an address, never a name, so that a number in it
//! cannot be taken for a process id. A user may choose another name; that says nothing.

use std::net::IpAddr;

/// The client behind a consumer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It remembers what it has read, in one memory of its process: `<host>-<pid>`.
    Remembers { process: String },
    /// It reads again whatever it is sent again.
    Rereads,
    /// Its user chose the name.
    Unknown,
}

impl Client {
    /// The process whose memory it is.
    pub(super) fn process(&self) -> Option<&str> {
        match self {
            Client::Remembers { process } => Some(process),
            Client::Rereads | Client::Unknown => None,
        }
    }
}

/// Who a consumer's name is that of.
pub(super) fn client(group: &str, consumer: &str) -> Client {
    parse(group, consumer).unwrap_or(Client::Unknown)
}

fn parse(group: &str, consumer: &str) -> Option<Client> {
    let rest = consumer.strip_prefix(group)?.strip_prefix('_')?;
    let (host, rest) = split_host(rest)?;
    let parts: Vec<&str> = rest.split('-').collect();
    match parts[..] {
        [millis, counter] if is_millis(millis) && is_number(counter) => Some(Client::Rereads),
        [pid, millis, counter] if is_number(pid) && is_millis(millis) && is_number(counter) => {
            Some(remembers(host, pid))
        }
        [pid, ref uuid @ ..] if is_number(pid) && is_uuid(uuid) => Some(remembers(host, pid)),
        _ => None,
    }
}

fn remembers(host: &str, pid: &str) -> Client {
    Client::Remembers {
        process: format!("{host}-{pid}"),
    }
}

/// `10.0.0.1-…`, or `[fe80::1%eth-0]-…`.
fn split_host(text: &str) -> Option<(&str, &str)> {
    if let Some(inside) = text.strip_prefix('[') {
        let (address, rest) = inside.split_once(']')?;
        let bare = address.split('%').next()?;
        bare.parse::<IpAddr>().ok()?;
        return Some((address, rest.strip_prefix('-')?));
    }
    let (address, rest) = text.split_once('-')?;
    address.parse::<IpAddr>().ok()?;
    Some((address, rest))
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Milliseconds since 1970, of this century.
fn is_millis(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(parts: &[&str]) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == 5
        && parts
            .iter()
            .zip([8, 4, 4, 4, 12])
            .all(|(part, length)| part.len() == length && hex(part))
}

#[cfg(test)]
mod tests {
    use super::{Client, client};

    fn check(consumer: &str, expected: &str) {
        let found = match client("my-group", consumer) {
            Client::Remembers { process } => process,
            Client::Rereads => "rereads".to_owned(),
            Client::Unknown => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{consumer}");
    }

    #[test]
    fn a_name_tells_whether_its_client_remembers() {
        check("my-group_10.0.0.1-4242-1374200000000-1", "10.0.0.1-4242");
        check("my-group_[fe80:0:0:1%eth-0]-7-1374200000000-12", "unknown");
        check(
            "my-group_[fe80::1%eth-0]-7-1374200000000-12",
            "fe80::1%eth-0-7",
        );
        check(
            "my-group_10.0.0.1-7-3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "10.0.0.1-7",
        );
        check("my-group_10.0.0.1-1374200000000-1", "rereads");
        for name in [
            "my-group_billing",
            // a host's name with a number would pass for a process id
            "my-group_web-01-1374200000000-1",
            "my-group_10.0.0.1-x-1374200000000-1",
            "my-group_10.0.0.1-4242-17-1",
            "my-group_10.0.0.1-4242-1374200000000-1-1",
            "other_10.0.0.1-4242-1374200000000-1",
            "my-group10.0.0.1-4242-1374200000000-1",
            "my-group_",
            "",
        ] {
            check(name, "unknown");
        }
    }
}
