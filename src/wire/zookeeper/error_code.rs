//! The one table of what can go wrong and ZooKeeper's numbers for it.
//!
//! The coordinator's refusals are a part of it; the rest are numbers that other servers send and our
//! client must name. Clients of 3.4.5 know nothing below -119, so nothing below is ever sent.

use crate::coordinator::Refusal;

#[cfg(test)]
mod tests;

/// The number in a reply's header when nothing went wrong.
pub const OK: i32 = 0;

/// The number that a multi's operations after the refused one are given.
pub const RUNTIME_INCONSISTENCY: i32 = -2;

/// The number of a refusal.
pub const fn number(refusal: Refusal) -> i32 {
    match refusal {
        Refusal::LimitReached => -1,
        Refusal::Marshalling => -5,
        Refusal::Unimplemented => -6,
        Refusal::BadArguments => -8,
        Refusal::NoNode => -101,
        Refusal::NoAuth => -102,
        Refusal::BadVersion => -103,
        Refusal::NoChildrenForEphemerals => -108,
        Refusal::NodeExists => -110,
        Refusal::NotEmpty => -111,
        Refusal::SessionExpired => -112,
        Refusal::InvalidAcl => -114,
        Refusal::AuthFailed => -115,
        Refusal::SessionMoved => -118,
        Refusal::NotReadOnly => -119,
    }
}

/// The refusal that a number means, if it is one that our coordinator gives.
pub const fn refusal(number: i32) -> Option<Refusal> {
    Some(match number {
        -1 => Refusal::LimitReached,
        -5 => Refusal::Marshalling,
        -6 => Refusal::Unimplemented,
        -8 => Refusal::BadArguments,
        -101 => Refusal::NoNode,
        -102 => Refusal::NoAuth,
        -103 => Refusal::BadVersion,
        -108 => Refusal::NoChildrenForEphemerals,
        -110 => Refusal::NodeExists,
        -111 => Refusal::NotEmpty,
        -112 => Refusal::SessionExpired,
        -114 => Refusal::InvalidAcl,
        -115 => Refusal::AuthFailed,
        -118 => Refusal::SessionMoved,
        -119 => Refusal::NotReadOnly,
        _ => return None,
    })
}

/// ZooKeeper's name of a number, for people.
pub const fn name(number: i32) -> &'static str {
    match number {
        0 => "OK",
        -1 => "SYSTEMERROR",
        -2 => "RUNTIMEINCONSISTENCY",
        -3 => "DATAINCONSISTENCY",
        -4 => "CONNECTIONLOSS",
        -5 => "MARSHALLINGERROR",
        -6 => "UNIMPLEMENTED",
        -7 => "OPERATIONTIMEOUT",
        -8 => "BADARGUMENTS",
        -12 => "UNKNOWNSESSION",
        -13 => "NEWCONFIGNOQUORUM",
        -14 => "RECONFIGINPROGRESS",
        -100 => "APIERROR",
        -101 => "NONODE",
        -102 => "NOAUTH",
        -103 => "BADVERSION",
        -108 => "NOCHILDRENFOREPHEMERALS",
        -110 => "NODEEXISTS",
        -111 => "NOTEMPTY",
        -112 => "SESSIONEXPIRED",
        -113 => "INVALIDCALLBACK",
        -114 => "INVALIDACL",
        -115 => "AUTHFAILED",
        -118 => "SESSIONMOVED",
        -119 => "NOTREADONLY",
        -120 => "EPHEMERALONLOCALSESSION",
        -121 => "NOWATCHER",
        -122 => "REQUESTTIMEOUT",
        -123 => "RECONFIGDISABLED",
        -124 => "SESSIONCLOSEDREQUIRESASLAUTH",
        -125 => "QUOTAEXCEEDED",
        -127 => "THROTTLEDOP",
        _ => "an error of an unknown number",
    }
}
