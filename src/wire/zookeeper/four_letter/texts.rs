//! The texts, letter by letter as 3.4.14 prints them.
//!
//! Every line ends in one line feed; `ruok`, `isro`, `gtmk` and `stmk` end without one. Numbers of
//! sessions and transactions are shown as unsigned hexadecimal, whatever their sign.

use std::fmt::{self, Write as _};

use bytes::{BufMut, BytesMut};

use crate::units::WallTime;

use super::facts::{
    Configuration, Connection, ConnectionSession, Environment, ExpiryBucket, Latency, Mode, Server,
};
use super::{VERSION, Word};

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

/// Lists end when the text is this long: what a word prints is kept until its client has read it, and
/// anybody may ask.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whether a list goes on: there is room for another line. If not, the text says so.
fn goes_on(out: &mut BytesMut) -> bool {
    if out.len() < TEXT_BYTES_MAX {
        return true;
    }
    cut(out);
    false
}

/// Says that a list goes on and is not shown any further.
pub fn cut(out: &mut BytesMut) {
    line(
        out,
        format_args!("... (there is more: too long to be shown)"),
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
        if !goes_on(out) {
            break;
        }
        connection_start(connection, out);
        line(out, format_args!(")"));
    }
    line(out, format_args!(""));
    server_lines(server, out);
}

/// `cons`.
pub fn cons<'a>(connections: impl IntoIterator<Item = &'a Connection>, out: &mut BytesMut) {
    for connection in connections {
        if !goes_on(out) {
            break;
        }
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
pub fn dump<P: AsRef<[u8]>>(
    buckets: &[ExpiryBucket],
    ephemerals: impl IntoIterator<
        Item = (i64, impl IntoIterator<Item = P>),
        IntoIter: ExactSizeIterator,
    >,
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
            if !goes_on(out) {
                return;
            }
            path_line(path.as_ref(), out);
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
pub fn wchc<P: AsRef<[u8]>>(
    sessions: impl IntoIterator<Item = (i64, impl IntoIterator<Item = P>)>,
    out: &mut BytesMut,
) {
    'all: for (session, paths) in sessions {
        line(out, format_args!("0x{session:x}"));
        for path in paths {
            if !goes_on(out) {
                break 'all;
            }
            path_line(path.as_ref(), out);
        }
    }
    line(out, format_args!(""));
}

/// `wchp`: the watching sessions of each path.
pub fn wchp(
    paths: impl IntoIterator<Item = (impl AsRef<[u8]>, impl IntoIterator<Item = i64>)>,
    out: &mut BytesMut,
) {
    'all: for (path, sessions) in paths {
        out.put_slice(path.as_ref());
        line(out, format_args!(""));
        for session in sessions {
            if !goes_on(out) {
                break 'all;
            }
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
