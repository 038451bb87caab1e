//! What the broker knows of one partition.
//!
//! `first ≤ visible ≤ segments.end() ≤ proposed_end`: readers see what is written, the files' plan holds
//! what is committed, and what is only proposed is a guess that ends when this server is deposed.

use super::topic::TopicId;
use crate::segments::partition::Segments;
use crate::segments::recovery::Unsettled;

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: TopicId,
    pub(super) number: i32,
    /// An index into the node's list of data folders.
    pub(super) data_folder: u32,
    pub(super) segments: Segments,
    /// Found at the start, and not known yet whether entries will be applied to it again.
    pub(super) unsettled: Option<Box<Unsettled>>,
    /// Its first file is there.
    pub(super) written: bool,
    /// Readers see offsets below.
    pub(super) visible: u64,
    pub(super) proposed_end: u64,
    /// Where the file begins that the next proposed record goes to.
    pub(super) proposed_segment: u64,
    /// What was proposed to be deleted.
    pub(super) proposed_first: u64,
    /// Of the entry being made: its number and this partition's run in it.
    pub(super) draft: (u64, Option<usize>),
    /// An operator wants consumers to go on behind damage in front of this offset: what was there when it was said.
    pub(super) skips_below: u64,
}

impl Partition {
    /// One that was never written.
    pub(super) fn new(topic: TopicId, number: i32, data_folder: u32) -> Partition {
        Partition {
            topic,
            number,
            data_folder,
            segments: Segments::default(),
            unsettled: None,
            written: false,
            visible: 0,
            proposed_end: 0,
            proposed_segment: 0,
            proposed_first: 0,
            draft: (0, None),
            skips_below: 0,
        }
    }

    /// It was written, ever: clients find it.
    pub(super) fn has_files(&self) -> bool {
        !self.segments.is_empty()
    }

    /// What is proposed next goes behind what is committed.
    pub(super) fn forget_proposals(&mut self) {
        self.proposed_end = self.segments.end();
        self.proposed_segment = self.segments.last().map_or(0, |segment| segment.start);
        self.proposed_first = self.segments.first();
    }
}
