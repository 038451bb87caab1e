//! Accepting connections, within limits.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections the kernel keeps while we are busy; the Java broker's own figure.
const BACKLOG: i32 = 1000;

/// A port that is ours and does not listen yet: taken before anything else is done, so that a server that
/// cannot have its ports touches nothing.
#[derive(Debug)]
pub struct Bound(Socket);

impl Bound {
    /// Takes a port.
    ///
    /// # Errors
    /// The port is in use, not permitted, or the address is not one of this host's.
    pub fn take(address: SocketAddr) -> io::Result<Bound> {
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

/// Where a client on this host reaches what listens at `address`: a port that listens everywhere, over loopback.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
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
