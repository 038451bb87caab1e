//! Where a broker listens: `meta://host:port`.

use std::fmt;
use std::str::FromStr;

/// The broker's port unless an address says otherwise.
pub const DEFAULT_PORT: u16 = 8123;

/// A broker's address as the protocol writes it, `meta://host:port`.
///
/// Read from ZooKeeper, or typed by a person, who may leave out the scheme and the port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or a number; IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Text that is no broker's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a broker's address: expected meta://HOST:PORT")]
pub struct NotAnAddress(pub String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meta://{}", self.host_port())
    }
}

impl Address {
    /// `host:port`, an IPv6 host in brackets.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        parse(text.trim()).ok_or_else(|| NotAnAddress(text.to_string()))
    }
}

fn parse(text: &str) -> Option<Address> {
    let text = text.strip_prefix("meta://").unwrap_or(text);
    // A slave's address carries its number as a query; nothing else follows the port.
    let text = text.split(['/', '?']).next()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            let port = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':')?)
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !"[]/@".contains(c);
    let port = match port {
        Some(port) => port.parse().ok().filter(|&port| port > 0)?,
        None => DEFAULT_PORT,
    };
    (!host.is_empty() && host.chars().all(legal)).then(|| Address {
        host: host.to_string(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_may_leave_out_scheme_and_port() {
        for text in [
            "meta://broker-1:8123",
            "broker-1:8123",
            "broker-1",
            " meta://broker-1 ",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), "meta://broker-1:8123");
        }
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        let address: Address = "meta://[::1]:9000".parse().expect("an address");
        assert_eq!((address.host.as_str(), address.port), ("::1", 9000));
        assert_eq!(address.to_string(), "meta://[::1]:9000");
    }

    #[test]
    fn a_slaves_number_is_not_part_of_its_address() {
        let address: Address = "meta://h:8124?slaveId=1".parse().expect("an address");
        assert_eq!(address.to_string(), "meta://h:8124");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "", "meta://", ":8123", "h:0", "h:70000", "h:port", "[::1", "::1", "a b:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
