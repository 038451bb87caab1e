//! Memory whose address is a multiple of 4096, which `O_DIRECT` asks for.
//!
//! Made without `unsafe`: one block too long, and the offset of the first aligned byte in it. A boxed slice
//! does not move when its owner does, so the offset stays right.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Addresses, positions and lengths of direct writes are multiples of this. 4 KiB suits every disk in use.
pub const ALIGNMENT: usize = 4096;

/// A buffer for direct writes: a fixed capacity, of which the first `len` bytes are meant.
pub struct AlignedBuffer {
    memory: Box<[u8]>,
    offset: usize,
    length: usize,
}

impl AlignedBuffer {
    /// A buffer of at least `capacity` zeroed bytes, rounded up to a multiple of [`ALIGNMENT`]; its length is 0.
    pub fn new(capacity: usize) -> AlignedBuffer {
        let capacity = capacity.next_multiple_of(ALIGNMENT);
        let memory = vec![0; capacity + ALIGNMENT].into_boxed_slice();
        let offset = memory.as_ptr().align_offset(ALIGNMENT);
        assert!(offset < ALIGNMENT, "a byte pointer can always be aligned");
        AlignedBuffer {
            memory,
            offset,
            length: 0,
        }
    }

    /// How many bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.memory.len() - ALIGNMENT
    }

    /// Sets how many bytes are meant. Bytes that come into view keep what they last held.
    ///
    /// # Panics
    /// `length` is beyond the capacity.
    pub fn set_len(&mut self, length: usize) {
        assert!(
            length <= self.capacity(),
            "the length of a buffer is within its capacity"
        );
        self.length = length;
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// They do not fit.
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        assert!(
            end <= self.capacity(),
            "what is appended fits into the buffer"
        );
        let start = self.offset + self.length;
        self.memory[start..start + bytes.len()].copy_from_slice(bytes);
        self.length = end;
    }

    /// Appends zeros until the length is a multiple of [`ALIGNMENT`].
    pub fn pad(&mut self) {
        let end = self.length.next_multiple_of(ALIGNMENT);
        let offset = self.offset;
        self.memory[offset + self.length..offset + end].fill(0);
        self.length = end;
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.offset..self.offset + self.length]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.offset..self.offset + self.length]
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AlignedBuffer({} of {} bytes)",
            self.length,
            self.capacity()
        )
    }
}
