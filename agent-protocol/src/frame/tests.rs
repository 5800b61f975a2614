use proptest::prelude::*;

use super::*;
use crate::message::{Exec, Request, Signal, ToAgent};

/// Gives out its bytes in pieces of `step`, with "would block" between them.
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    blocked: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blocked = !self.blocked;
        if self.blocked {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = self.step.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = later;
        Ok(length)
    }
}

fn exec_of(argv: &[&[u8]]) -> ToAgent {
    let argv = argv.iter().map(|argument| argument.to_vec()).collect();
    ToAgent { id: 7, request: Some(Request::Exec(Exec { argv, ..Exec::default() })) }
}

fn framed(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

#[test]
fn two_messages_in_one_piece_are_read_one_by_one() {
    let (first, second) = (exec_of(&[b"a"]), exec_of(&[b"b", b"\xff"]));
    let bytes = [framed(&first), framed(&second)].concat();
    let mut stream = bytes.as_slice();
    let mut decoder = Decoder::default();
    assert_eq!(decoder.read(&mut stream).unwrap(), Next::Message(first));
    assert_eq!(decoder.read(&mut stream).unwrap(), Next::Message(second));
    assert_eq!(decoder.read::<ToAgent>(&mut stream).unwrap(), Next::End);
}

#[test]
fn bytes_after_a_message_stay_in_the_stream() {
    let message = exec_of(&[b"cat"]);
    let bytes = [framed(&message), b"raw".to_vec()].concat();
    let mut stream = bytes.as_slice();
    assert_eq!(Decoder::default().read(&mut stream).unwrap(), Next::Message(message));
    assert_eq!(stream, b"raw");
}

#[test]
fn an_empty_message_is_a_message() {
    let bytes = framed(&ToAgent::default());
    assert_eq!(bytes, [0; 4]);
    let next = Decoder::default().read(&mut bytes.as_slice()).unwrap();
    assert_eq!(next, Next::Message(ToAgent::default()));
}

#[test]
fn a_frame_of_4_gib_is_refused_before_any_of_it_is_read() {
    let mut stream: &[u8] = &[0xff; 4096];
    let error = Decoder::default().read::<ToAgent>(&mut stream).unwrap_err();
    assert!(matches!(
        error,
        ReadFrameError::TooLong(FrameTooLong { length }) if length == 0xffff_ffff
    ));
    assert_eq!(stream.len(), 4092);
}

#[test]
fn a_claimed_length_takes_no_memory_until_bytes_arrive() {
    let bytes = u32::try_from(MAX_FRAME).unwrap().to_le_bytes();
    let mut decoder = Decoder::default();
    let mut stream = Trickle { bytes: &bytes, step: 4, blocked: false };
    assert_eq!(decoder.read::<ToAgent>(&mut stream).unwrap(), Next::Pending);
    assert_eq!(decoder.read::<ToAgent>(&mut stream).unwrap(), Next::Pending);
    assert!(decoder.buffer.capacity() <= 2 * CHUNK);
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let message = exec_of(&[&vec![b'x'; MAX_FRAME]]);
    let mut out = vec![1];
    assert!(encode(&message, &mut out).is_err());
    assert_eq!(out, [1]);
}

#[test]
fn the_end_of_the_stream_inside_a_frame_is_an_error() {
    let bytes = framed(&exec_of(&[b"true"]));
    let error = Decoder::default().read::<ToAgent>(&mut &bytes[..bytes.len() - 1]).unwrap_err();
    assert!(matches!(error, ReadFrameError::Truncated));
    let error = Decoder::default().read::<ToAgent>(&mut &bytes[..2]).unwrap_err();
    assert!(matches!(error, ReadFrameError::Truncated));
}

#[test]
fn a_body_that_is_no_message_is_refused() {
    let bytes = [4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let error = Decoder::default().read::<ToAgent>(&mut bytes.as_slice()).unwrap_err();
    assert!(matches!(error, ReadFrameError::Malformed(_)));
}

#[test]
fn a_request_from_a_newer_host_is_read_as_unknown() {
    // Field 1 (id) = 5, then field 100, length-delimited, one byte.
    let body = [0x08, 5, 0xa2, 0x06, 1, b'?'];
    let bytes = [&[6, 0, 0, 0], body.as_slice()].concat();
    let next = Decoder::default().read(&mut bytes.as_slice()).unwrap();
    assert_eq!(next, Next::Message(ToAgent { id: 5, request: None }));
}

proptest! {
    #[test]
    fn messages_survive_any_fragmentation(
        ids in prop::collection::vec(any::<(u64, u64, u32)>(), 0..8),
        step in 1_usize..9,
    ) {
        let messages: Vec<_> = ids
            .into_iter()
            .map(|(id, session, signal)| ToAgent {
                id,
                request: Some(Request::Signal(Signal { session, signal, group: true })),
            })
            .collect();
        let bytes: Vec<u8> = messages.iter().flat_map(framed).collect();
        let mut stream = Trickle { bytes: &bytes, step, blocked: false };
        let mut decoder = Decoder::default();
        let mut read: Vec<ToAgent> = Vec::new();
        loop {
            match decoder.read(&mut stream).unwrap() {
                Next::Message(message) => read.push(message),
                Next::Pending => {}
                Next::End => break,
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut stream = bytes.as_slice();
        let mut decoder = Decoder::default();
        while let Ok(Next::Message(_)) = decoder.read::<ToAgent>(&mut stream) {}
    }
}
