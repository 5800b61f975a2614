//! Whole transfers between a file and guest memory.

use std::io;
use std::os::fd::BorrowedFd;

use crate::virtio::Buffers;

/// Fills `data` from `offset`. `UnexpectedEof` if the file ends before.
pub(super) fn read(fd: BorrowedFd<'_>, data: Buffers, offset: u64) -> io::Result<()> {
    whole(data, offset, io::ErrorKind::UnexpectedEof, |data, offset| data.read_at(fd, offset))
}

/// Writes all of `data` at `offset`.
pub(super) fn write(fd: BorrowedFd<'_>, data: Buffers, offset: u64) -> io::Result<()> {
    whole(data, offset, io::ErrorKind::WriteZero, |data, offset| data.write_at(fd, offset))
}

fn whole(
    mut data: Buffers,
    mut offset: u64,
    at_end: io::ErrorKind,
    mut step: impl FnMut(&Buffers, u64) -> io::Result<usize>,
) -> io::Result<()> {
    loop {
        match step(&data, offset)? {
            n if n == data.len() => return Ok(()),
            0 => return Err(at_end.into()),
            n => {
                data.advance(n);
                offset += n as u64;
            }
        }
    }
}
