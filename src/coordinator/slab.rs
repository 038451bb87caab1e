//! Numbered slots that can be read out, as of one moment, while they go on changing.
//!
//! Values live in small blocks that never move, so that growing costs no more with a million of them
//! than with a thousand. A *scan* visits every value that exists when it begins, exactly once and as
//! it was then: a value that is about to change before its visit is copied first ([`Scanned::image`]),
//! and copies are handed out before the walk goes on. What is made during a scan is not part of it.
//!
//! ```text
//!   slot   0 ............ cursor ................. end ............
//!          | visited      | to be visited          | made later   |
//!                           except those in `saved`, whose image waits or was handed out
//! ```

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

const BLOCK_SLOTS: usize = 256;
const NONE: u32 = u32::MAX;

/// What a scan hands out of a value.
pub(super) trait Scanned {
    /// All of the value that a snapshot needs.
    type Image;

    /// A cheap copy of that.
    fn image(&self) -> Self::Image;
}

/// What [`Slab::scan_next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Visit<I> {
    /// A value, as it was when the scan began.
    Image(I),
    /// A slot with nothing to hand out; the walk went one on.
    Nothing,
    /// All was visited; the scan is over.
    End,
}

#[derive(Clone, Debug)]
enum Slot<T> {
    Vacant { next: u32 },
    Occupied(T),
}

/// The slots.
#[derive(Debug)]
pub(super) struct Slab<T: Scanned> {
    blocks: Vec<Box<[Slot<T>]>>,
    /// The first of the vacant slots, each of which names the next.
    vacant: u32,
    /// One past the last slot that was ever occupied.
    end: u32,
    occupied: usize,
    scan: Option<Scan<T::Image>>,
}

#[derive(Debug)]
struct Scan<I> {
    cursor: u32,
    end: u32,
    /// A bit for each slot below `end`: nothing left to copy from it.
    saved: Vec<u64>,
    images: VecDeque<I>,
}

impl<I> Scan<I> {
    /// Whether a change of this slot would be seen by the scan, unless its image is saved. Says so once.
    fn claim(&mut self, number: u32) -> bool {
        if number < self.cursor || number >= self.end {
            return false;
        }
        let (word, bit) = (number / 64, 1u64 << (number % 64));
        let word = &mut self.saved[word as usize];
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

impl<T: Scanned> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab {
            blocks: Vec::new(),
            vacant: NONE,
            end: 0,
            occupied: 0,
            scan: None,
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.occupied
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let block = self.blocks.get(number as usize / BLOCK_SLOTS)?;
        match &block[number as usize % BLOCK_SLOTS] {
            Slot::Occupied(value) => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// The value, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let block = self.blocks.get_mut(number as usize / BLOCK_SLOTS)?;
        match &mut block[number as usize % BLOCK_SLOTS] {
            Slot::Occupied(value) => {
                if let Some(scan) = &mut self.scan
                    && scan.claim(number)
                {
                    scan.images.push_back(value.image());
                }
                Some(value)
            }
            Slot::Vacant { .. } => None,
        }
    }

    /// The value, to change only what is no part of its image.
    #[inline]
    pub(super) fn get_mut_outside_image(&mut self, number: u32) -> Option<&mut T> {
        let block = self.blocks.get_mut(number as usize / BLOCK_SLOTS)?;
        match &mut block[number as usize % BLOCK_SLOTS] {
            Slot::Occupied(value) => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// Takes in a value; it gets the slot that was vacated last.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let number = if self.vacant == NONE {
            let number = self.end;
            assert!(number < NONE, "fewer than 2^32 - 1 values fit in memory");
            if number as usize / BLOCK_SLOTS == self.blocks.len() {
                let block = (0..BLOCK_SLOTS).map(|_| Slot::Vacant { next: NONE });
                self.blocks.push(block.collect());
            }
            self.end += 1;
            number
        } else {
            self.vacant
        };
        let slot = &mut self.blocks[number as usize / BLOCK_SLOTS][number as usize % BLOCK_SLOTS];
        if let Slot::Vacant { next } = slot
            && number == self.vacant
        {
            self.vacant = *next;
        }
        *slot = Slot::Occupied(value);
        self.occupied += 1;
        if let Some(scan) = &mut self.scan {
            scan.claim(number);
        }
        number
    }

    /// Gives a value away and vacates its slot.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        self.get_mut(number)?;
        let slot = &mut self.blocks[number as usize / BLOCK_SLOTS][number as usize % BLOCK_SLOTS];
        let vacated = std::mem::replace(slot, Slot::Vacant { next: self.vacant });
        self.vacant = number;
        self.occupied -= 1;
        match vacated {
            Slot::Occupied(value) => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// All values, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.end).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Begins a scan of what exists now. One that was under way is given up.
    pub(super) fn scan_begin(&mut self) {
        self.scan = Some(Scan {
            cursor: 0,
            end: self.end,
            saved: vec![0; self.end.div_ceil(64) as usize],
            images: VecDeque::new(),
        });
    }

    /// Gives up the scan.
    pub(super) fn scan_abandon(&mut self) {
        self.scan = None;
    }

    /// The scan's next value. `End` also when there is no scan.
    pub(super) fn scan_next(&mut self) -> Visit<T::Image> {
        let Some(scan) = &mut self.scan else {
            return Visit::End;
        };
        if let Some(image) = scan.images.pop_front() {
            return Visit::Image(image);
        }
        if scan.cursor == scan.end {
            self.scan = None;
            return Visit::End;
        }
        let number = scan.cursor;
        let unsaved = scan.claim(number);
        scan.cursor += 1;
        match self.get(number) {
            Some(value) if unsaved => Visit::Image(value.image()),
            _ => Visit::Nothing,
        }
    }
}
