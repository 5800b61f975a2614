//! As much HTTP/1.1 as the metadata service needs (RFC 9112).

use std::fmt::Write as _;

/// Header lines of a request, at most.
const MAX_HEADERS: usize = 64;
/// Bytes of a request, head and body, at most.
pub(super) const MAX_REQUEST: usize = 8192;

/// A request, borrowed from what was received.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Absolute path, without query; empty if there is none.
    pub(super) path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    minor_version: u8,
}

/// What a buffer begins with.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// A request of this many bytes.
    Request(Request<'a>, usize),
    /// The start of one.
    Partial,
    /// Nothing that can be made sense of; answer with this, and close.
    Bad(Status),
}

/// Statuses that the service answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Status {
    Ok = 200,
    BadRequest = 400,
    Unauthorized = 401,
    NotFound = 404,
    MethodNotAllowed = 405,
    ContentTooLarge = 413,
    NotImplemented = 501,
}

impl Status {
    fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::ContentTooLarge => "Content Too Large",
            Self::NotImplemented => "Not Implemented",
        }
    }
}

impl<'a> Request<'a> {
    /// Parses what a connection received so far.
    pub(super) fn parse(data: &'a [u8]) -> Parsed<'a> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head = match request.parse(data) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) if data.len() >= MAX_REQUEST => {
                return Parsed::Bad(Status::ContentTooLarge);
            }
            Ok(httparse::Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Bad(Status::BadRequest),
        };
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Parsed::Bad(Status::BadRequest);
        };
        let pairs = request.headers.iter().map(|h| (h.name, std::str::from_utf8(h.value)));
        let pairs: Result<Vec<_>, _> = pairs.map(|(n, v)| v.map(|v| (n, v.trim()))).collect();
        let Ok(headers) = pairs else { return Parsed::Bad(Status::BadRequest) };
        let request = Self { method, path: absolute_path(target), headers, minor_version };
        match request.body_len() {
            Err(status) => Parsed::Bad(status),
            Ok(body) if head + body > MAX_REQUEST => Parsed::Bad(Status::ContentTooLarge),
            Ok(body) if head + body > data.len() => Parsed::Partial,
            Ok(body) => Parsed::Request(request, head + body),
        }
    }

    /// The first of the headers `names` that is there, with its value. Upper and lower case are
    /// the same.
    pub(super) fn header(&self, names: &[&str]) -> Option<(&'a str, &'a str)> {
        let named = |(name, _): &&(&str, &str)| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        self.headers.iter().find(named).copied()
    }

    fn body_len(&self) -> Result<usize, Status> {
        if self.header(&["transfer-encoding"]).is_some() {
            return Err(Status::NotImplemented);
        }
        let lengths = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("content-length"));
        let mut lengths = lengths.map(|(_, value)| *value);
        let Some(length) = lengths.next() else { return Ok(0) };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        if !digits || lengths.any(|other| other != length) {
            return Err(Status::BadRequest);
        }
        // What does not fit a number does not fit the limit either.
        length.parse::<u32>().map(|n| n as usize).map_err(|_| Status::ContentTooLarge)
    }

    /// Whether the connection stays open after the answer.
    pub(super) fn keeps_alive(&self) -> bool {
        let asked = self.header(&["connection"]).map(|(_, value)| value);
        match asked {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => self.minor_version >= 1,
        }
    }

    /// Whether JSON is accepted rather than plain text: what is named first counts.
    pub(super) fn accepts_json(&self) -> bool {
        let Some((_, accepted)) = self.header(&["accept"]) else { return false };
        let kinds = accepted.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim());
        kinds
            .filter_map(|kind| match kind.to_ascii_lowercase().as_str() {
                "application/json" => Some(true),
                "text/plain" | "plain/text" | "*/*" => Some(false),
                _ => None,
            })
            .next()
            .unwrap_or(false)
    }
}

/// The path of a target in origin or absolute form (RFC 9112, 3.2).
fn absolute_path(target: &str) -> &str {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""),
        None if target.starts_with('/') => target,
        None => "",
    };
    path.split(['?', '#']).next().unwrap_or("")
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) json: bool,
    /// Header lines beside the usual ones: name and value.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Response {
    /// An answer in plain text.
    pub(super) fn text(status: Status, body: impl Into<String>) -> Self {
        Self { status, json: false, headers: Vec::new(), body: body.into() }
    }

    /// With a further header.
    pub(super) fn with_header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The bytes to send. `without_body` as in an answer to HEAD.
    pub(super) fn encode(&self, keep_alive: bool, without_body: bool) -> Vec<u8> {
        let kind = if self.json { "application/json" } else { "text/plain" };
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let mut text = format!(
            "HTTP/1.1 {} {}\r\nConnection: {connection}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n",
            self.status as u16,
            self.status.reason(),
            self.body.len(),
        );
        for (name, value) in &self.headers {
            // Writing to a string does not fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        if !without_body {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request<'_> {
        match Request::parse(text.as_bytes()) {
            Parsed::Request(request, len) if len == text.len() => request,
            other => panic!("{other:?}"),
        }
    }

    fn bad(text: &str) -> Status {
        match Request::parse(text.as_bytes()) {
            Parsed::Bad(status) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn request_is_taken_apart() {
        let request = request("GET /a/b?x=1 HTTP/1.1\r\nHost: h\r\nX-Metadata-Token:  t \r\n\r\n");
        assert_eq!((request.method, request.path), ("GET", "/a/b"));
        assert_eq!(request.header(&["x-metadata-token"]), Some(("X-Metadata-Token", "t")));
        assert!(request.keeps_alive() && !request.accepts_json());
    }

    #[test]
    fn target_in_absolute_form_has_a_path() {
        assert_eq!(request("GET http://169.254.169.254/a HTTP/1.0\r\n\r\n").path, "/a");
        assert_eq!(request("GET http://169.254.169.254 HTTP/1.0\r\n\r\n").path, "");
        assert_eq!(request("GET * HTTP/1.0\r\n\r\n").path, "");
    }

    #[test]
    fn incomplete_head_or_body_is_waited_for() {
        for text in ["", "GET / HT", "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"] {
            assert!(matches!(Request::parse(text.as_bytes()), Parsed::Partial), "{text:?}");
        }
        request("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    }

    #[test]
    fn contradictory_or_strange_lengths_are_refused() {
        let with = |lines: &str| bad(&format!("PUT / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(with("Content-Length: -1\r\n"), Status::BadRequest);
        assert_eq!(with("Content-Length: 1\r\nContent-Length: 2\r\n"), Status::BadRequest);
        assert_eq!(with("Content-Length: 99999999999999999999\r\n"), Status::ContentTooLarge);
        assert_eq!(with("Content-Length: 9000\r\n"), Status::ContentTooLarge);
        assert_eq!(with("Transfer-Encoding: chunked\r\n"), Status::NotImplemented);
    }

    #[test]
    fn endless_head_and_garbage_are_refused() {
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_REQUEST));
        assert_eq!(bad(&endless), Status::ContentTooLarge);
        assert_eq!(bad("\0\0\0\0"), Status::BadRequest);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        assert_eq!(bad(&many), Status::BadRequest);
    }

    #[test]
    fn first_accepted_kind_counts() {
        let json = |accept: &str| {
            request(&format!("GET / HTTP/1.1\r\nAccept: {accept}\r\n\r\n")).accepts_json()
        };
        assert!(json("application/json") && json("image/png, Application/JSON;q=0.5"));
        assert!(!json("*/*") && !json("text/plain, application/json") && !json("image/png"));
    }

    #[test]
    fn old_clients_are_left_unless_they_ask() {
        assert!(!request("GET / HTTP/1.0\r\n\r\n").keeps_alive());
        assert!(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive());
        assert!(!request("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keeps_alive());
    }

    #[test]
    fn answer_says_its_length_and_kind() {
        let response = Response::text(Status::Ok, "abc").with_header("X", 1);
        let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                        Content-Length: 3\r\nX: 1\r\n\r\n";
        assert_eq!(response.encode(false, true), expected.as_bytes());
        assert!(response.encode(false, false).ends_with(b"\r\n\r\nabc"));
    }
}
