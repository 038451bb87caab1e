//! Four-letter words: the facts behind each, gathered from the coordinator and its connections.

use bytes::BytesMut;

use super::CoordinatorSide;
use super::ensemble::Proposals;
use crate::coordinator::SessionStatus;
use crate::net::zookeeper_connection::Traffic;
use crate::node::World;
use crate::node::connections::Protocol;
use crate::units::{ConnectionId, Moment, ServerId, WallTime};
use crate::wire::zookeeper::four_letter::{
    self, Configuration, Connection, Environment, ExpiryBucket, Mode, Server, Word,
};

/// How many paths a word gathers: sorting more would hold everybody up, and anybody may ask.
const PATHS_MAX: usize = 50_000;

/// What the words tell that does not change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// This server.
    pub(crate) server: ServerId,
    /// For `conf`.
    pub(crate) configuration: Configuration,
    /// For `envi`.
    pub(crate) environment: Environment,
    /// How many file descriptors the process has open, and how many it may have. Asked anew each time, outside
    /// of the node; a simulation has none.
    pub(crate) descriptors: fn() -> Option<(u64, u64)>,
}

/// Answers a word on its connection, which closes behind the answer.
pub(super) fn answer(
    side: &mut CoordinatorSide,
    id: ConnectionId,
    word: Word,
    mask: Option<i64>,
    world: &mut World,
) {
    let mut out = BytesMut::new();
    if word == Word::Ruok && world.journal.is_stuck() {
        // Silence says that no write is answered, and clients turn to another server.
    } else if side.serves() || side.core.is_read_only() || word.needs_no_service() {
        write(side, id, word, mask, world, &mut out);
    } else {
        four_letter::not_serving(&mut out);
    }
    send(side, id, &out, world);
}

/// Says that a word is not to be answered here, and closes behind it.
pub(super) fn refuse(side: &mut CoordinatorSide, id: ConnectionId, word: Word, world: &mut World) {
    let mut out = BytesMut::new();
    four_letter::not_whitelisted(word, &mut out);
    send(side, id, &out, world);
}

fn send(side: &mut CoordinatorSide, id: ConnectionId, text: &[u8], world: &mut World) {
    let now = world.now;
    if let Some(client) = world.connections.zookeeper(id) {
        client.answer(now, &mut side.totals, |out| out.extend_from_slice(text));
    }
    world.connections.close(id);
}

fn write(
    side: &mut CoordinatorSide,
    id: ConnectionId,
    word: Word,
    mask: Option<i64>,
    world: &mut World,
    out: &mut BytesMut,
) {
    match word {
        Word::Ruok => four_letter::ruok(out),
        Word::Conf => {
            let mut configuration = side.facts.configuration.clone();
            if let (Some(ensemble), true) =
                (&mut configuration.ensemble, side.replica.member().is_some())
            {
                // Its vote may have moved since the list was written.
                ensemble.observer = side.mode() == Mode::Observer;
            }
            four_letter::conf(&configuration, out);
        }
        Word::Envi => four_letter::envi(&side.facts.environment, out),
        Word::Srvr => four_letter::srvr(&server(side, world), out),
        Word::Mntr => four_letter::mntr(&server(side, world), out),
        Word::Stat => {
            four_letter::stat(&server(side, world), &connections(id, world), out);
        }
        Word::Cons => four_letter::cons(&connections(id, world), out),
        Word::Crst => {
            for client in world.connections.zookeeper_clients() {
                client.reset_statistics();
            }
            four_letter::crst(out);
        }
        Word::Srst => {
            side.totals.traffic = Traffic::default();
            side.ensemble.proposals = Proposals::default();
            four_letter::srst(out);
        }
        Word::Dump => dump(side, world, out),
        Word::Wchs => {
            let watches = side.core.watch_summary();
            four_letter::wchs(watches.connections, watches.paths, watches.watches, out);
        }
        Word::Wchc => {
            four_letter::wchc(side.core.watches_by_session(PATHS_MAX), out);
            cut_if(side.core.watch_summary().paths > PATHS_MAX, out);
        }
        Word::Wchp => {
            four_letter::wchp(side.core.watches_by_path(PATHS_MAX), out);
            cut_if(side.core.watch_summary().paths > PATHS_MAX, out);
        }
        Word::Isro => {
            let read_only = side.core.is_read_only();
            four_letter::isro((side.serves() || read_only).then_some(read_only), out);
        }
        Word::Gtmk => four_letter::trace_mask(side.trace_mask, out),
        Word::Stmk => {
            // Nothing is traced by it; the number is kept for whoever asks.
            side.trace_mask = mask.unwrap_or(side.trace_mask);
            four_letter::trace_mask(side.trace_mask, out);
        }
    }
}

/// The numbers behind `srvr`, `stat` and `mntr`.
pub(super) fn server(side: &CoordinatorSide, world: &World) -> Server {
    let status = side.core.status();
    Server {
        latency: side.totals.traffic.latency(),
        received: side.totals.traffic.received,
        sent: side.totals.traffic.sent,
        connections: status.connections as u64,
        outstanding: status.outstanding.requests as u64,
        zxid: status.zxid,
        mode: side.mode(),
        znodes: status.nodes as u64,
        watches: status.watches as u64,
        ephemerals: status.ephemerals,
        data_bytes: status.data_bytes,
        file_descriptors: (side.facts.descriptors)(),
        slow_syncs: 0,
        leading: side.leading(world),
    }
}

fn connections(asking: ConnectionId, world: &World) -> Vec<Connection> {
    let mut lines: Vec<(ConnectionId, Connection)> = world
        .connections
        .iter()
        .filter_map(|(id, connection)| match &connection.protocol {
            Protocol::Zookeeper(client) => Some((*id, client.facts())),
            Protocol::Metaq(_) | Protocol::Peer(_) => None,
        })
        .collect();
    lines.sort_by_key(|(id, _)| *id);
    lines
        .into_iter()
        .map(|(id, line)| Connection {
            interest: if id == asking { 0 } else { line.interest },
            ..line
        })
        .collect()
}

fn dump(side: &CoordinatorSide, world: &World, out: &mut BytesMut) {
    let mut buckets: Vec<(Option<Moment>, ExpiryBucket)> = Vec::new();
    let mut sessions: Vec<SessionStatus> = side.core.sessions();
    sessions.sort_by_key(|session| (session.expires, session.session));
    for session in sessions {
        match buckets.last_mut() {
            Some((expires, bucket)) if *expires == session.expires => {
                bucket.sessions.push(session.session);
            }
            _ => {
                let expires = wall_of(session.expires, world);
                let bucket = ExpiryBucket {
                    expires,
                    sessions: vec![session.session],
                };
                buckets.push((session.expires, bucket));
            }
        }
    }
    let buckets: Vec<ExpiryBucket> = buckets.into_iter().map(|(_, bucket)| bucket).collect();
    four_letter::dump(&buckets, side.core.ephemerals(PATHS_MAX), out);
    let all = side.core.status().ephemerals;
    cut_if(usize::try_from(all).unwrap_or(usize::MAX) > PATHS_MAX, out);
}

fn cut_if(there_is_more: bool, out: &mut BytesMut) {
    if there_is_more {
        four_letter::cut(out);
    }
}

/// The time of day at which a moment of the monotonic clock comes.
fn wall_of(moment: Option<Moment>, world: &World) -> WallTime {
    let ahead = moment.map_or(0, |at| at.as_millis().saturating_sub(world.now.as_millis()));
    WallTime(
        world
            .wall
            .0
            .saturating_add(i64::try_from(ahead).unwrap_or(i64::MAX)),
    )
}
