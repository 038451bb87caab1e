//! What the two protocols' codecs have in common: bytes in, bytes out, and what they hold meanwhile.

use bytes::BytesMut;

use super::output::Output;
use crate::units::Moment;

/// One client's bytes, in and out. What the frames mean is each protocol's own matter.
pub trait Codec {
    /// The buffer to append received bytes to; to be followed by [`Codec::received`].
    fn room(&mut self) -> &mut BytesMut;

    /// Takes note that `count` bytes were appended to the room.
    fn received(&mut self, count: usize);

    /// What waits to be written.
    fn output(&mut self) -> &mut Output;

    /// Whether so much waits to be written that nothing more should be taken in.
    fn is_congested(&self) -> bool;

    /// Whether the beginning of a frame was received and its end was not.
    fn is_amid_frame(&self) -> bool;

    /// Bytes of memory that it holds.
    fn held_bytes(&self) -> u64;

    /// Gives back memory that is not in use.
    fn shrink(&mut self);

    /// When the connection is to be closed whatever happens on it.
    fn deadline(&self) -> Option<Moment> {
        None
    }
}
