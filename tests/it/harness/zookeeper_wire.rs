//! A ZooKeeper client of the tests' own: raw frames over a socket, written from the protocol's description
//! and sharing no code with the server, so that a mistake in one is not repeated in the other.

use super::socket::{self, LIMIT, connect};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Sends a four-letter word and returns the reply, or nothing if nobody listens.
pub(crate) fn four_letter_word(address: SocketAddr, word: &str) -> Option<String> {
    let mut socket = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    socket.set_read_timeout(Some(LIMIT)).ok()?;
    socket.write_all(word.as_bytes()).ok()?;
    let mut reply = Vec::new();
    // A server that refuses closes at once; what came until then is the reply.
    let _ = socket.read_to_end(&mut reply);
    let _ = socket.shutdown(Shutdown::Both);
    Some(String::from_utf8_lossy(&reply).into_owned())
}

/// The whole frame that asks for a new session with this timeout.
pub(crate) fn hello(timeout: i32) -> Vec<u8> {
    let body = Body::new().int(0).long(0).int(timeout).long(0);
    let body = body.bytes(&[0; 16]).bool(false).0;
    Body::new().bytes(&body).0
}

/// Bytes in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn new() -> Body {
        Body::default()
    }

    pub(crate) fn int(mut self, value: i32) -> Body {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Body {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn bool(mut self, value: bool) -> Body {
        self.0.push(u8::from(value));
        self
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Body {
        self = self.int(i32::try_from(value.len()).expect("test data is small"));
        self.0.extend_from_slice(value);
        self
    }

    /// A null buffer or string.
    pub(crate) fn null(self) -> Body {
        self.int(-1)
    }

    pub(crate) fn string(self, value: &str) -> Body {
        self.bytes(value.as_bytes())
    }

    /// `world:anyone` with all permissions.
    pub(crate) fn open_acl(self) -> Body {
        self.acl(&[(31, "world", "anyone")])
    }

    pub(crate) fn acl(mut self, entries: &[(i32, &str, &str)]) -> Body {
        self = self.int(i32::try_from(entries.len()).expect("test data is small"));
        for (permissions, scheme, id) in entries {
            self = self.int(*permissions).string(scheme).string(id);
        }
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A reply or a notification being read.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        assert!(
            count <= self.0.len(),
            "the reply ends {} bytes too early",
            count - self.0.len()
        );
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    pub(crate) fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    pub(crate) fn long(&mut self) -> i64 {
        i64::from_be_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.take(1)[0] != 0
    }

    /// A buffer; nothing if it is null.
    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.int();
        (length >= 0).then(|| {
            self.take(usize::try_from(length).expect("not negative"))
                .to_vec()
        })
    }

    pub(crate) fn string(&mut self) -> String {
        String::from_utf8(self.bytes().expect("a string")).expect("UTF-8")
    }

    pub(crate) fn strings(&mut self) -> Vec<String> {
        (0..self.int()).map(|_| self.string()).collect()
    }

    pub(crate) fn stat(&mut self) -> Stat {
        Stat {
            czxid: self.long(),
            mzxid: self.long(),
            ctime: self.long(),
            mtime: self.long(),
            version: self.int(),
            cversion: self.int(),
            aversion: self.int(),
            ephemeral_owner: self.long(),
            data_length: self.int(),
            num_children: self.int(),
            pzxid: self.long(),
        }
    }

    pub(crate) fn end(&self) {
        assert!(
            self.0.is_empty(),
            "{} bytes too many in a reply",
            self.0.len()
        );
    }
}

/// What a znode tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) ephemeral_owner: i64,
    pub(crate) data_length: i32,
    pub(crate) num_children: i32,
    pub(crate) pzxid: i64,
}

/// A reply: its header and the body behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader(&self.body)
    }
}

/// The handshake's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) timeout: i32,
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    /// Length of the answer: 37 if it had the read-only byte, else 36.
    pub(crate) length: usize,
    /// Whether the server only reads, if it says so.
    pub(crate) read_only: Option<bool>,
}

/// Opcodes, by the name the protocol gives them.
pub(crate) mod op {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const DELETE: i32 = 2;
    pub(crate) const EXISTS: i32 = 3;
    pub(crate) const GET_DATA: i32 = 4;
    pub(crate) const SET_DATA: i32 = 5;
    pub(crate) const GET_ACL: i32 = 6;
    pub(crate) const SET_ACL: i32 = 7;
    pub(crate) const GET_CHILDREN: i32 = 8;
    pub(crate) const SYNC: i32 = 9;
    pub(crate) const PING: i32 = 11;
    pub(crate) const GET_CHILDREN2: i32 = 12;
    pub(crate) const CHECK: i32 = 13;
    pub(crate) const MULTI: i32 = 14;
    pub(crate) const AUTH: i32 = 100;
    pub(crate) const SET_WATCHES: i32 = 101;
    pub(crate) const SASL: i32 = 102;
    pub(crate) const CLOSE: i32 = -11;
}

/// One connection, with or without a session on it.
#[derive(Debug)]
pub(crate) struct Client {
    socket: TcpStream,
    xid: i32,
}

impl Client {
    /// A socket on which nothing was said yet.
    pub(crate) fn raw(address: SocketAddr) -> Client {
        Client::try_raw(address).expect("the coordinator accepts")
    }

    /// # Errors
    /// Nobody listens there.
    pub(crate) fn try_raw(address: SocketAddr) -> io::Result<Client> {
        let socket = connect(address)?;
        Ok(Client { socket, xid: 0 })
    }

    /// A socket from another address of the loopback.
    pub(crate) fn raw_from(source: Ipv4Addr, address: SocketAddr) -> Client {
        let socket = socket::connect_from(source, address).expect("the coordinator accepts");
        Client { socket, xid: 0 }
    }

    /// A server that says nothing for so long is given up.
    pub(crate) fn set_silence_max(&self, limit: Duration) {
        let set = self.socket.set_read_timeout(Some(limit));
        set.expect("set a timeout");
    }

    /// A connection with a new session of 10 s.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::session(address, 10_000).0
    }

    /// A connection with a new session.
    pub(crate) fn session(address: SocketAddr, timeout: i32) -> (Client, Welcome) {
        let mut client = Client::raw(address);
        let welcome = client
            .handshake(0, timeout, 0, &[0; 16], true)
            .expect("a new session is granted");
        assert!(welcome.timeout > 0, "a new session is granted");
        (client, welcome)
    }

    /// Says hello; nothing if the server hangs up.
    pub(crate) fn handshake(
        &mut self,
        last_zxid: i64,
        timeout: i32,
        session: i64,
        password: &[u8],
        with_read_only: bool,
    ) -> Option<Welcome> {
        let read_only = with_read_only.then_some(false);
        self.say_hello(last_zxid, timeout, (session, password), read_only)
    }

    /// The same of a client that is content with reading.
    pub(crate) fn handshake_to_read(
        &mut self,
        last_zxid: i64,
        session: i64,
        password: &[u8],
    ) -> Option<Welcome> {
        self.say_hello(last_zxid, 10_000, (session, password), Some(true))
    }

    fn say_hello(
        &mut self,
        last_zxid: i64,
        timeout: i32,
        (session, password): (i64, &[u8]),
        read_only: Option<bool>,
    ) -> Option<Welcome> {
        let mut body = Body::new()
            .int(0)
            .long(last_zxid)
            .int(timeout)
            .long(session)
            .bytes(password);
        if let Some(read_only) = read_only {
            body = body.bool(read_only);
        }
        self.send_frame(&body.0);
        let frame = self.frame().ok()?;
        let mut reader = Reader(&frame);
        assert_eq!(reader.int(), 0, "protocol version");
        Some(Welcome {
            timeout: reader.int(),
            session: reader.long(),
            password: reader.bytes().expect("a password"),
            length: frame.len(),
            read_only: (!reader.0.is_empty()).then(|| reader.bool()),
        })
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    pub(crate) fn send_frame(&mut self, payload: &[u8]) {
        let mut frame = i32::try_from(payload.len())
            .expect("test data is small")
            .to_be_bytes()
            .to_vec();
        frame.extend_from_slice(payload);
        // A server that has hung up is noticed when reading.
        let _ = self.socket.write_all(&frame);
    }

    /// The next frame, whatever it is.
    ///
    /// # Errors
    /// The server hung up, or said nothing in time.
    pub(crate) fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length =
            usize::try_from(i32::from_be_bytes(length)).expect("a frame's length is not negative");
        assert!(length < 64 << 20, "a reply of {length} bytes");
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload)?;
        Ok(payload)
    }

    /// Sends a request and does not wait.
    pub(crate) fn send(&mut self, opcode: i32, body: &Body) -> i32 {
        self.xid += 1;
        let xid = self.xid;
        self.send_with_xid(xid, opcode, body);
        xid
    }

    pub(crate) fn send_with_xid(&mut self, xid: i32, opcode: i32, body: &Body) {
        let request = Body::new().int(xid).int(opcode).raw(&body.0);
        self.send_frame(&request.0);
    }

    /// The next reply or notification.
    ///
    /// # Errors
    /// The server hung up, or said nothing in time.
    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        let frame = self.frame()?;
        let mut reader = Reader(&frame);
        Ok(Reply {
            xid: reader.int(),
            zxid: reader.long(),
            error: reader.int(),
            body: reader.0.to_vec(),
        })
    }

    /// Sends a request and returns its reply; there must be no notification before it.
    pub(crate) fn call(&mut self, opcode: i32, body: &Body) -> Reply {
        let xid = self.send(opcode, body);
        let reply = self.receive().expect("a reply");
        assert_eq!(
            reply.xid, xid,
            "the reply to another request, or a notification: {reply:?}"
        );
        reply
    }

    /// True if the server has hung up, or does so soon.
    pub(crate) fn is_closed(&mut self) -> bool {
        socket::is_closed(&mut self.socket)
    }

    /// True if nothing comes for this long and the connection stays open.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        socket::is_silent(&self.socket, time)
    }

    pub(crate) fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    // The requests that most tests need, by name.

    pub(crate) fn create(&mut self, path: &str, data: &[u8], flags: i32) -> Result<String, i32> {
        let reply = self.call(op::CREATE, &create(path, data, flags));
        if reply.error == 0 {
            Ok(reply.reader().string())
        } else {
            Err(reply.error)
        }
    }

    pub(crate) fn delete(&mut self, path: &str, version: i32) -> i32 {
        self.call(op::DELETE, &Body::new().string(path).int(version))
            .error
    }

    pub(crate) fn get(&mut self, path: &str, watch: bool) -> Result<(Option<Vec<u8>>, Stat), i32> {
        let reply = self.call(op::GET_DATA, &Body::new().string(path).bool(watch));
        if reply.error != 0 {
            return Err(reply.error);
        }
        let mut reader = reply.reader();
        Ok((reader.bytes(), reader.stat()))
    }

    pub(crate) fn exists(&mut self, path: &str, watch: bool) -> Result<Stat, i32> {
        let reply = self.call(op::EXISTS, &Body::new().string(path).bool(watch));
        if reply.error == 0 {
            Ok(reply.reader().stat())
        } else {
            Err(reply.error)
        }
    }

    /// The names, sorted: the order is nobody's promise.
    pub(crate) fn children(&mut self, path: &str, watch: bool) -> Result<Vec<String>, i32> {
        let reply = self.call(op::GET_CHILDREN, &Body::new().string(path).bool(watch));
        if reply.error != 0 {
            return Err(reply.error);
        }
        let mut names = reply.reader().strings();
        names.sort();
        Ok(names)
    }

    /// The next notification: type and path.
    pub(crate) fn event(&mut self) -> (i32, String) {
        let reply = self.receive().expect("a notification");
        assert_eq!(
            (reply.xid, reply.error),
            (-1, 0),
            "a notification: {reply:?}"
        );
        let mut reader = reply.reader();
        let kind = reader.int();
        assert_eq!(reader.int(), 3, "the state is always connected");
        let path = reader.string();
        reader.end();
        (kind, path)
    }

    /// Ends the session.
    pub(crate) fn close(mut self) {
        let reply = self.call(op::CLOSE, &Body::new());
        assert_eq!(reply.error, 0, "close a session");
        assert!(
            self.is_closed(),
            "the server hangs up after the reply to closeSession"
        );
    }
}

/// The body of a create with an open ACL.
pub(crate) fn create(path: &str, data: &[u8], flags: i32) -> Body {
    Body::new().string(path).bytes(data).open_acl().int(flags)
}
