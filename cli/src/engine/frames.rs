//! Output of a container without a terminal: frames of standard output and error in one stream.
//!
//! A frame is a byte for the stream (1 output, 2 error), three zero bytes, a big-endian length and
//! so many bytes. With a terminal the stream is the terminal's bytes and nothing else.

use std::io::{self, Write};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read and written at once.
const CHUNK: usize = 64 << 10;

/// Writes frames to the streams they are for, until the end.
pub(crate) async fn demultiplex(
    mut from: impl AsyncRead + Unpin,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut header = [0; 8];
        match from.read_exact(&mut header[..1]).await {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
        from.read_exact(&mut header[1..]).await?;
        let [stream, _, _, _, length @ ..] = header;
        let mut left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        while left > 0 {
            let room = left.min(CHUNK);
            let Some(part) = buffer.get_mut(..room) else { break };
            let got = from.read(part).await?;
            let part = part.get(..got).filter(|part| !part.is_empty());
            let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
            match stream {
                0 | 1 => write(out, part)?,
                2 => write(err, part)?,
                other => {
                    let text = format!("the engine sent output for a stream {other}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
            left -= got;
        }
    }
}

/// Copies a terminal's bytes until the end.
pub(crate) async fn copy(mut from: impl AsyncRead + Unpin, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let got = from.read(&mut buffer).await?;
        match buffer.get(..got) {
            None | Some([]) => return Ok(()),
            Some(part) => write(out, part)?,
        }
    }
}

fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn split(bytes: &[u8]) -> (io::Result<()>, Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = demultiplex(bytes, &mut out, &mut err).await;
        (result, out, err)
    }

    #[tokio::test]
    async fn frames_reach_their_streams_in_order() {
        let bytes = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01!\x01\0\0\0\0\0\0\x01c";
        let (result, out, err) = split(bytes).await;
        result.unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"abc"[..], &b"!"[..]));
    }

    #[tokio::test]
    async fn cut_frame_is_an_error_and_what_came_is_written() {
        let (result, out, _) = split(b"\x01\0\0\0\0\0\0\x09abc").await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(out, b"abc");
    }

    #[tokio::test]
    async fn unknown_stream_is_an_error() {
        let (result, _, _) = split(b"\x07\0\0\0\0\0\0\x01x").await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
