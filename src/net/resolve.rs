//! Host names to numeric addresses, without the C library.
//!
//! A static glibc would load the host's name-service modules to do this, and those belong to another
//! libc; so the names are looked up here (`/etc/hosts` and the system's DNS servers) and libraries get
//! numbers.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::Resolver;

/// Why a connect string could not be turned into addresses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not of the form `host:port`.
    #[error("'{0}' is not host:port")]
    Form(String),
    /// An address of one interface alone.
    #[error("'{0}' names an interface (%): a coordinator needs an address without one")]
    Scope(String),
    /// Nobody knows the name.
    #[error("there is no host '{0}', neither in /etc/hosts nor in DNS")]
    Unknown(String),
    /// Nobody answers for the name.
    #[error("look up '{name}': {source}")]
    Name {
        /// The host name.
        name: String,
        /// What the resolver says.
        source: Box<hickory_resolver::net::NetError>,
    },
    /// The system's resolver configuration cannot be read.
    #[error("read the resolver configuration: {0}")]
    Configuration(Box<hickory_resolver::net::NetError>),
}

/// ZooKeeper's port, where a connect string leaves it out.
const ZOOKEEPER_PORT: u16 = 2181;

/// Turns ZooKeeper's `host:port,host:port/chroot` into the same with numbers for names.
///
/// # Errors
/// A host is malformed, or its name unknown.
pub async fn connect_string(text: &str) -> Result<String, Error> {
    let (hosts, chroot) = match text.find('/') {
        Some(slash) => text.split_at(slash),
        None => (text, ""),
    };
    let mut numeric = Vec::new();
    for host in hosts
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        let host = if host.ends_with(']') || !host.contains(':') {
            format!("{host}:{ZOOKEEPER_PORT}")
        } else {
            host.to_string()
        };
        for address in addresses(&host).await? {
            // The library would take it for a name, and ask the C library.
            if matches!(address, SocketAddr::V6(address) if address.scope_id() != 0) {
                return Err(Error::Scope(host));
            }
            numeric.push(address.to_string());
        }
    }
    Ok(format!("{}{chroot}", numeric.join(",")))
}

/// The addresses behind one `host:port`.
///
/// # Errors
/// It is malformed, or the name is unknown.
pub async fn addresses(host_port: &str) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = host_port.parse() {
        return Ok(vec![address]);
    }
    let form = || Error::Form(host_port.to_string());
    let (host, port) = host_port.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().map_err(|_| form())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let resolver = Resolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(|source| Error::Configuration(Box::new(source)))?;
    let found =
        resolver
            .lookup_ip(host)
            .await
            .map_err(|source| match source.is_no_records_found() {
                true => Error::Unknown(host.to_string()),
                false => Error::Name {
                    name: host.to_string(),
                    source: Box::new(source),
                },
            })?;
    Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, expected: &str) {
        assert_eq!(connect_string(text).await.expect(text), expected);
    }

    #[tokio::test]
    async fn numbers_stay_as_they_are() {
        check("127.0.0.1:2181", "127.0.0.1:2181").await;
        check(
            "127.0.0.1:2181, [::1]:2182/a/b",
            "127.0.0.1:2181,[::1]:2182/a/b",
        )
        .await;
    }

    #[tokio::test]
    async fn a_connect_string_may_leave_out_the_port() {
        check("127.0.0.1,[::1]/chroot", "127.0.0.1:2181,[::1]:2181/chroot").await;
    }

    #[tokio::test]
    async fn an_address_of_one_interface_is_refused() {
        let refused = connect_string("[fe80::1%2]:2181").await;
        assert!(matches!(refused, Err(Error::Scope(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn the_own_host_needs_no_name_server() {
        let found = addresses("localhost:1")
            .await
            .expect("the loopback address");
        assert!(
            found.iter().all(|address| address.ip().is_loopback()),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn an_unknown_name_is_told_in_words() {
        // The top level that never has a host: no name server is asked for it.
        let unknown = addresses("nowhere.invalid:1").await;
        let said = unknown.expect_err("it is nowhere").to_string();
        assert!(
            said.starts_with("there is no host 'nowhere.invalid'"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn what_is_no_host_and_port_is_refused() {
        for text in ["127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000"] {
            assert!(
                matches!(addresses(text).await, Err(Error::Form(_))),
                "{text}"
            );
        }
    }
}
