//! An engine that is nothing but its answers, and the commands that ask it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// What is asked: `GET /containers/json?all=1`, and the body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) body: String,
}

/// An engine at a socket of its own.
pub(crate) struct Engine {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Engine {
    /// One that answers with what `answer` gives: a status and a body of JSON.
    pub(crate) fn answering(
        answer: impl Fn(&Asked) -> (u16, String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("sock"))?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let _ = serve(stream, &answer, &seen);
            }
        });
        Ok(Self { folder, asked })
    }

    /// What `bulkhead` with arguments does against this engine.
    pub(crate) fn bulkhead(&self, arguments: &[&str]) -> std::io::Result<Output> {
        self.command(arguments).output()
    }

    /// `bulkhead` with arguments, against this engine.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        let socket: PathBuf = self.folder.path().join("sock");
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        command.args(arguments).env("DOCKER_CONFIG", self.folder.path());
        command
    }

    /// Docker's configuration, where there is one.
    pub(crate) fn docker_config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("config.json")).unwrap_or_default()
    }

    /// What has been asked so far, but for whether it is there.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let all = self.asked.lock().map(|asked| asked.clone()).unwrap_or_default();
        all.into_iter().filter(|asked| !asked.line.ends_with("/_ping")).collect()
    }
}

fn serve(
    stream: UnixStream,
    answer: &impl Fn(&Asked) -> (u16, String),
    seen: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = first.trim().trim_end_matches(" HTTP/1.1").replacen("/v1.47", "", 1);
    let asked = Asked { line, body: String::from_utf8_lossy(&body).into_owned() };
    if let Ok(mut seen) = seen.lock() {
        seen.push(asked.clone());
    }
    let (status, body) =
        if asked.line.ends_with("/_ping") { (200, "OK".to_owned()) } else { answer(&asked) };
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// What a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
