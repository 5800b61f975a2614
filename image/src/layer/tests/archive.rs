//! Archives put together header by header, as no program would make them.

use std::fs::File;

use super::super::{ImportError, Imported, Limits, import};

/// An archive under construction.
#[derive(Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a header of type `kind` for `path`, whose fields `adjust` changes, and `content`.
    pub(super) fn with(
        mut self,
        kind: u8,
        path: &str,
        content: &[u8],
        adjust: impl FnOnce(&mut [u8]),
    ) -> Self {
        let mut header = [0; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0001750\0");
        header[116..124].copy_from_slice(b"0001751\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"14000000000\0");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        adjust(&mut header);
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, path: &str, content: &[u8]) -> Self {
        self.with(b'0', path, content, |_| ())
    }

    pub(super) fn folder(self, path: &str) -> Self {
        self.with(b'5', path, b"", |header| header[100..108].copy_from_slice(b"0000755\0"))
    }

    /// A hard link (`1`) or a symbolic one (`2`).
    pub(super) fn link(self, kind: u8, path: &str, target: &str) -> Self {
        self.with(kind, path, b"", |header| {
            header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(super) fn device(self, kind: u8, path: &str, major: u32, minor: u32) -> Self {
        self.with(kind, path, b"", |header| {
            header[329..337].copy_from_slice(format!("{major:07o}\0").as_bytes());
            header[337..345].copy_from_slice(format!("{minor:07o}\0").as_bytes());
        })
    }

    /// An extended header for what comes next.
    pub(super) fn extended(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let digits = (1..9).find(|n| (rest + n).to_string().len() == *n).unwrap();
            body.extend(format!("{} {key}=", rest + digits).as_bytes());
            body.extend(*value);
            body.push(b'\n');
        }
        self.with(b'x', "extended", &body, |_| ())
    }

    /// The bytes, without an end.
    pub(super) fn open_end(self) -> Vec<u8> {
        self.0
    }

    /// The bytes, with the blocks that end an archive.
    pub(super) fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Imports it into a file that nobody sees.
    pub(super) fn import(self) -> Result<Imported, ImportError> {
        import_with(&self.bytes(), &Limits::default())
    }

    /// What goes wrong when it is imported, with its cause.
    pub(super) fn error(self) -> String {
        said(&self.import().unwrap_err())
    }
}

/// An error and its causes.
pub(super) fn said(error: &dyn std::error::Error) -> String {
    let more = error.source().map(|source| format!(": {}", said(source)));
    format!("{error}{}", more.unwrap_or_default())
}

pub(super) fn import_with(bytes: &[u8], limits: &Limits) -> Result<Imported, ImportError> {
    let mut out: File = tempfile::tempfile().unwrap();
    import(bytes, &mut out, limits)
}
