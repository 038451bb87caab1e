//! What both loads do with a socket.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::TcpStream;

use crate::report::{self, Code};
use crate::wire::metaq::StatusCode;

/// How long a broker may be silent before the measurement is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// When to count, and when to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Instant,
    end: Instant,
}

impl Schedule {
    /// Counts for `seconds`, after `warm_up` from now.
    pub(super) fn new(warm_up: Duration, seconds: Duration) -> Schedule {
        let start = Instant::now() + warm_up;
        Schedule {
            start,
            end: start + seconds,
        }
    }

    /// Whether what ends now counts.
    pub(super) fn counts(&self, now: Instant) -> bool {
        self.start <= now && now < self.end
    }

    /// Whether nothing new is to be asked.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }

    /// How long is counted.
    pub(super) fn counted(&self) -> Duration {
        self.end - self.start
    }
}

pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, report::Error> {
    let refused = |error| {
        report::Error::new(Code::E0401, format!("connect to {address}"))
            .because(error)
            .means("Nothing was measured.")
            .cure("Start the broker, or name another one: --broker HOST:PORT.")
    };
    let stream = TcpStream::connect(address).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

/// Reads what is there, without waiting.
pub(super) fn read(stream: &TcpStream, input: &mut BytesMut) -> io::Result<()> {
    match stream.try_read_buf(input) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// A refusal ends the measurement: it would measure something else.
pub(super) fn refused(what: &str, code: StatusCode, text: &[u8]) -> report::Error {
    let text = String::from_utf8_lossy(text);
    report::Error::new(Code::E0402, format!("{what} was answered {code}: {text}"))
        .means("This is no measurement.")
        .cure("Does the broker accept the topic, and does it have that many partitions? See --topic, --partitions.")
}
