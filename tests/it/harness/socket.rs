//! Sockets of the tests' own clients, and ports that nobody uses.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// No reply takes longer, on any machine that is not broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A port of the loopback that nobody listens on, below the range from which the kernel takes ports for
/// outgoing connections, so that no client can take it before the server does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Test processes that run at once begin at different places.
        let port = FIRST + process::id().wrapping_mul(997).wrapping_add(step) % COUNT;
        let port = u16::try_from(port).expect("below 30,000");
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("all ports from {FIRST} on are taken");
}

/// An address of the loopback nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()))
}

/// A connection whose every step takes at most [`LIMIT`].
///
/// # Errors
/// Nobody listens there.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// The same from another address of the loopback.
///
/// # Errors
/// Nobody listens there.
pub(crate) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect_timeout(&address.into(), LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    Ok(socket.into())
}

/// True if the other side has hung up, or does so soon.
pub(crate) fn is_closed(socket: &mut impl Read) -> bool {
    match socket.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => !is_timeout(&error),
    }
}

/// True if nothing comes for this long and the connection stays open.
pub(crate) fn is_silent(socket: &TcpStream, time: Duration) -> bool {
    let wait = |limit| {
        socket.set_read_timeout(Some(limit)).expect("set a timeout");
    };
    wait(time);
    let silent = socket.peek(&mut [0]).is_err_and(|error| is_timeout(&error));
    wait(LIMIT);
    silent
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// True if somebody accepts connections there.
pub(crate) fn is_listening(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}
