//! Accepting connections, within limits.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections the kernel keeps while we are busy, if it is allowed so many (`net.core.somaxconn`). Whoever comes beyond tries
/// again after one second and after three: with the Java broker's own 1,000 a third of 10,000 clients that came at once
/// waited for three seconds.
const BACKLOG: i32 = 4096;

/// A port that is ours and does not listen yet: taken before anything else is done, so that a server that
/// cannot have its ports touches nothing.
#[derive(Debug)]
pub struct Bound(Socket);

impl Bound {
    /// Takes a port. `::` is every address there is: without IPv6 those are the IPv4 ones.
    ///
    /// # Errors
    /// The port is in use, not permitted, or the address is not one of this host's.
    pub fn take(address: SocketAddr) -> io::Result<Bound> {
        match Bound::take_at(address) {
            Err(error) if is_everywhere_by_v6(address) && is_absent(&error) => Bound::take_at(
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
            ),
            taken => taken,
        }
    }

    fn take_at(address: SocketAddr) -> io::Result<Bound> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the old connections' last minutes.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // Where IPv6 is asked for, IPv4 clients come in as well, as they do with the originals.
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        Ok(Bound(socket))
    }

    /// Where it is. Of port 0 the kernel has made a real one.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Lets clients come.
    ///
    /// # Errors
    /// Another process began to listen on the port meanwhile.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)?;
        self.0.set_nonblocking(true)?;
        TcpListener::from_std(self.0.into())
    }
}

fn is_everywhere_by_v6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

/// Whether the kernel has no such address, or nothing of its family.
pub fn is_absent(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(
        number,
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT)
    )
}

/// A client's address as people know it: a socket that listens on `::` gives IPv4 clients one of IPv6.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Where a client on this host reaches what listens at `address`: a port that listens everywhere, over the loopback
/// that is always there (`::` takes IPv4 clients too, and the host may have no `::1`).
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        false => address,
    }
}

/// Whether accepting failed for one client alone, who has gone already: there is nothing to wait for.
pub fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Why there is no room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    All,
    /// There are as many from its address as there may be.
    Address,
}

/// Counts connections, in all and by address.
#[derive(Debug)]
pub struct Census {
    by_address: HashMap<IpAddr, usize>,
    count: usize,
    count_max: usize,
    address_max: usize,
}

impl Census {
    /// At most `count_max` in all and `address_max` from one address; 0 is no limit.
    pub fn new(count_max: usize, address_max: usize) -> Census {
        Census {
            by_address: HashMap::new(),
            count: 0,
            count_max,
            address_max,
        }
    }

    /// Counts a new connection, unless there is no room for it.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(&mut self, address: IpAddr) -> Result<(), Full> {
        let from_there = self.by_address.entry(address.to_canonical()).or_default();
        let over = |count: usize, max: usize| max != 0 && count >= max;
        let full = if over(self.count, self.count_max) {
            Some(Full::All)
        } else {
            over(*from_there, self.address_max).then_some(Full::Address)
        };
        if let Some(full) = full {
            if *from_there == 0 {
                self.by_address.remove(&address.to_canonical());
            }
            return Err(full);
        }
        *from_there += 1;
        self.count += 1;
        Ok(())
    }

    /// A connection that was admitted has ended.
    pub fn leave(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if let Some(from_there) = self.by_address.get_mut(&address) {
            *from_there -= 1;
            self.count -= 1;
            if *from_there == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
