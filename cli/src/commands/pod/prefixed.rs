//! Lines of several writers, each with its writer's name.

use std::io::{self, Write};

/// Passes whole lines on, with a prefix; what is left of one comes when it is dropped.
#[derive(Debug)]
pub(super) struct Prefixed<W: Write> {
    prefix: String,
    line: Vec<u8>,
    to: W,
}

impl<W: Write> Prefixed<W> {
    pub(super) fn new(prefix: String, to: W) -> Self {
        Self { prefix, line: Vec::new(), to }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let line = [self.prefix.as_bytes(), &self.line, b"\n"].concat();
        self.line.clear();
        self.to.write_all(&line)
    }
}

impl<W: Write> Write for Prefixed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte == b'\n' {
                self.pass_on()?;
            } else {
                self.line.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Drop for Prefixed<W> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            // There is nobody to tell any more.
            let _ = self.pass_on().and_then(|()| self.to.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_two_do_not_run_into_each_other() {
        let mut all = Vec::new();
        for (name, text) in [("a | ", &b"on"[..]), ("b | ", b"two\nthr")] {
            let mut writer = Prefixed::new(name.to_owned(), &mut all);
            writer.write_all(text).unwrap();
            writer.flush().unwrap();
        }
        assert_eq!(String::from_utf8(all).unwrap(), "a | on\nb | two\nb | thr\n");
    }
}
