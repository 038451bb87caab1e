//! A bounded reader and a writer over plain bytes: the only code that indexes a buffer.
//!
//! Every codec, on the wire and on disk, goes through these two. Integers are big-endian, as both old
//! protocols have them. A reader never panics and never reads past its end: what is missing is an
//! error. It borrows, so nothing is allocated by a length that was not checked against what remains.
//! A writer appends to a buffer that belongs to someone else and can fill in a length afterwards.
//!
//! Invariant: `position ≤ length of the bytes`.

use bytes::{BufMut, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// The bytes ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes end too early: {wanted} wanted, {left} left")]
pub struct Truncated {
    /// How many bytes the value needed.
    pub wanted: usize,
    /// How many there were.
    pub left: usize,
}

/// Reads values from the front of some bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without reading it.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        match self.rest().split_at_checked(count) {
            Some((taken, _)) => {
                self.position += count;
                Ok(taken)
            }
            None => Err(Truncated {
                wanted: count,
                left: self.remaining(),
            }),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        match self.rest().first_chunk::<N>() {
            Some(array) => {
                self.position += N;
                Ok(*array)
            }
            None => Err(Truncated {
                wanted: N,
                left: self.remaining(),
            }),
        }
    }

    /// The next `count` bytes as a share of `owner`, the buffer this reader was made from: no copy.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    ///
    /// # Panics
    /// `owner` is not the buffer this reader reads.
    #[inline]
    pub fn take_shared(&mut self, count: usize, owner: &Bytes) -> Result<Bytes, Truncated> {
        Ok(owner.slice_ref(self.take(count)?))
    }

    /// The bytes before the next `delimiter`, which is read too. `None` if there is none; then nothing
    /// was read.
    pub fn take_until(&mut self, delimiter: u8) -> Option<&'a [u8]> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == delimiter)?;
        self.position += end + 1;
        rest.get(..end)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Truncated`] if nothing is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    /// One byte, of which anything but 0 is true.
    ///
    /// # Errors
    /// [`Truncated`] if nothing is left.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, Truncated> {
        self.u8().map(|byte| byte != 0)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn u128(&mut self) -> Result<u128, Truncated> {
        self.array().map(u128::from_be_bytes)
    }

    /// Four bytes, signed.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, Truncated> {
        self.array().map(i32::from_be_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// [`Truncated`] if fewer are left; then nothing was read.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Truncated> {
        self.array().map(i64::from_be_bytes)
    }
}

/// Where a value was left open, to be filled in later with a `fill` method of [`Writer`].
#[must_use = "what was left open has to be filled in"]
#[derive(Debug)]
pub struct Gap {
    /// The first byte of the gap, from the buffer's start.
    position: usize,
}

/// Appends values to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    /// A writer at the end of `buffer`.
    pub fn new(buffer: &'a mut BytesMut) -> Writer<'a> {
        Writer { buffer }
    }

    /// How many bytes the buffer holds, those from before this writer included.
    pub fn position(&self) -> usize {
        self.buffer.len()
    }

    /// Takes back everything written at and after `position`.
    pub fn truncate(&mut self, position: usize) {
        self.buffer.truncate(position);
    }

    /// Makes room for `count` more bytes at once.
    pub fn reserve(&mut self, count: usize) {
        self.buffer.reserve(count);
    }

    /// Bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.buffer.put_u8(value);
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.buffer.put_u64(value);
    }

    /// Sixteen bytes.
    #[inline]
    pub fn u128(&mut self, value: u128) {
        self.buffer.put_u128(value);
    }

    /// Four bytes, signed.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Eight bytes, signed.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Leaves four bytes open.
    #[inline]
    pub fn gap_32(&mut self) -> Gap {
        let position = self.buffer.len();
        self.buffer.put_u32(0);
        Gap { position }
    }

    /// How many bytes were written since `gap`, itself not counted.
    #[inline]
    pub fn length_after(&self, gap: &Gap) -> usize {
        self.buffer.len().saturating_sub(gap.position + 4)
    }

    /// Fills in a gap.
    ///
    /// # Panics
    /// The gap was made on another buffer, or was taken back with [`Writer::truncate`].
    #[inline]
    pub fn fill_u32(&mut self, gap: Gap, value: u32) {
        self.buffer
            .get_mut(gap.position..gap.position + 4)
            .expect("a gap belongs to the buffer it was made on")
            .copy_from_slice(&value.to_be_bytes());
    }

    /// Fills in a gap.
    ///
    /// # Panics
    /// The gap was made on another buffer, or was taken back with [`Writer::truncate`].
    #[inline]
    pub fn fill_i32(&mut self, gap: Gap, value: i32) {
        self.fill_u32(gap, value.cast_unsigned());
    }
}
