//! Scatter lists over guest memory: what the descriptors of a request become.
//!
//! This is the one place where raw pointers into guest memory meet system calls, so that request
//! handlers need no unsafe code and data is never copied on its way between a file or socket and
//! the guest.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use smallvec::SmallVec;
use vm_memory::{GuestAddress, GuestMemoryBackend, VolatileSlice};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::memory::GuestRam;

/// The kernel's limit on the length of an I/O vector (UIO_MAXIOV).
pub const MAX_IOVECS: usize = 1024;

/// A list of byte ranges of guest memory, in order.
///
/// A range that is not memory is kept by length only; the list is then not [valid](Self::is_valid)
/// and every access to it fails, while its valid parts can still be split off and used. So a block
/// request with a bad data address can still be answered in its status byte.
#[derive(Debug, Clone)]
pub struct Buffers {
    /// `iov_base` is null in a range that is not memory.
    iovecs: SmallVec<[libc::iovec; 4]>,
    len: usize,
    invalid: usize,
    ram: Arc<GuestRam>,
}

// SAFETY: the pointers lead into the mappings that `ram` keeps alive, and guest memory is shared
// with the guest's vCPUs anyway: all access is by volatile copies or by the kernel.
unsafe impl Send for Buffers {}

impl Buffers {
    /// An empty list over `ram`.
    pub fn new(ram: Arc<GuestRam>) -> Self {
        Self { iovecs: SmallVec::new(), len: 0, invalid: 0, ram }
    }

    /// Appends `len` bytes of guest memory from `addr`.
    pub fn push(&mut self, addr: GuestAddress, len: usize) {
        if len == 0 {
            return;
        }
        let before = self.iovecs.len();
        for slice in self.ram.get_slices(addr, len) {
            let Ok(slice) = slice else {
                self.iovecs.truncate(before);
                self.iovecs.push(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: len });
                self.invalid += 1;
                break;
            };
            let base = slice.ptr_guard_mut().as_ptr().cast();
            self.iovecs.push(libc::iovec { iov_base: base, iov_len: slice.len() });
        }
        // Cannot overflow: a chain's lengths are bounded to 4 GiB (VIRTIO 1.3, 2.7.5.2).
        self.len += len;
    }

    /// Total length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many ranges there are.
    pub fn ranges(&self) -> usize {
        self.iovecs.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all ranges are guest memory.
    pub fn is_valid(&self) -> bool {
        self.invalid == 0
    }

    /// The ranges as the kernel's I/O vectors, for submission to an asynchronous engine that keeps
    /// `self` until completion. `None` if the list is not valid.
    pub fn iovecs(&self) -> Option<&[libc::iovec]> {
        self.is_valid().then_some(&self.iovecs)
    }

    /// Splits: `self` keeps the first `at` bytes (all, if there are fewer), the rest is returned.
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut tail = Self::new(Arc::clone(&self.ram));
        let (mut index, mut offset) = (0, at);
        while let Some(iovec) = self.iovecs.get(index) {
            if offset < iovec.iov_len {
                break;
            }
            offset -= iovec.iov_len;
            index += 1;
        }
        tail.iovecs.extend(self.iovecs.drain(index..));
        if offset > 0
            && let Some(first) = tail.iovecs.first_mut()
        {
            self.iovecs.push(libc::iovec { iov_base: first.iov_base, iov_len: offset });
            first.iov_len -= offset;
            if !first.iov_base.is_null() {
                // SAFETY: offset is below the range's length, so the sum stays inside it.
                first.iov_base = unsafe { first.iov_base.byte_add(offset) };
            }
        }
        self.count();
        tail.count();
        tail
    }

    /// Splits the last `len` bytes off and returns them; `None` if there are fewer.
    pub fn split_tail(&mut self, len: usize) -> Option<Self> {
        self.len.checked_sub(len).map(|at| self.split_off(at))
    }

    /// Drops the first `count` bytes (all, if there are fewer).
    pub fn advance(&mut self, count: usize) {
        let (mut whole, mut offset) = (0, count);
        while let Some(iovec) = self.iovecs.get(whole).filter(|v| v.iov_len <= offset) {
            offset -= iovec.iov_len;
            self.invalid -= usize::from(iovec.iov_base.is_null());
            whole += 1;
        }
        self.iovecs.drain(..whole);
        if let Some(first) = self.iovecs.first_mut() {
            first.iov_len -= offset;
            if !first.iov_base.is_null() {
                // SAFETY: offset is below the range's length, so the sum stays inside it.
                first.iov_base = unsafe { first.iov_base.byte_add(offset) };
            }
        }
        self.len = self.len.saturating_sub(count);
    }

    /// Whether both are of the same state of the memory map, which the one then keeps alive for
    /// the other.
    pub fn shares_memory(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ram, &other.ram)
    }

    /// Appends the ranges of `other`, which must be of the same memory.
    pub fn append(&mut self, other: Self) {
        self.iovecs.extend(other.iovecs);
        self.len += other.len;
        self.invalid += other.invalid;
    }

    fn count(&mut self) {
        self.len = self.iovecs.iter().map(|v| v.iov_len).sum();
        self.invalid = self.iovecs.iter().filter(|v| v.iov_base.is_null()).count();
    }

    fn slices(&self) -> io::Result<impl Iterator<Item = VolatileSlice<'_>>> {
        if !self.is_valid() {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        Ok(self.iovecs.iter().map(|v| {
            // SAFETY: a non-null range was obtained from `ram`, which this list keeps alive.
            unsafe { VolatileSlice::new(v.iov_base.cast(), v.iov_len) }
        }))
    }

    /// Copies out of guest memory from the start; returns how many bytes there were, at most
    /// `data.len()`. EFAULT if the list is not valid.
    pub fn copy_to(&self, data: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        for slice in self.slices()? {
            let Some(rest) = data.get_mut(done..).filter(|r| !r.is_empty()) else { break };
            done += slice.copy_to(rest);
        }
        Ok(done)
    }

    /// Copies into guest memory from the start; returns how many bytes fitted. EFAULT if the list
    /// is not valid.
    pub fn copy_from(&self, data: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        for slice in self.slices()? {
            let Some(rest) = data.get(done..).filter(|r| !r.is_empty()) else { break };
            let len = rest.len().min(slice.len());
            slice.copy_from(rest);
            done += len;
        }
        Ok(done)
    }

    /// Copies `data` to `offset` bytes from the start; returns how many bytes fitted. EFAULT if
    /// the list is not valid.
    pub fn copy_from_at(&self, mut offset: usize, data: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        for slice in self.slices()? {
            let Some(rest) = data.get(done..).filter(|r| !r.is_empty()) else { break };
            if let Ok(slice) = slice.offset(offset.min(slice.len())) {
                done += rest.len().min(slice.len());
                slice.copy_from(rest);
            }
            offset = offset.saturating_sub(slice.len());
        }
        Ok(done)
    }

    /// Reads a structure from the start and drops its bytes from the list. The guest's later
    /// changes do not show in it. `UnexpectedEof` if there are fewer bytes.
    pub fn take<T: FromBytes + IntoBytes>(&mut self) -> io::Result<T> {
        let mut value = T::new_zeroed();
        if self.copy_to(value.as_mut_bytes())? < size_of::<T>() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.advance(size_of::<T>());
        Ok(value)
    }

    /// Writes a structure to the start and drops its bytes from the list. `WriteZero` if there is
    /// less room.
    pub fn put<T: IntoBytes + Immutable>(&mut self, value: &T) -> io::Result<()> {
        if self.len < size_of::<T>() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.copy_from(value.as_bytes())?;
        self.advance(size_of::<T>());
        Ok(())
    }

    /// Fills with zeroes.
    pub fn zero(&self) -> io::Result<()> {
        for slice in self.slices()? {
            // SAFETY: the slice is memory of its length, kept alive by `ram`.
            unsafe { std::ptr::write_bytes(slice.ptr_guard_mut().as_ptr(), 0, slice.len()) };
        }
        Ok(())
    }

    /// Fills with random bytes of the host's generator, at most `limit` of them; returns how many.
    pub fn fill_random(&self, limit: usize) -> io::Result<usize> {
        let mut done = 0;
        for slice in self.slices()? {
            let end = done + slice.len().min(limit - done);
            let start = slice.ptr_guard_mut();
            let mut at = 0;
            while done < end {
                // SAFETY: `at` plus the length is at most the slice's length, which `ram` keeps
                // mapped.
                let n =
                    unsafe { libc::getrandom(start.as_ptr().byte_add(at).cast(), end - done, 0) };
                match usize::try_from(n) {
                    Ok(n) => (at, done) = (at + n, done + n),
                    Err(_) => {
                        let error = io::Error::last_os_error();
                        if error.kind() != io::ErrorKind::Interrupted {
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(done)
    }

    /// Reads from `fd` at its position straight into guest memory (readv), one call, at most
    /// [`MAX_IOVECS`] ranges. Returns the bytes read, 0 at the end of the stream.
    pub fn read_from(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: the vectors are valid for writing and are kept alive by `ram`.
        self.vectored(|iov, n| unsafe { libc::readv(fd.as_raw_fd(), iov, n) })
    }

    /// Reads one frame from `fd` straight into guest memory (readv), one call. Returns its length,
    /// or `None` if it was longer than the list, whose contents are then its beginning. E2BIG if
    /// there are [`MAX_IOVECS`] ranges or more.
    pub fn read_frame(&mut self, fd: BorrowedFd<'_>) -> io::Result<Option<usize>> {
        if self.iovecs.len() >= MAX_IOVECS {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        // Descriptors that carry frames cut off silently what does not fit: a byte that lands
        // beyond the list shows it.
        let mut spill = [0u8; 1];
        self.iovecs.push(libc::iovec { iov_base: spill.as_mut_ptr().cast(), iov_len: 1 });
        let result = self.read_from(fd);
        self.iovecs.pop();
        result.map(|n| (n <= self.len).then_some(n))
    }

    /// Writes to `fd` at its position straight from guest memory (writev), one call.
    pub fn write_to(&self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: the vectors are valid for reading and are kept alive by `ram`.
        self.vectored(|iov, n| unsafe { libc::writev(fd.as_raw_fd(), iov, n) })
    }

    /// Reads from `fd` at `offset` straight into guest memory (preadv), one call.
    pub fn read_at(&self, fd: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        let offset = file_offset(offset)?;
        // SAFETY: the vectors are valid for writing and are kept alive by `ram`.
        self.vectored(|iov, n| unsafe { libc::preadv64(fd.as_raw_fd(), iov, n, offset) })
    }

    /// Writes to `fd` at `offset` straight from guest memory (pwritev), one call.
    pub fn write_at(&self, fd: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        let offset = file_offset(offset)?;
        // SAFETY: the vectors are valid for reading and are kept alive by `ram`.
        self.vectored(|iov, n| unsafe { libc::pwritev64(fd.as_raw_fd(), iov, n, offset) })
    }

    fn vectored(
        &self,
        call: impl Fn(*const libc::iovec, libc::c_int) -> libc::ssize_t,
    ) -> io::Result<usize> {
        let iovecs = self.iovecs().ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))?;
        let count = iovecs.len().min(MAX_IOVECS) as libc::c_int;
        loop {
            match usize::try_from(call(iovecs.as_ptr(), count)) {
                Ok(n) => return Ok(n),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn file_offset(offset: u64) -> io::Result<libc::off64_t> {
    offset.try_into().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Two regions with a hole between them.
    fn ram() -> Arc<GuestRam> {
        let ranges = [(GuestAddress(0), 0x1000), (GuestAddress(0x2000), 0x1000)];
        Arc::new(GuestRam::from_ranges(&ranges).unwrap())
    }

    fn buffers(ranges: &[(u64, usize)]) -> Buffers {
        let mut buffers = Buffers::new(ram());
        for (addr, len) in ranges {
            buffers.push(GuestAddress(*addr), *len);
        }
        buffers
    }

    #[test]
    fn split_inside_a_range_keeps_every_byte_in_order() {
        let mut head = buffers(&[(0x10, 4), (0x20, 4), (0x30, 4)]);
        head.copy_from(b"abcdefghijkl").unwrap();
        let tail = head.split_off(6);
        let mut data = [0; 12];
        assert_eq!((head.copy_to(&mut data).unwrap(), &data[..6]), (6, &b"abcdef"[..]));
        assert_eq!((tail.copy_to(&mut data).unwrap(), &data[..6]), (6, &b"ghijkl"[..]));
        assert_eq!((head.len(), tail.len()), (6, 6));
    }

    #[test]
    fn advance_drops_whole_ranges_and_the_start_of_the_next() {
        let mut list = buffers(&[(0x10, 4), (0x20, 4), (0x30, 4)]);
        list.copy_from(b"abcdefghijkl").unwrap();
        list.advance(6);
        let mut data = [0; 6];
        list.copy_to(&mut data).unwrap();
        assert_eq!((&data, list.len(), list.ranges()), (b"ghijkl", 6, 2));
        list.advance(7);
        assert!(list.is_empty());
    }

    #[test]
    fn advance_past_a_range_in_the_hole_leaves_a_valid_list() {
        let mut list = buffers(&[(0x1000, 512), (0x2000, 1)]);
        list.advance(500);
        assert!(!list.is_valid());
        list.advance(12);
        assert!(list.is_valid());
    }

    #[test]
    fn bytes_are_put_at_an_offset_across_ranges() {
        let list = buffers(&[(0x10, 4), (0x20, 4), (0x30, 4)]);
        assert_eq!(list.copy_from_at(3, b"abcdef").unwrap(), 6);
        assert_eq!(list.copy_from_at(11, b"xy").unwrap(), 1);
        let mut data = [0; 12];
        list.copy_to(&mut data).unwrap();
        assert_eq!(&data, b"\0\0\0abcdef\0\0x");
    }

    #[test]
    fn range_in_the_hole_fails_but_leaves_the_tail_usable() {
        let mut list = buffers(&[(0x1000, 512), (0x2000, 1)]);
        let status = list.split_tail(1).unwrap();
        assert!(!list.is_valid());
        assert_eq!(list.copy_from(&[0; 1]).unwrap_err().raw_os_error(), Some(libc::EFAULT));
        assert_eq!(status.copy_from(&[9]).unwrap(), 1);
    }

    #[test]
    fn range_across_the_hole_or_wrapping_is_not_valid() {
        assert!(!buffers(&[(0xfff, 2)]).is_valid());
        assert!(!buffers(&[(u64::MAX, 2)]).is_valid());
    }

    #[test]
    fn structure_is_taken_from_several_ranges() {
        let mut list = buffers(&[(0, 3), (0x2000, 5)]);
        list.copy_from(&0x0807_0605_0403_0201u64.to_le_bytes()).unwrap();
        assert_eq!(list.take::<u64>().unwrap(), 0x0807_0605_0403_0201);
        assert!(list.is_empty());
        assert_eq!(list.take::<u8>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn file_contents_go_through_guest_memory_unchanged() {
        let file = tempfile::tempfile().unwrap();
        let out = buffers(&[(0, 3), (0x2000, 5)]);
        out.copy_from(b"12345678").unwrap();
        assert_eq!(out.write_at(file.as_fd(), 4).unwrap(), 8);
        let back = buffers(&[(0x100, 5), (0x200, 3)]);
        assert_eq!(back.read_at(file.as_fd(), 4).unwrap(), 8);
        let mut data = [0; 8];
        back.copy_to(&mut data).unwrap();
        assert_eq!(&data, b"12345678");
    }

    #[test]
    fn offset_beyond_the_file_systems_range_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let error = buffers(&[(0, 1)]).write_at(file.as_fd(), u64::MAX).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
