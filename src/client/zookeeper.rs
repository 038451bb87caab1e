//! A small ZooKeeper client for our own commands and measurements.
//!
//! One connection, one session, plain TCP. Requests can be sent ahead of their replies. It does not
//! reconnect: a command that lost its server says so. (The broker's registration, which must live
//! through that, uses the `zookeeper-client` crate.)
//!
//! While nothing is asked, the session is kept alive only by whoever waits for an event.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::coordinator::{ConnectReply, ConnectRequest, Reply, Request, WatchEvent};
use crate::units::Zxid;
use crate::wire::zookeeper::frame::BadLength;
use crate::wire::zookeeper::{DecodeError, error_code};

mod conversation;

pub use conversation::{Conversation, Incoming};

/// Requests that are sent before the first reply is waited for.
const AHEAD: usize = 256;

/// How long the end of a session may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The session timeout to ask for.
    pub session_timeout: Duration,
    /// How long to wait for a connection, and for a reply.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            session_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(10),
        }
    }
}

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or not for us.
    #[error("connect")]
    Connect(#[source] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("connection broke")]
    Broken(#[source] io::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The server gave no session.
    #[error("the server gave no session")]
    NoSession,
    /// The server refused the request.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What came is not the protocol.
    #[error("not ZooKeeper's protocol")]
    Protocol(#[from] DecodeError),
    /// What came is not the protocol, or what was to be sent is longer than a frame.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// A reply to nothing that was asked.
    #[error("a reply to request {0}, which waits for none")]
    Unasked(i32),
}

/// The server's number for why it refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({number})", error_code::name(*.number))]
pub struct Refused {
    /// The number.
    pub number: i32,
}

/// A connection with a session.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    conversation: Conversation,
    options: Options,
    granted: ConnectReply,
    events: VecDeque<WatchEvent>,
}

impl Client {
    /// Connects and opens a new session.
    ///
    /// # Errors
    /// Nobody answers in time, or with no session.
    pub async fn connect(address: SocketAddr, options: Options) -> Result<Client, Error> {
        let stream = timeout(options.patience, TcpStream::connect(address))
            .await
            .map_err(|_| Error::Late)?
            .map_err(Error::Connect)?;
        stream.set_nodelay(true).map_err(Error::Broken)?;
        let mut client = Client {
            stream,
            conversation: Conversation::new(),
            options,
            granted: ConnectReply {
                timeout_ms: 0,
                session: 0,
                password: [0; 16],
                read_only: None,
            },
            events: VecDeque::new(),
        };
        client.conversation.connect(&ConnectRequest {
            last_zxid_seen: Zxid(0),
            timeout_ms: i32::try_from(options.session_timeout.as_millis()).unwrap_or(i32::MAX),
            session: 0,
            password: vec![0; 16].into(),
            read_only: Some(false),
        })?;
        client.flush().await?;
        let deadline = Instant::now() + options.patience;
        client.granted = loop {
            if let Some(granted) = client.conversation.take_connect_reply()? {
                break granted;
            }
            client.read(deadline).await?;
        };
        match client.granted.session {
            0 => Err(Error::NoSession),
            _ => Ok(client),
        }
    }

    /// The session, its password and its timeout.
    pub fn session(&self) -> &ConnectReply {
        &self.granted
    }

    /// The highest zxid of a reply so far.
    pub fn last_zxid(&self) -> Zxid {
        self.conversation.last_zxid()
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The request was refused, or the connection lost.
    pub async fn call(&mut self, request: &Request) -> Result<Reply, Error> {
        self.settle().await?;
        self.conversation.send(request)?;
        self.flush().await?;
        Ok(self.reply().await??)
    }

    /// Asks all of it, ahead of the replies, which come in the order of the requests.
    ///
    /// # Errors
    /// The connection was lost. A refused request is a result among the others.
    pub async fn call_all<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a Request>,
    ) -> Result<Vec<Result<Reply, Refused>>, Error> {
        self.settle().await?;
        let mut results = Vec::new();
        self.call_each(requests, &mut results).await?;
        Ok(results)
    }

    /// The same, for who has to know what was answered before the connection was lost: it is in `results`.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn call_each<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a Request>,
        results: &mut Vec<Result<Reply, Refused>>,
    ) -> Result<(), Error> {
        let mut asked = results.len();
        for request in requests {
            self.conversation.send(request)?;
            asked += 1;
            if asked - results.len() >= AHEAD {
                self.flush().await?;
                while asked - results.len() > AHEAD / 2 {
                    results.push(self.reply().await?);
                }
            }
        }
        self.flush().await?;
        while results.len() < asked {
            results.push(self.reply().await?);
        }
        Ok(())
    }

    /// Waits for a watch to fire, and keeps the session alive meanwhile.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn next_event(&mut self) -> Result<WatchEvent, Error> {
        let third = u64::try_from(self.granted.timeout_ms / 3).unwrap_or(0);
        let ping_every = Duration::from_millis(third.max(1));
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            // A reply here is to a ping; an event may come between the two.
            while let Some(incoming) = self.conversation.take()? {
                if let Incoming::Event(event) = incoming {
                    self.events.push_back(event);
                }
            }
            if !self.events.is_empty() {
                continue;
            }
            match self.read(Instant::now() + ping_every).await {
                Err(Error::Late) if self.conversation.outstanding() == 0 => {
                    self.conversation.send(&Request::Ping)?;
                    self.flush().await?;
                }
                // A ping that is still unanswered when the next one is due: the server is gone.
                other => other?,
            }
        }
    }

    /// A watch that has fired, if it was told with a reply.
    pub fn take_event(&mut self) -> Option<WatchEvent> {
        self.events.pop_front()
    }

    /// Takes the answer to a ping that an event overtook: it must not be taken for another's.
    async fn settle(&mut self) -> Result<(), Error> {
        while self.conversation.outstanding() > 0 {
            // What it says is of no interest.
            let _answered = self.reply().await?;
        }
        Ok(())
    }

    /// Ends the session, so that nothing of it stays behind. Requests that still wait for their replies, because
    /// who asked them has given up, are answered first.
    ///
    /// # Errors
    /// The connection was lost, or there was no answer in time; the session ends by itself after its timeout.
    pub async fn close(mut self) -> Result<(), Error> {
        self.options.patience = self.options.patience.min(CLOSE_MAX);
        self.conversation.send(&Request::CloseSession)?;
        let deadline = Instant::now() + self.options.patience;
        timeout_at(deadline, self.flush())
            .await
            .map_err(|_| Error::Late)??;
        while self.conversation.outstanding() > 0 {
            let _unheard = self.reply().await?;
        }
        Ok(())
    }

    /// Gives up the client for its connection, on which nothing waits. The session goes on for its timeout.
    ///
    /// # Panics
    /// A request waits for its reply.
    pub fn into_stream(self) -> TcpStream {
        assert_eq!(
            self.conversation.outstanding(),
            0,
            "a connection is given away with nothing under way on it"
        );
        self.stream
    }

    /// The next reply; events that come before it are kept.
    async fn reply(&mut self) -> Result<Result<Reply, Refused>, Error> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            match self.conversation.take()? {
                Some(Incoming::Reply(result)) => return Ok(result),
                Some(Incoming::Event(event)) => self.events.push_back(event),
                None => self.read(deadline).await?,
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let output = self.conversation.output();
        self.stream
            .write_all_buf(output)
            .await
            .map_err(Error::Broken)
    }

    async fn read(&mut self, deadline: Instant) -> Result<(), Error> {
        match timeout_at(deadline, self.stream.read_buf(self.conversation.input())).await {
            Err(_) => Err(Error::Late),
            Ok(Ok(0)) => Err(Error::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::Broken(error)),
        }
    }
}
