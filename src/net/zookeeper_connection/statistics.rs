//! What `stat`, `cons`, `srvr` and `mntr` show of frames and their latency.

use std::time::Duration;

use crate::units::{LatencyHistogram, Moment, WallTime, Zxid};
use crate::wire::zookeeper::four_letter::{ConnectionSession, Latency};

/// Frames and latency, of one connection or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames and four-letter words received.
    pub received: u64,
    /// Frames and texts sent.
    pub sent: u64,
    replies: u64,
    latency_sum: Duration,
    latency_min: Duration,
    latency_max: Duration,
}

/// What all connections did together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Since the start or since an operator last reset it.
    pub traffic: Traffic,
    /// Time from a write's arrival to its reply.
    pub writes: LatencyHistogram,
}

impl Traffic {
    /// The time between requests and their replies so far.
    pub fn latency(&self) -> Latency {
        let mean = match u32::try_from(self.replies) {
            Ok(0) => Duration::ZERO,
            Ok(replies) => self.latency_sum / replies,
            // Beyond four thousand million replies a millisecond's fraction may be lost.
            Err(_) => Duration::from_nanos(
                u64::try_from(self.latency_sum.as_nanos() / u128::from(self.replies))
                    .unwrap_or(u64::MAX),
            ),
        };
        Latency {
            min_ms: whole_ms(self.latency_min),
            avg_ms: whole_ms(mean),
            max_ms: whole_ms(self.latency_max),
        }
    }

    #[inline]
    pub(super) fn count_latency(&mut self, latency: Duration) {
        self.latency_min = match self.replies {
            0 => latency,
            _ => self.latency_min.min(latency),
        };
        self.latency_max = self.latency_max.max(latency);
        self.latency_sum += latency;
        self.replies += 1;
    }
}

/// All that is counted of one connection.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) traffic: Traffic,
    last_operation: &'static str,
    last_xid: i64,
    last_zxid: Zxid,
    last_response: Moment,
    last_latency: Duration,
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics {
            traffic: Traffic::default(),
            last_operation: "NA",
            last_xid: -1,
            last_zxid: Zxid(-1),
            last_response: Moment::START,
            last_latency: Duration::ZERO,
        }
    }
}

impl Statistics {
    #[inline]
    pub(super) fn count_reply(
        &mut self,
        now: Moment,
        latency: Duration,
        xid: i32,
        zxid: Zxid,
        operation: &'static str,
    ) {
        self.traffic.count_latency(latency);
        // Pings and set watches have no number of their own and do not count as the last one.
        if xid >= 0 {
            self.last_xid = i64::from(xid);
        }
        self.last_zxid = zxid;
        self.last_operation = operation;
        self.last_response = now;
        self.last_latency = latency;
    }

    pub(super) fn facts(
        &self,
        session: i64,
        timeout_ms: i32,
        established: WallTime,
    ) -> ConnectionSession {
        ConnectionSession {
            id: session,
            last_operation: self.last_operation,
            established,
            timeout_ms,
            last_xid: self.last_xid,
            last_zxid: self.last_zxid,
            last_response_ms: self.last_response.as_millis(),
            last_latency_ms: whole_ms(self.last_latency),
            latency: self.traffic.latency(),
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
