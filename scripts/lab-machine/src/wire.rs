//! Frames between `lab-host` and `lab-guest`: a kind, a length, a payload.
//!
//! One connection is one request. The client says [`Kind::Hello`] with the
//! lab's token, then [`Kind::Exec`]; the server answers with output and ends
//! with [`Kind::Exit`] or [`Kind::Refused`].

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Changes whenever either side would misread the other.
pub const VERSION: u8 = 1;

/// Largest payload either side sends or accepts, in bytes.
pub const MAX_PAYLOAD: usize = 4 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: version byte, then the token.
    Hello = 1,
    /// Client: an [`ExecRequest`].
    Exec = 2,
    /// Client: bytes for the command's standard input.
    Stdin = 3,
    /// Client: standard input has ended.
    StdinEnd = 4,
    /// Server: bytes of standard output.
    Stdout = 16,
    /// Server: bytes of standard error.
    Stderr = 17,
    /// Server: the exit status as a little-endian `i32` (128 + signal when killed).
    Exit = 18,
    /// Server: still here. Sent every [`HEARTBEAT_SECONDS`].
    Alive = 19,
    /// Server: the request cannot be carried out; UTF-8 text says why.
    Refused = 20,
}

/// Seconds between two [`Kind::Alive`] frames.
pub const HEARTBEAT_SECONDS: u64 = 5;

impl TryFrom<u8> for Kind {
    type Error = io::Error;

    fn try_from(byte: u8) -> io::Result<Self> {
        Ok(match byte {
            1 => Self::Hello,
            2 => Self::Exec,
            3 => Self::Stdin,
            4 => Self::StdinEnd,
            16 => Self::Stdout,
            17 => Self::Stderr,
            18 => Self::Exit,
            19 => Self::Alive,
            20 => Self::Refused,
            other => return Err(invalid(format!("unknown frame kind {other}"))),
        })
    }
}

/// Writes one frame in one write.
pub fn send(stream: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD)
        .ok_or_else(|| invalid(format!("a frame of {} bytes is too long", payload.len())))?;
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame)
}

/// Reads one frame; `None` when the other side closed between two frames.
pub fn receive(stream: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut kind = [0];
    if stream.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_PAYLOAD {
        return Err(invalid(format!("a frame of {length} bytes is too long")));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(Some((Kind::try_from(kind[0])?, payload)))
}

/// A command to run, and in what surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Nanoseconds since 1970, for the lab's clock (a restored one is behind).
    pub now: u64,
    /// Seconds without a session after which the lab powers itself off.
    pub idle_seconds: u64,
    /// Working directory.
    pub directory: OsString,
    /// The whole environment, as `NAME=value`.
    pub environment: Vec<OsString>,
    /// The program and its arguments.
    pub arguments: Vec<OsString>,
}

impl ExecRequest {
    /// The payload of a [`Kind::Exec`] frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.now.to_le_bytes());
        bytes.extend_from_slice(&self.idle_seconds.to_le_bytes());
        put(&mut bytes, self.directory.as_bytes());
        put_list(&mut bytes, &self.environment);
        put_list(&mut bytes, &self.arguments);
        bytes
    }

    /// Reads the payload of a [`Kind::Exec`] frame.
    pub fn decode(mut bytes: &[u8]) -> io::Result<Self> {
        let bytes = &mut bytes;
        Ok(Self {
            now: u64::from_le_bytes(take(bytes)?),
            idle_seconds: u64::from_le_bytes(take(bytes)?),
            directory: take_string(bytes)?,
            environment: take_list(bytes)?,
            arguments: take_list(bytes)?,
        })
    }
}

fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(string);
}

fn put_list(bytes: &mut Vec<u8>, strings: &[OsString]) {
    let count = u32::try_from(strings.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
    for string in strings {
        put(bytes, string.as_bytes());
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let (head, rest) =
        bytes.split_first_chunk::<N>().ok_or_else(|| invalid("a request ends early"))?;
    *bytes = rest;
    Ok(*head)
}

fn take_string(bytes: &mut &[u8]) -> io::Result<OsString> {
    let length = usize::try_from(u32::from_le_bytes(take(bytes)?)).unwrap_or(usize::MAX);
    let (head, rest) =
        bytes.split_at_checked(length).ok_or_else(|| invalid("a request ends early"))?;
    *bytes = rest;
    Ok(OsString::from_vec(head.to_vec()))
}

fn take_list(bytes: &mut &[u8]) -> io::Result<Vec<OsString>> {
    let count = u32::from_le_bytes(take(bytes)?);
    (0..count).map(|_| take_string(bytes)).collect()
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_request_survives_a_round_trip_with_bytes_that_are_not_utf8() {
        let request = ExecRequest {
            now: 7,
            idle_seconds: 30,
            directory: "/tmp".into(),
            environment: vec!["A=b".into(), OsString::from_vec(vec![b'X', b'=', 0xff])],
            arguments: vec!["true".into(), "".into()],
        };
        assert_eq!(ExecRequest::decode(&request.encode()).unwrap(), request);
    }

    #[test]
    fn truncated_exec_request_is_refused() {
        let bytes =
            ExecRequest { arguments: vec!["true".into()], ..ExecRequest::default() }.encode();
        let error = ExecRequest::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(error.to_string(), "a request ends early");
    }

    #[test]
    fn frame_longer_than_the_limit_is_refused_before_it_is_read() {
        let mut bytes: &[u8] = &[16, 0xff, 0xff, 0xff, 0xff];
        let error = receive(&mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "a frame of 4294967295 bytes is too long");
    }

    #[test]
    fn closed_stream_between_frames_is_not_an_error() {
        let mut bytes = Vec::new();
        send(&mut bytes, Kind::Stdout, b"hi").unwrap();
        let mut reader = bytes.as_slice();
        assert_eq!(receive(&mut reader).unwrap(), Some((Kind::Stdout, b"hi".to_vec())));
        assert_eq!(receive(&mut reader).unwrap(), None);
    }
}
