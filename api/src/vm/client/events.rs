//! Events as they come.

use std::io::{BufRead, BufReader, Cursor, Read};
use std::os::unix::net::UnixStream;

use super::{Client, ClientError};
use crate::vm::Event;

/// The most bytes of a line.
const MAX_LINE: u64 = 1 << 20;

/// Events as they come, until the monitor ends.
pub struct Events {
    client: Client,
    lines: BufReader<std::io::Chain<Cursor<Vec<u8>>, UnixStream>>,
}

impl Client {
    /// Follows what happens to the machine: after event `since`, from the first that is still
    /// known with 0, or from now on. A limit on time applies to the wait for each event; the
    /// server gives a sign of life every 15 seconds.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn events(&self, since: Option<u64>) -> Result<Events, ClientError> {
        let mut fields = "Accept: text/event-stream\r\n".to_owned();
        if let Some(since) = since {
            fields.push_str(&format!("Last-Event-ID: {since}\r\n"));
        }
        let opened = self.open("GET", "/bulkhead/events", &fields, b"")?;
        if opened.status != 200 {
            let reply = self.read_body(opened)?;
            self.accepted(reply)?;
            return Err(self.protocol_error("no stream of events"));
        }
        let lines = BufReader::new(Cursor::new(opened.early).chain(opened.stream));
        Ok(Events { client: self.clone(), lines })
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = String::new();
            match (&mut self.lines).take(MAX_LINE).read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(self.client.connection_error(error))),
            }
            // Each event is one line of data, which has all that the other lines have.
            if let Some(data) = line.strip_prefix("data: ") {
                let event = serde_json::from_str(data);
                return Some(event.map_err(|error| self.client.protocol_error(error)));
            }
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("client", &self.client).finish_non_exhaustive()
    }
}
