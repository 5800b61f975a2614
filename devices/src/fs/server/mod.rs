//! The server: takes a request out of guest memory, does what it asks, and answers into guest
//! memory.

mod attributes;
mod dispatch;
mod extended;
mod files;
mod folders;
mod make;
mod names;
mod places;
mod session;
mod whole;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, ResolveFlags, Statx, openat, openat2};
use rustix::io::Errno;
use rustix::path::DecInt;

use self::session::Session;
use super::answer::Answer;
use super::arguments::Arguments;
use super::attributes::{attr, stat};
use super::handle::Handles;
use super::metrics::FsMetrics;
use super::node::{Node, Nodes};
use super::protocol::{Attr, EntryOut, InHeader, Opcode, OutHeader, ROOT};
use super::share::{Cache, Root, Share};
use crate::virtio::Buffers;

/// Most bytes of one read or write. The guest is told of it; more is not served.
const MAX_TRANSFER: u32 = 1 << 20;

/// Descriptors of what is looked up for each handle: where those are three quarters of all, handles
/// are an eighth.
const NODES_PER_HANDLE: usize = 6;
/// Handles that there may be in any case.
const FEW_HANDLES: usize = 16;

/// Serves the files of a [`Share`].
///
/// It is not shared between threads: the first request makes the thread that serves it its own
/// (working directory and umask), and all must come from there.
pub struct Server {
    share: Share,
    nodes: Nodes,
    handles: Handles,
    session: Option<Session>,
    metrics: Arc<FsMetrics>,
    /// Where entries of folders are read to.
    scratch: Vec<std::mem::MaybeUninit<u8>>,
    node_limit: usize,
}

/// A request without its header.
struct Call {
    node: u64,
    user: (u32, u32),
    arguments: Arguments,
    /// Where results go, after the answer's header.
    room: Buffers,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It was answered with so many bytes, or needs no answer.
    Answered(u32),
    /// It could not even be answered.
    Malformed,
}

impl Server {
    /// A server that has descriptors of at most `node_limit` files and folders at a time, besides
    /// those that the guest has open, which are at most a sixth as many.
    pub fn new(share: Share, node_limit: usize) -> Self {
        Self {
            share,
            nodes: Nodes::new(node_limit),
            handles: handles(node_limit),
            session: None,
            metrics: Arc::default(),
            scratch: Vec::new(),
            node_limit,
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<FsMetrics> {
        &self.metrics
    }

    /// Forgets all that a guest has looked up and opened.
    pub fn reset(&mut self) {
        self.session = None;
        self.nodes = Nodes::new(self.node_limit);
        self.handles = handles(self.node_limit);
    }

    /// Serves one request.
    pub fn serve(&mut self, mut readable: Buffers, mut writable: Buffers) -> Served {
        let started = Instant::now();
        let total = readable.len();
        let Ok(header) = readable.take::<InHeader>() else {
            self.metrics.malformed.increment();
            return Served::Malformed;
        };
        let room = writable.split_off(size_of::<OutHeader>());
        let opcode = Opcode::from_number(header.opcode);
        // What cannot be answered is not done, but for what has no answer.
        let needs_answer =
            !matches!(opcode, Some(Opcode::Forget | Opcode::BatchForget | Opcode::Interrupt));
        if needs_answer && writable.len() < size_of::<OutHeader>() {
            self.metrics.malformed.increment();
            return Served::Malformed;
        }
        let result = match usize::try_from(header.len) {
            Ok(len) if (size_of::<InHeader>()..=total).contains(&len) => {
                readable.split_off(len - size_of::<InHeader>());
                let call = Call {
                    node: header.node,
                    user: (header.uid, header.gid),
                    arguments: Arguments::new(readable),
                    room: room.clone(),
                };
                opcode.ok_or(Errno::NOSYS).and_then(|opcode| self.dispatch(opcode, call))
            }
            _ => Err(Errno::INVAL),
        };
        if let Some(opcode) = opcode {
            self.metrics.count(opcode, started.elapsed(), result.is_err());
        }
        answer(header.unique, result, &writable, &room)
    }

    /// A descriptor of what is called `name` in a folder, which only names it. Symbolic links are
    /// not followed, and nothing leads out.
    fn find(&self, folder: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(folder, name, flags, Mode::empty(), beneath())
    }

    /// Opens what a descriptor only names, which must be a file or folder: others do things when
    /// they are opened.
    fn reopen(&self, fd: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat(&self.share.descriptors, DecInt::from_fd(fd), flags, Mode::empty())
    }

    /// Counts a lookup of what `fd` names and was found at `place`, and describes it.
    fn enter(&mut self, fd: OwnedFd, place: Option<(u64, &CStr)>) -> Result<EntryOut, Errno> {
        let stat = stat(&fd)?;
        let attr = self.attr(&fd, &stat)?;
        let node = self.nodes.enter(fd, &stat, place)?;
        Ok(self.entry(node, attr))
    }

    fn entry(&self, node: u64, attr: Attr) -> EntryOut {
        let (seconds, nanoseconds) = self.valid();
        EntryOut {
            node,
            generation: 0,
            entry_valid: seconds,
            attr_valid: seconds,
            entry_valid_nsec: nanoseconds,
            attr_valid_nsec: nanoseconds,
            attr,
        }
    }

    fn attr(&self, fd: impl AsFd, stat: &Statx) -> Result<Attr, Errno> {
        let shown = self.session()?.owners.shown(fd, stat);
        Ok(attr(stat, shown, self.nodes.root_device()))
    }

    fn session(&self) -> Result<&Session, Errno> {
        self.session.as_ref().ok_or(Errno::IO)
    }

    /// How long the guest may go without asking: seconds and nanoseconds.
    fn valid(&self) -> (u64, u32) {
        match self.share.options.cache {
            Cache::None => (0, 0),
            Cache::Auto => (0, 100_000_000),
            Cache::Always => (24 * 3600, 0),
        }
    }

    /// The name and descriptor of the single file that is shared, if `node` is the folder around
    /// it.
    fn single_file(&self, node: u64) -> Option<(&CStr, BorrowedFd<'_>)> {
        match &self.share.root {
            Root::File { name, file } if node == ROOT => Some((name, file.as_fd())),
            _ => None,
        }
    }
}

fn handles(node_limit: usize) -> Handles {
    Handles::new((node_limit / NODES_PER_HANDLE).max(FEW_HANDLES))
}

/// Whether the node may be opened, and read and written.
fn regular(node: Node<'_>) -> Result<Node<'_>, Errno> {
    match node.kind() {
        rustix::fs::FileType::RegularFile => Ok(node),
        rustix::fs::FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::ACCESS),
    }
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// Writes the answer. `room` is where results go.
fn answer(unique: u64, result: Result<Answer, Errno>, head: &Buffers, room: &Buffers) -> Served {
    let result = result.and_then(|answer| match answer {
        Answer::Silence => Ok(None),
        Answer::Empty => Ok(Some(0)),
        Answer::Filled(len) => Ok(Some(len)),
        Answer::Bytes(bytes) if bytes.len() > room.len() => Err(Errno::INVAL),
        Answer::Bytes(bytes) => room.copy_from(&bytes).map(Some).map_err(|_| Errno::FAULT),
    });
    let (error, len) = match result {
        Ok(None) => return Served::Answered(0),
        Ok(Some(len)) => (0, len),
        Err(error) => (-error.raw_os_error(), 0),
    };
    let Ok(len) = u32::try_from(size_of::<OutHeader>() + len) else { return Served::Malformed };
    let mut head = head.clone();
    match head.put(&OutHeader { len, error, unique }) {
        Ok(()) => Served::Answered(len),
        Err(_) => Served::Malformed,
    }
}
