//! Frames on a control connection, in pieces of any size, read as either side reads them.
#![no_main]

use std::io::{self, Read};

use agent_protocol::frame::{self, Decoder, Next};
use agent_protocol::message::{FromAgent, ToAgent};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    from_agent: bool,
    piece: u8,
    bytes: Vec<u8>,
}

/// A stream that gives few bytes at a time, and nothing every other time.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
    pending: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pending = !self.pending;
        if self.pending {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buffer.len().min(self.piece);
        self.bytes.read(buffer.get_mut(..len).unwrap_or_default())
    }
}

/// Reads all messages; each must come out again as it was.
fn read<M: PartialEq + std::fmt::Debug + Default>(input: &Input)
where
    M: prost::Message,
{
    let piece = usize::from(input.piece).max(1);
    let mut stream = Pieces { bytes: &input.bytes, piece, pending: false };
    let mut decoder = Decoder::default();
    while let Ok(next) = decoder.read::<M>(&mut stream) {
        match next {
            Next::Message(message) => {
                let mut bytes = Vec::new();
                frame::encode(&message, &mut bytes).expect("what was a frame fits one");
                let again = Decoder::default().read::<M>(&mut bytes.as_slice());
                assert_eq!(again.expect("our own frame"), Next::Message(message));
            }
            Next::Pending => {}
            Next::End => return,
        }
    }
}

fuzz_target!(|input: Input| {
    if input.from_agent { read::<FromAgent>(&input) } else { read::<ToAgent>(&input) }
});
