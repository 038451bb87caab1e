//! `[journal]` and `[disk]`: what is written, and what happens when there is no room.

use super::GIB;
use crate::config::key::{Key, Preset, Range, Section};
use crate::config::words::Backend;

// [journal]

/// `journal.file_bytes`
pub static JOURNAL_FILE_BYTES: Key<u64> = Key {
    section: Section::Journal,
    name: "file_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 16),
    permitted: Range {
        // Two of the largest batches, and the small first file.
        min: GIB / 256,
        max: 4 * GIB,
    },
    help: "The size of one journal file, a multiple of 4096; at least 33554432 beside `cluster.servers`. A change applies to files \
           made from then on.",
    replaces: "",
};

/// `journal.files_max`
pub static JOURNAL_FILES_MAX: Key<u32> = Key {
    section: Section::Journal,
    name: "files_max",
    unit: "files",
    default: Preset::Value(8),
    permitted: Range { min: 4, max: 1024 },
    help: "How many journal files there may be. They are written in turn.",
    replaces: "",
};

// [disk]

/// `disk.backend`
pub static DISK_BACKEND: Key<Backend> = Key {
    section: Section::Disk,
    name: "backend",
    unit: "",
    default: Preset::Value("auto"),
    permitted: (),
    help: "How the disk is written: through io_uring, or by threads. \"auto\" uses io_uring if the kernel permits it. Both \
           keep the same promises.",
    replaces: "",
};

/// `disk.reserve_bytes`
pub static DISK_RESERVE_BYTES: Key<u64> = Key {
    section: Section::Disk,
    name: "reserve_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 16),
    permitted: Range {
        min: 0,
        max: 1024 * GIB,
    },
    help: "The size of a file that only reserves space. The server gives it up when the disk is full, so that there is room to \
           act.",
    replaces: "",
};

/// `disk.refuse_below_bytes`
pub static DISK_REFUSE_BELOW_BYTES: Key<u64> = Key {
    section: Section::Disk,
    name: "refuse_below_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 4),
    permitted: Range {
        min: 0,
        max: 1024 * GIB,
    },
    help: "With less than this free, puts get status 500 and a text that says so, until there is room again. Gets and the \
           coordinator go on.",
    replaces: "",
};
