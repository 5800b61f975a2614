//! A guest's kernel that asks what it is told to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zerocopy::{FromBytes, IntoBytes};

use crate::fs::{Cache, Opcode, Share, ShareOptions};
use crate::virtio::event_loop::FakeLoop;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};
use crate::virtio::fs::FsHandler;

/// The request queue.
const REQUESTS: u16 = 1;
/// Where requests and answers are in guest memory.
const ASKED: u64 = DATA;
const ANSWERED: u64 = DATA + (8 << 20);
/// Room for an answer without data.
const ROOM: u32 = 8192;

pub(super) const ROOT: u64 = 1;

/// An answer's results, or its error number.
pub(super) type Answer = Result<Vec<u8>, i32>;

/// A guest with a share of a folder made for it.
pub(super) struct Guest {
    pub(super) handler: FsHandler,
    pub(super) cx: FakeLoop,
    pub(super) driver: FakeDriver,
    pub(super) folder: TempDir,
    pub(super) user: (u32, u32),
    unique: u64,
}

impl Guest {
    /// A guest that has begun its session.
    pub(super) fn new() -> Self {
        Self::with(ShareOptions::default())
    }

    pub(super) fn read_only() -> Self {
        Self::with(ShareOptions { read_only: true, cache: Cache::Auto })
    }

    pub(super) fn with(options: ShareOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let share = folder.path().join("share");
        std::fs::create_dir(&share).unwrap();
        Self::over(folder, &share, options)
    }

    /// A guest with a share of `path`, which lies in `folder`.
    pub(super) fn over(folder: TempDir, path: &Path, options: ShareOptions) -> Self {
        Self::limited(folder, path, options, 1000)
    }

    pub(super) fn limited(
        folder: TempDir,
        path: &Path,
        options: ShareOptions,
        nodes: usize,
    ) -> Self {
        let share = Share::open(path, options).unwrap();
        let mut guest = Self {
            handler: FsHandler::new(share, 2, nodes),
            cx: FakeLoop::new().unwrap(),
            driver: FakeDriver::new(256).sibling(REQUESTS, 256),
            folder,
            user: (0, 0),
            unique: 0,
        };
        guest.cx.start_queue(&mut guest.handler, guest.driver.queue()).unwrap();
        guest.begin().unwrap();
        guest
    }

    /// INIT with all flags.
    pub(super) fn begin(&mut self) -> Answer {
        let body = [7, 38, 1 << 17, u32::MAX].as_bytes().to_vec();
        self.ask(Opcode::Init, 0, &body)
    }

    /// The shared folder at the host.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("share").join(name)
    }

    pub(super) fn ask(&mut self, opcode: Opcode, node: u64, body: &[u8]) -> Answer {
        self.ask_with_room(opcode, node, body, ROOM)
    }

    pub(super) fn ask_with_room(
        &mut self,
        opcode: Opcode,
        node: u64,
        body: &[u8],
        room: u32,
    ) -> Answer {
        let request = self.request(opcode as u32, node, body);
        let used = self.exchange(&request, room);
        let header = self.driver.read(ANSWERED, 16);
        let field = |at| i32::read_from_prefix(&header[at..]).unwrap().0;
        let (len, error) = (field(0), field(4));
        assert_eq!(len.cast_unsigned(), used, "the header tells the length");
        assert_eq!(u64::read_from_prefix(&header[8..]).unwrap().0, self.unique);
        match error {
            0 => Ok(self.driver.read(ANSWERED + 16, used as usize - 16)),
            error => Err(-error),
        }
    }

    /// The bytes of a request.
    pub(super) fn request(&mut self, opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        self.unique += 1;
        let len = 40 + body.len() as u32;
        let mut bytes = [len, opcode].as_bytes().to_vec();
        bytes.extend_from_slice([self.unique, node].as_bytes());
        bytes.extend_from_slice([self.user.0, self.user.1, 1, 0].as_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends bytes and gives how many came back.
    pub(super) fn exchange(&mut self, request: &[u8], room: u32) -> u32 {
        self.driver.write(ASKED, request);
        self.driver.write(ANSWERED, &[0xee; 64]);
        let asked = Part::Read(ASKED, request.len() as u32);
        let parts = [asked, Part::Write(ANSWERED, room)];
        let head = self.driver.add(if room == 0 { &parts[..1] } else { &parts });
        self.driver.kick.write(1).unwrap();
        self.cx.turn(&mut self.handler, 0).unwrap();
        let used = self.driver.used();
        let [(used_head, len)] = used[..] else { panic!("one chain is used, not {used:?}") };
        assert_eq!(used_head, head);
        len
    }

    pub(super) fn lookup(&mut self, folder: u64, name: impl AsRef<OsStr>) -> Result<Entry, i32> {
        let body = text(name);
        self.ask(Opcode::Lookup, folder, &body).map(|bytes| Entry::new(&bytes))
    }

    /// Looks a name up that is there, in the root.
    pub(super) fn node(&mut self, name: &str) -> u64 {
        self.lookup(ROOT, name).unwrap().node
    }

    pub(super) fn open(&mut self, node: u64, flags: i32) -> Result<u64, i32> {
        let body = [flags.cast_unsigned(), 0];
        self.ask(Opcode::Open, node, body.as_bytes()).map(|bytes| number(&bytes, 0))
    }

    pub(super) fn create(&mut self, name: &str, mode: u32) -> Result<(Entry, u64), i32> {
        let flags = (libc::O_CREAT | libc::O_EXCL | libc::O_RDWR).cast_unsigned();
        let mut body = [flags, mode, 0, 0].as_bytes().to_vec();
        body.extend_from_slice(&text(name));
        let bytes = self.ask(Opcode::Create, ROOT, &body)?;
        Ok((Entry::new(&bytes), number(&bytes, 128)))
    }

    pub(super) fn read(&mut self, fh: u64, offset: u64, size: u32) -> Answer {
        let mut body = [fh, offset].as_bytes().to_vec();
        body.extend_from_slice([size, 0, 0, 0, 0, 0].as_bytes());
        self.ask_with_room(Opcode::Read, ROOT, &body, 16 + size)
    }

    pub(super) fn write(
        &mut self,
        fh: u64,
        offset: u64,
        data: &[u8],
        (write_flags, flags): (u32, i32),
    ) -> Result<u32, i32> {
        let mut body = [fh, offset].as_bytes().to_vec();
        let size = data.len() as u32;
        body.extend_from_slice([size, write_flags, 0, 0, flags.cast_unsigned(), 0].as_bytes());
        body.extend_from_slice(data);
        self.ask(Opcode::Write, ROOT, &body).map(|bytes| number(&bytes, 0) as u32)
    }

    /// SETATTR with fields by their offsets: mode 68, uid 76, gid 80, size 16.
    pub(super) fn setattr(&mut self, node: u64, valid: u32, fields: &[(usize, u32)]) -> Answer {
        let mut body = [0; 88];
        body[..4].copy_from_slice(&valid.to_le_bytes());
        for (at, value) in fields {
            body[*at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        self.ask(Opcode::Setattr, node, &body)
    }

    /// Mode, user and group as the guest sees them.
    pub(super) fn owner(&mut self, node: u64) -> (u32, u32, u32) {
        let bytes = self.ask(Opcode::Getattr, node, &[0; 16]).unwrap();
        let field = |at| number(&bytes, at) as u32;
        (field(16 + 60), field(16 + 68), field(16 + 72))
    }

    /// The names in an open folder, read in answers of `size` bytes.
    pub(super) fn names(&mut self, node: u64, size: u32, plus: bool) -> Vec<String> {
        let fh = number(&self.ask(Opcode::Opendir, node, &[0; 8]).unwrap(), 0);
        let (mut names, mut offset) = (Vec::new(), 0);
        let opcode = if plus { Opcode::Readdirplus } else { Opcode::Readdir };
        loop {
            let mut body = [fh, offset].as_bytes().to_vec();
            body.extend_from_slice([size, 0, 0, 0, 0, 0].as_bytes());
            let bytes = self.ask_with_room(opcode, node, &body, 16 + size).unwrap();
            if bytes.is_empty() {
                break;
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[if plus { 128 } else { 0 }..];
                offset = number(rest, 8);
                let len = number(rest, 16) as u32 as usize;
                names.push(String::from_utf8(rest[24..24 + len].to_vec()).unwrap());
                rest = &rest[(24 + len).next_multiple_of(8)..];
            }
        }
        self.ask(Opcode::Releasedir, node, [fh, 0, 0].as_bytes()).unwrap();
        names.sort();
        names
    }
}

/// What a lookup gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) node: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) links: u32,
}

impl Entry {
    fn new(bytes: &[u8]) -> Self {
        Self {
            node: number(bytes, 0),
            ino: number(bytes, 40),
            size: number(bytes, 48),
            mode: number(bytes, 100) as u32,
            links: number(bytes, 104) as u32,
        }
    }
}

/// Eight bytes as a number.
pub(super) fn number(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    let part = &bytes[at..bytes.len().min(at + 8)];
    value[..part.len()].copy_from_slice(part);
    u64::from_le_bytes(value)
}

/// A text of a request.
pub(super) fn text(name: impl AsRef<OsStr>) -> Vec<u8> {
    [name.as_ref().as_bytes(), b"\0"].concat()
}
