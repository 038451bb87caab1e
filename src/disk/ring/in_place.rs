//! Has the kernel overwrite a file where it lies, on file systems that otherwise write a copy elsewhere (btrfs): what
//! was reserved for the file is no use to a copy, so that a full disk would fail writes into room that is there.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc::c_long;

/// `FS_NOCOW_FL` of the kernel's `linux/fs.h`.
const NOT_COPIED: c_long = 0x0080_0000;

nix::ioctl_read!(
    /// `FS_IOC_GETFLAGS`.
    read_flags,
    b'f',
    1,
    c_long
);
nix::ioctl_write_ptr!(
    /// `FS_IOC_SETFLAGS`.
    write_flags,
    b'f',
    2,
    c_long
);

/// For an empty file; what is there already stays as it is.
pub(in crate::disk) fn write_in_place(file: &fs::File) -> io::Result<()> {
    let mut flags: c_long = 0;
    // SAFETY: the kernel writes an `int` to `flags`, which is not smaller, and the descriptor is open as long as
    // `file` is borrowed.
    unsafe { read_flags(file.as_raw_fd(), &raw mut flags) }?;
    flags |= NOT_COPIED;
    // SAFETY: the kernel reads an `int` from `flags`, which is not smaller, and the descriptor is open as long as
    // `file` is borrowed.
    unsafe { write_flags(file.as_raw_fd(), &raw const flags) }?;
    Ok(())
}
