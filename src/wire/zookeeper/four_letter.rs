//! The four-letter words: the plain-text questions that monitoring tools ask a ZooKeeper server.
//!
//! Four bytes at the start of a fresh connection, a text back, and the server closes. Here are the
//! words, the list of those that may be answered, and the exact texts of 3.4.14; who gathers the
//! facts, and what a word resets, is the node's. Every line ends in one line feed; `ruok`, `isro`,
//! `gtmk` and `stmk` end without one.
//!
//! To add a word, add it to [`Word`]; the compiler names the other places.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

use crate::units::{WallTime, Zxid};

#[cfg(test)]
mod tests;

/// What this server calls itself to ZooKeeper clients.
///
/// kazoo reads the dotted triple and turns off what 3.4 lacks; go-zookeeper insists on the shape of
/// the date, so it is written as releases before 3.8 wrote it.
pub const VERSION: &str = concat!(
    "3.4.14-chrysalis.",
    env!("CARGO_PKG_VERSION"),
    ", built on 11/01/2026 12:00 GMT"
);

/// The trace mask that an untouched ZooKeeper answers to `gtmk`.
pub const TRACE_MASK_DEFAULT: i64 = 306;

/// A four-letter word that 3.4.14 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// The configuration in use.
    Conf,
    /// Every connection with all its numbers.
    Cons,
    /// Reset the connections' numbers.
    Crst,
    /// Sessions by expiry, and their ephemeral znodes.
    Dump,
    /// The environment of the process.
    Envi,
    /// The trace mask.
    Gtmk,
    /// Whether the server is read-only.
    Isro,
    /// The monitored numbers, a key and a value a line.
    Mntr,
    /// Whether the process is alive.
    Ruok,
    /// Reset the server's numbers.
    Srst,
    /// The server in short.
    Srvr,
    /// The server in short, and its connections.
    Stat,
    /// Set the trace mask; eight bytes follow.
    Stmk,
    /// Watches by session.
    Wchc,
    /// Watches by path.
    Wchp,
    /// How many watches there are.
    Wchs,
}

impl Word {
    /// Every word.
    pub const ALL: [Word; 16] = [
        Word::Conf,
        Word::Cons,
        Word::Crst,
        Word::Dump,
        Word::Envi,
        Word::Gtmk,
        Word::Isro,
        Word::Mntr,
        Word::Ruok,
        Word::Srst,
        Word::Srvr,
        Word::Stat,
        Word::Stmk,
        Word::Wchc,
        Word::Wchp,
        Word::Wchs,
    ];

    /// The word these four bytes are, if they are one.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Word> {
        Word::ALL
            .into_iter()
            .find(|word| word.name().as_bytes() == bytes)
    }

    /// The word as it is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Word::Conf => "conf",
            Word::Cons => "cons",
            Word::Crst => "crst",
            Word::Dump => "dump",
            Word::Envi => "envi",
            Word::Gtmk => "gtmk",
            Word::Isro => "isro",
            Word::Mntr => "mntr",
            Word::Ruok => "ruok",
            Word::Srst => "srst",
            Word::Srvr => "srvr",
            Word::Stat => "stat",
            Word::Stmk => "stmk",
            Word::Wchc => "wchc",
            Word::Wchp => "wchp",
            Word::Wchs => "wchs",
        }
    }

    /// Whether it is answered even while the server does not serve clients. `isro` is too, with a text
    /// of its own.
    pub const fn needs_no_service(self) -> bool {
        matches!(
            self,
            Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk | Word::Isro
        )
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which words are answered: ZooKeeper's `4lw.commands.whitelist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whitelist(u32);

impl Default for Whitelist {
    /// 3.4.14 answers all but the two that walk every watch.
    fn default() -> Whitelist {
        Word::ALL
            .into_iter()
            .filter(|word| !matches!(word, Word::Wchc | Word::Wchp))
            .fold(Whitelist::srvr_only(), Whitelist::with)
    }
}

impl Whitelist {
    /// Every word.
    pub fn all() -> Whitelist {
        Word::ALL
            .into_iter()
            .fold(Whitelist::srvr_only(), Whitelist::with)
    }

    /// Reads a comma-separated list; `*` is every word. `srvr` is always among them, because
    /// zkServer.sh asks it, and words that 3.4.14 does not know are passed over, as it does.
    pub fn parse(list: &str) -> Whitelist {
        list.split(',')
            .map(str::trim)
            .fold(Whitelist::srvr_only(), |whitelist, name| {
                if name == "*" {
                    return Whitelist::all();
                }
                match name.as_bytes().try_into().ok().and_then(Word::from_bytes) {
                    Some(word) => whitelist.with(word),
                    None => whitelist,
                }
            })
    }

    /// The same list and one more word.
    #[must_use]
    pub fn with(self, word: Word) -> Whitelist {
        Whitelist(self.0 | Whitelist::bit(word))
    }

    /// Whether a word is answered.
    pub fn allows(self, word: Word) -> bool {
        self.0 & Whitelist::bit(word) != 0
    }

    fn srvr_only() -> Whitelist {
        Whitelist(Whitelist::bit(Word::Srvr))
    }

    fn bit(word: Word) -> u32 {
        let place = Word::ALL.iter().take_while(|other| **other != word).count();
        1 << place
    }
}

/// Smallest, mean and largest time between a request and its reply, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The smallest; 0 before the first reply.
    pub min_ms: u64,
    /// The mean, rounded down; 0 before the first reply.
    pub avg_ms: u64,
    /// The largest.
    pub max_ms: u64,
}

/// What a server is to its ensemble, as `Mode:` and `zk_server_state` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The only voter.
    Standalone,
    /// Leads the coordinator's group.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Observer,
    /// Lost its quorum and serves what it has.
    ReadOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Standalone => "standalone",
            Mode::Leader => "leader",
            Mode::Follower => "follower",
            Mode::Observer => "observer",
            Mode::ReadOnly => "read-only",
        })
    }
}

/// What only a leader can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leading {
    /// Followers and observers connected.
    pub followers: u64,
    /// Those of them that are up to date.
    pub synced_followers: u64,
    /// `sync` requests that wait.
    pub pending_syncs: u64,
    /// Bytes of the last proposal, -1 before the first.
    pub proposal_last_bytes: i64,
    /// Bytes of the smallest proposal, -1 before the first.
    pub proposal_min_bytes: i64,
    /// Bytes of the largest proposal, -1 before the first.
    pub proposal_max_bytes: i64,
}

/// The facts behind `srvr`, `stat` and `mntr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Latency over all connections since the last `srst`.
    pub latency: Latency,
    /// Frames received since the last `srst`.
    pub received: u64,
    /// Frames sent since the last `srst`.
    pub sent: u64,
    /// Connections open now, the asking one included.
    pub connections: u64,
    /// Requests taken in and not yet answered.
    pub outstanding: u64,
    /// The last transaction applied here.
    pub zxid: Zxid,
    /// What the server is to its ensemble.
    pub mode: Mode,
    /// Znodes; ZooKeeper counts the root twice, so an empty tree of 3.4 has 4.
    pub znodes: u64,
    /// Watches of all kinds.
    pub watches: u64,
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Bytes of all paths and data.
    pub data_bytes: u64,
    /// Open file descriptors and how many there may be, where the system tells.
    pub file_descriptors: Option<(u64, u64)>,
    /// Journal syncs that took longer than the warning threshold.
    pub slow_syncs: u64,
    /// Present on the leader of several.
    pub leading: Option<Leading>,
}

/// The facts behind one line of `stat` and `cons`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The client's address.
    pub address: SocketAddr,
    /// 1 while the server reads from it, plus 4 while bytes wait to be sent; 0 for the asking one.
    pub interest: u8,
    /// Requests taken in and not yet answered.
    pub queued: u64,
    /// Frames received since the last `crst`.
    pub received: u64,
    /// Frames sent since the last `crst`.
    pub sent: u64,
    /// Present once it has a session.
    pub session: Option<ConnectionSession>,
}

/// The part of a connection's line that needs a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSession {
    /// The session.
    pub id: i64,
    /// The last operation in four letters or so, `NA` before the first.
    pub last_operation: &'static str,
    /// When the connection was made.
    pub established: WallTime,
    /// The negotiated timeout.
    pub timeout_ms: i32,
    /// The last ordinary xid, -1 before the first.
    pub last_xid: i64,
    /// The zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was sent, in milliseconds of the monotonic clock.
    pub last_response_ms: u64,
    /// How long the last reply took.
    pub last_latency_ms: u64,
    /// Over all replies since the last `crst`.
    pub latency: Latency,
}

/// The facts behind `conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The port clients use.
    pub client_port: u16,
    /// Where snapshots are.
    pub data_folder: String,
    /// Where the journal is.
    pub journal_folder: String,
    /// ZooKeeper's unit of time.
    pub tick_ms: u32,
    /// Connections one address may have, 0 for any number.
    pub connections_per_address_max: u32,
    /// The shortest session timeout given.
    pub session_timeout_min_ms: i32,
    /// The longest session timeout given.
    pub session_timeout_max_ms: i32,
    /// `myid`, 0 for a lone server.
    pub server_id: u16,
    /// Present when the server is one of several.
    pub ensemble: Option<Ensemble>,
}

/// What `conf` adds for one server of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// Ticks a follower may take to catch up.
    pub init_limit: u32,
    /// Ticks a follower may lag.
    pub sync_limit: u32,
    /// The port of elections.
    pub election_port: u16,
    /// The port of replication.
    pub quorum_port: u16,
    /// Whether the server has no vote.
    pub observer: bool,
}

/// The facts behind `envi`; what only a Java process has is reported as `<NA>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The host's name.
    pub host_name: String,
    /// The kernel's release.
    pub os_version: String,
    /// Who runs the process.
    pub user_name: String,
    /// That user's home folder.
    pub user_home: String,
    /// The working folder.
    pub user_folder: String,
}

/// Sessions that expire together, for `dump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryBucket {
    /// When they do.
    pub expires: WallTime,
    /// Which they are.
    pub sessions: Vec<i64>,
}

/// `ruok`.
pub fn ruok(out: &mut BytesMut) {
    out.put_slice(b"imok");
}

/// Any word that is not on the whitelist.
pub fn not_whitelisted(word: Word, out: &mut BytesMut) {
    line(
        out,
        format_args!("{word} is not executed because it is not in the whitelist."),
    );
}

/// Any word but those that [need no service](Word::needs_no_service), while clients are not served.
pub fn not_serving(out: &mut BytesMut) {
    line(
        out,
        format_args!("This ZooKeeper instance is not currently serving requests"),
    );
}

/// `srvr`.
pub fn srvr(server: &Server, out: &mut BytesMut) {
    version_lines(server, out);
    server_lines(server, out);
}

/// `stat`.
pub fn stat<'a>(
    server: &Server,
    connections: impl IntoIterator<Item = &'a Connection>,
    out: &mut BytesMut,
) {
    version_lines(server, out);
    line(out, format_args!("Clients:"));
    for connection in connections {
        connection_start(connection, out);
        line(out, format_args!(")"));
    }
    line(out, format_args!(""));
    server_lines(server, out);
}

/// `cons`.
pub fn cons<'a>(connections: impl IntoIterator<Item = &'a Connection>, out: &mut BytesMut) {
    for connection in connections {
        connection_start(connection, out);
        if let Some(session) = &connection.session {
            connection_session(session, out);
        }
        line(out, format_args!(")"));
    }
    line(out, format_args!(""));
}

/// `crst`, after the connections' numbers were reset.
pub fn crst(out: &mut BytesMut) {
    line(out, format_args!("Connection stats reset."));
}

/// `srst`, after the server's numbers were reset.
pub fn srst(out: &mut BytesMut) {
    line(out, format_args!("Server stats reset."));
}

/// `conf`.
pub fn conf(configuration: &Configuration, out: &mut BytesMut) {
    let c = configuration;
    line(out, format_args!("clientPort={}", c.client_port));
    line(out, format_args!("dataDir={}", c.data_folder));
    line(out, format_args!("dataLogDir={}", c.journal_folder));
    line(out, format_args!("tickTime={}", c.tick_ms));
    line(
        out,
        format_args!("maxClientCnxns={}", c.connections_per_address_max),
    );
    line(
        out,
        format_args!("minSessionTimeout={}", c.session_timeout_min_ms),
    );
    line(
        out,
        format_args!("maxSessionTimeout={}", c.session_timeout_max_ms),
    );
    line(out, format_args!("serverId={}", c.server_id));
    if let Some(ensemble) = &c.ensemble {
        line(out, format_args!("initLimit={}", ensemble.init_limit));
        line(out, format_args!("syncLimit={}", ensemble.sync_limit));
        // The only election algorithm that 3.4 still has, by its number.
        line(out, format_args!("electionAlg=3"));
        line(out, format_args!("electionPort={}", ensemble.election_port));
        line(out, format_args!("quorumPort={}", ensemble.quorum_port));
        line(
            out,
            format_args!("peerType={}", u8::from(ensemble.observer)),
        );
    }
}

/// `envi`.
pub fn envi(environment: &Environment, out: &mut BytesMut) {
    line(out, format_args!("Environment:"));
    let e = environment;
    for (key, value) in [
        ("zookeeper.version", VERSION),
        ("host.name", &e.host_name),
        ("java.version", "<NA>"),
        ("java.vendor", "<NA>"),
        ("java.home", "<NA>"),
        ("java.class.path", "<NA>"),
        ("java.library.path", "<NA>"),
        ("java.io.tmpdir", "<NA>"),
        ("java.compiler", "<NA>"),
        ("os.name", "Linux"),
        ("os.arch", "amd64"),
        ("os.version", &e.os_version),
        ("user.name", &e.user_name),
        ("user.home", &e.user_home),
        ("user.dir", &e.user_folder),
    ] {
        line(out, format_args!("{key}={value}"));
    }
}

/// `dump`: the buckets in the order they expire, then each session's ephemeral znodes.
pub fn dump<'a>(
    buckets: &[ExpiryBucket],
    ephemerals: impl IntoIterator<Item = (i64, &'a [Bytes]), IntoIter: ExactSizeIterator>,
    out: &mut BytesMut,
) {
    line(out, format_args!("SessionTracker dump:"));
    line(out, format_args!("Session Sets ({}):", buckets.len()));
    for bucket in buckets {
        line(
            out,
            format_args!(
                "{} expire at {}:",
                bucket.sessions.len(),
                JavaDate(bucket.expires)
            ),
        );
        for session in &bucket.sessions {
            line(out, format_args!("\t0x{session:x}"));
        }
    }
    line(out, format_args!("ephemeral nodes dump:"));
    let ephemerals = ephemerals.into_iter();
    line(
        out,
        format_args!("Sessions with Ephemerals ({}):", ephemerals.len()),
    );
    for (session, paths) in ephemerals {
        line(out, format_args!("0x{session:x}:"));
        for path in paths {
            path_line(path, out);
        }
    }
}

/// `wchs`, of the data watches.
pub fn wchs(connections: usize, paths: usize, watches: usize, out: &mut BytesMut) {
    line(
        out,
        format_args!("{connections} connections watching {paths} paths"),
    );
    line(out, format_args!("Total watches:{watches}"));
}

/// `wchc`: the watched paths of each session.
pub fn wchc<'a>(
    sessions: impl IntoIterator<Item = (i64, impl IntoIterator<Item = &'a Bytes>)>,
    out: &mut BytesMut,
) {
    for (session, paths) in sessions {
        line(out, format_args!("0x{session:x}"));
        for path in paths {
            path_line(path, out);
        }
    }
    line(out, format_args!(""));
}

/// `wchp`: the watching sessions of each path.
pub fn wchp<'a>(
    paths: impl IntoIterator<Item = (&'a Bytes, impl IntoIterator<Item = i64>)>,
    out: &mut BytesMut,
) {
    for (path, sessions) in paths {
        out.put_slice(path);
        line(out, format_args!(""));
        for session in sessions {
            line(out, format_args!("\t0x{session:x}"));
        }
    }
    line(out, format_args!(""));
}

/// `mntr`: the keys of 3.4.14 in its order.
pub fn mntr(server: &Server, out: &mut BytesMut) {
    let mut key = |name: &str, value: &dyn fmt::Display| {
        line(out, format_args!("zk_{name}\t{value}"));
    };
    key("version", &VERSION);
    key("avg_latency", &server.latency.avg_ms);
    key("max_latency", &server.latency.max_ms);
    key("min_latency", &server.latency.min_ms);
    key("packets_received", &server.received);
    key("packets_sent", &server.sent);
    key("num_alive_connections", &server.connections);
    key("outstanding_requests", &server.outstanding);
    key("server_state", &server.mode);
    key("znode_count", &server.znodes);
    key("watch_count", &server.watches);
    key("ephemerals_count", &server.ephemerals);
    key("approximate_data_size", &server.data_bytes);
    if let Some((open, max)) = server.file_descriptors {
        key("open_file_descriptor_count", &open);
        key("max_file_descriptor_count", &max);
    }
    key("fsync_threshold_exceed_count", &server.slow_syncs);
    if let Some(leading) = &server.leading {
        key("followers", &leading.followers);
        key("synced_followers", &leading.synced_followers);
        key("pending_syncs", &leading.pending_syncs);
        key("last_proposal_size", &leading.proposal_last_bytes);
        key("max_proposal_size", &leading.proposal_max_bytes);
        key("min_proposal_size", &leading.proposal_min_bytes);
    }
}

/// `isro`; `None` while clients are not served.
pub fn isro(read_only: Option<bool>, out: &mut BytesMut) {
    out.put_slice(match read_only {
        None => b"null",
        Some(true) => b"ro",
        Some(false) => b"rw",
    });
}

/// `gtmk` and `stmk`: the mask there is, the mask that was set.
pub fn trace_mask(mask: i64, out: &mut BytesMut) {
    text(out, format_args!("{mask}"));
}

fn version_lines(server: &Server, out: &mut BytesMut) {
    line(out, format_args!("Zookeeper version: {VERSION}"));
    if server.mode == Mode::ReadOnly {
        line(
            out,
            format_args!("READ-ONLY mode; serving only read-only clients"),
        );
    }
}

fn server_lines(server: &Server, out: &mut BytesMut) {
    let Latency {
        min_ms,
        avg_ms,
        max_ms,
    } = server.latency;
    line(
        out,
        format_args!("Latency min/avg/max: {min_ms}/{avg_ms}/{max_ms}"),
    );
    line(out, format_args!("Received: {}", server.received));
    line(out, format_args!("Sent: {}", server.sent));
    line(out, format_args!("Connections: {}", server.connections));
    line(out, format_args!("Outstanding: {}", server.outstanding));
    line(out, format_args!("Zxid: {}", server.zxid));
    line(out, format_args!("Mode: {}", server.mode));
    line(out, format_args!("Node count: {}", server.znodes));
    if let Some(leading) = &server.leading {
        line(
            out,
            format_args!(
                "Proposal sizes last/min/max: {}/{}/{}",
                leading.proposal_last_bytes, leading.proposal_min_bytes, leading.proposal_max_bytes
            ),
        );
    }
}

/// A connection's line up to the closing parenthesis; Java prints an address with a slash before it.
fn connection_start(connection: &Connection, out: &mut BytesMut) {
    let c = connection;
    text(
        out,
        format_args!(
            " /{}[{:x}](queued={},recved={},sent={}",
            c.address, c.interest, c.queued, c.received, c.sent
        ),
    );
}

fn connection_session(session: &ConnectionSession, out: &mut BytesMut) {
    let s = session;
    text(
        out,
        format_args!(
            ",sid=0x{:x},lop={},est={},to={}",
            s.id, s.last_operation, s.established.0, s.timeout_ms
        ),
    );
    if s.last_xid >= 0 {
        text(out, format_args!(",lcxid=0x{:x}", s.last_xid));
    }
    text(
        out,
        format_args!(
            ",lzxid={},lresp={},llat={},minlat={},avglat={},maxlat={}",
            s.last_zxid,
            s.last_response_ms,
            s.last_latency_ms,
            s.latency.min_ms,
            s.latency.avg_ms,
            s.latency.max_ms
        ),
    );
}

fn path_line(path: &[u8], out: &mut BytesMut) {
    out.put_u8(b'\t');
    out.put_slice(path);
    out.put_u8(b'\n');
}

fn line(out: &mut BytesMut, content: fmt::Arguments<'_>) {
    text(out, content);
    out.put_u8(b'\n');
}

fn text(out: &mut BytesMut, content: fmt::Arguments<'_>) {
    out.write_fmt(content)
        .expect("a growing buffer takes any text");
}

/// A time as Java's `Date` prints it, in UTC.
struct JavaDate(WallTime);

impl fmt::Display for JavaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.0.0) {
            Some(time) => write!(f, "{}", time.format("%a %b %d %H:%M:%S UTC %Y")),
            // Beyond the calendar; the number still says more than nothing.
            None => write!(f, "{}", self.0.0),
        }
    }
}
