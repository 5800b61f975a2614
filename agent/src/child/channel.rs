//! What a child and the agent say to each other: one packet a message.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use agent_protocol::{frame, frame::Decoder, frame::Next, message::FromAgent, message::Reply};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};

/// The longest message. The kernel's default buffers hold more.
const LONGEST: usize = 128 << 10;

thread_local! {
    /// What a message is received into, made once: it is as large as the allocator gets from the
    /// kernel each time.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

/// The most descriptors in one message.
const DESCRIPTORS: usize = 4;

/// One end of a pair of sockets between the agent and a child.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
}

/// What came over a channel.
pub(crate) enum Received {
    /// A message with descriptors.
    Message(Box<Reply>, Vec<OwnedFd>),
    /// Nothing for now.
    Blocked,
    /// The child has ended or become a program.
    Ended,
}

impl Channel {
    /// Both block; the agent asks not to with each receive.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Sends a message, from either side.
    pub(crate) fn send(&self, reply: Reply, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let message = FromAgent { id: 0, reply: Some(reply) };
        frame::encode(&message, &mut bytes).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::TOOBIG.into());
        }
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// What has arrived, without waiting.
    pub(crate) fn try_receive(&self) -> Received {
        self.receive(RecvFlags::DONTWAIT)
    }

    /// Waits for a message or the end.
    pub(crate) fn wait(&self) -> Received {
        self.receive(RecvFlags::empty())
    }

    fn receive(&self, flags: RecvFlags) -> Received {
        BUFFER.with_borrow_mut(|buffer| self.receive_into(buffer, flags))
    }

    fn receive_into(&self, bytes: &mut [u8], flags: RecvFlags) -> Received {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let length = loop {
            let mut pieces = [IoSliceMut::new(bytes)];
            match recvmsg(&self.socket, &mut pieces, &mut control, flags) {
                Ok(received) => break received.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Received::Blocked,
                Err(_) => return Received::Ended,
            }
        };
        let descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let mut packet = bytes.get(..length).unwrap_or_default();
        match Decoder::default().read::<FromAgent>(&mut packet) {
            Ok(Next::Message(FromAgent { reply: Some(reply), .. })) => {
                Received::Message(Box::new(reply), descriptors)
            }
            // The end, or a child that talks nonsense: neither has more to say.
            _ => Received::Ended,
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
