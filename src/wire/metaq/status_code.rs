//! The protocol's status codes. They are HTTP's, as far as the broker uses them.

use std::fmt;

use crate::broker::RefusalKind;

/// The number in a `result` line.
///
/// Clients take 200 for success and show the text of everything else, except that 301 and 404 steer a
/// consumer. A number that is not listed here is legal too, so this is not an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(pub i32);

impl StatusCode {
    /// Done.
    pub const SUCCESS: StatusCode = StatusCode(200);
    /// Nothing at this offset; the text is the offset to go on from.
    pub const MOVED: StatusCode = StatusCode(301);
    /// The request makes no sense (a `get` of no bytes).
    pub const BAD_REQUEST: StatusCode = StatusCode(400);
    /// The partition is closed.
    pub const FORBIDDEN: StatusCode = StatusCode(403);
    /// No data at this offset, or no such partition.
    pub const NOT_FOUND: StatusCode = StatusCode(404);
    /// Everything that went wrong with a `put` or a transaction.
    pub const INTERNAL_SERVER_ERROR: StatusCode = StatusCode(500);
    /// Too busy, or a command this broker does not take.
    pub const SERVICE_UNAVAILABLE: StatusCode = StatusCode(503);
    /// Never travels: clients make it up when no reply came in time.
    pub const GATEWAY_TIMEOUT: StatusCode = StatusCode(504);

    /// The code that says why a broker does not do what it was asked.
    pub const fn of_refusal(kind: RefusalKind) -> StatusCode {
        match kind {
            RefusalKind::BadRequest => StatusCode::BAD_REQUEST,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the request was done.
    pub fn is_success(self) -> bool {
        self == StatusCode::SUCCESS
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
