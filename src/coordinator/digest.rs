//! A number for all that is replicated, kept up to date with every change.
//!
//! It is a sum over znodes and sessions, so it depends neither on their order nor on the way to the state, and a change
//! costs what it changes. Each adds terms that are hard to hit by chance: words folded by a multiplication to 128 bits, under
//! a key that follows from the path or the session. Paths, data and permissions go through XXH3. Servers compare it, and a
//! snapshot carries it: it must be the same on every machine and in every release. It protects from mistakes, not from
//! somebody who wants two states to have the same.

use twox_hash::XxHash3_64;

use super::session::Session;
use super::tree::Body;
use crate::units::{ServerId, WallTime, Zxid};

#[cfg(test)]
mod tests;

/// The binary digits of pi, as many as are needed.
const PI: [u64; 14] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
    0xd131_0ba6_98df_b5ac,
    0x2ffd_72db_d01a_dfb7,
    0xb8e1_afed_6a26_7e96,
    0xba7c_9045_f12c_7f99,
    0x24a1_9947_b391_6cf7,
];

/// Stands for data that is null.
const NULL: u64 = 0x0801_f2e2_858e_fc16;

/// Two words under a key, at one of the places.
#[inline]
fn fold(place: usize, key: u64, one: u64, other: u64) -> u64 {
    let (one, other) = (
        one ^ key ^ PI[2 * place],
        other ^ key.rotate_left(32) ^ PI[2 * place + 1],
    );
    let high = (u128::from(one) * u128::from(other)) >> 64;
    one.wrapping_mul(other) ^ u64::try_from(high).expect("the upper half of 128 bits")
}

/// Two halves of a word.
#[inline]
fn word(high: i32, low: i32) -> u64 {
    u64::from(high.cast_unsigned()) << 32 | u64::from(low.cast_unsigned())
}

/// The key of a znode.
#[inline]
pub(super) fn key(path: &[u8]) -> u64 {
    XxHash3_64::oneshot(path)
}

/// What its data adds.
#[inline]
pub(super) fn data(key: u64, data: Option<&[u8]>) -> u64 {
    fold(0, key, data.map_or(NULL, XxHash3_64::oneshot), 0)
}

/// What a list of permissions is known by.
pub(super) fn permissions(list: &[u8]) -> u64 {
    XxHash3_64::oneshot(list)
}

/// What the permissions of a znode add.
#[inline]
pub(super) fn permitted(key: u64, permissions: u64) -> u64 {
    fold(1, key, permissions, 0)
}

/// What everything else adds that is stored of a znode and changes with its data and its children.
#[inline]
pub(super) fn moving(key: u64, body: &Body) -> u64 {
    let (mzxid, pzxid) = (body.mzxid.0.cast_unsigned(), body.pzxid.0.cast_unsigned());
    let set = fold(2, key, mzxid, body.mtime.0.cast_unsigned());
    set.wrapping_add(fold(3, key, pzxid, word(body.version, body.made)))
}

/// The same of what does not.
#[inline]
pub(super) fn resting(key: u64, body: &Body) -> u64 {
    let (czxid, owner) = (body.czxid.0.cast_unsigned(), body.owner.cast_unsigned());
    let made = fold(4, key, czxid, body.ctime.0.cast_unsigned());
    made.wrapping_add(fold(5, key, owner, word(0, body.aversion)))
}

/// What a session adds.
#[inline]
pub(super) fn session(session: &Session) -> u64 {
    let key = session.id.cast_unsigned();
    let given = word(session.timeout_ms, i32::from(session.server.0));
    let whose = fold(6, key, given, 0);
    fold(0, whose, session.generation, session.sequence)
}

/// What the last id adds that a server gave out.
pub(super) fn last_id(server: ServerId, id: i64) -> u64 {
    fold(5, PI[12], u64::from(server.0), id.cast_unsigned())
}

/// What the last write adds.
pub(super) fn last_write(zxid: Zxid, wall: WallTime) -> u64 {
    fold(6, PI[13], zxid.0.cast_unsigned(), wall.0.cast_unsigned())
}
