//! What is sent back.

use std::fmt::Write as _;

/// The statuses in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 101
    SwitchingProtocols,
    /// 200
    Ok,
    /// 204
    NoContent,
    /// 400
    BadRequest,
    /// 408
    RequestTimeout,
    /// 411
    LengthRequired,
    /// 413
    PayloadTooLarge,
    /// 426
    UpgradeRequired,
    /// 503
    ServiceUnavailable,
}

impl Status {
    /// Number and reason.
    fn line(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "101 Switching Protocols",
            Self::Ok => "200 OK",
            Self::NoContent => "204 No Content",
            Self::BadRequest => "400 Bad Request",
            Self::RequestTimeout => "408 Request Timeout",
            Self::LengthRequired => "411 Length Required",
            Self::PayloadTooLarge => "413 Payload Too Large",
            Self::UpgradeRequired => "426 Upgrade Required",
            Self::ServiceUnavailable => "503 Service Unavailable",
        }
    }

    /// Whether the request was refused.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::SwitchingProtocols | Self::Ok | Self::NoContent)
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: Status,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The body. None at all with 204; with 101 and for a stream it follows without a length.
    pub body: Body,
    /// Whether the client should ask in another way.
    pub deprecated: bool,
    /// The protocol that is spoken after 101, or that 426 asks for.
    pub upgrade: Option<&'static str>,
}

/// What follows the head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing ever.
    None,
    /// These bytes.
    Whole(Vec<u8>),
    /// A stream until the connection ends.
    UntilClose,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: Status) -> Self {
        Self { status, content_type: "", body: Body::None, deprecated: false, upgrade: None }
    }

    /// An answer with a body.
    pub fn whole(status: Status, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { content_type, body: Body::Whole(body), ..Self::empty(status) }
    }

    /// The head of an answer whose body lasts as long as the connection.
    pub fn stream(content_type: &'static str) -> Self {
        Self { content_type, body: Body::UntilClose, ..Self::empty(Status::Ok) }
    }

    /// The head of an answer after which another protocol is spoken.
    pub fn upgrade(protocol: &'static str) -> Self {
        Self { upgrade: Some(protocol), ..Self::empty(Status::SwitchingProtocols) }
    }

    /// The bytes to send. The head says whether the connection goes on.
    pub(super) fn encode(&self, server: &str, keep_alive: bool, with_body: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\nServer: {server}\r\n", self.status.line());
        let connection = match (self.status, keep_alive && self.body != Body::UntilClose) {
            (Status::SwitchingProtocols, _) => "Upgrade",
            (_, true) => "keep-alive",
            (_, false) => "close",
        };
        // Writing to a string does not fail.
        let _ = write!(head, "Connection: {connection}\r\n");
        if let Some(protocol) = self.upgrade {
            let _ = write!(head, "Upgrade: {protocol}\r\n");
        }
        if self.deprecated {
            head.push_str("Deprecation: true\r\n");
        }
        match &self.body {
            Body::None => {}
            Body::Whole(body) => {
                let length = body.len();
                let _ = write!(
                    head,
                    "Content-Type: {}\r\nContent-Length: {length}\r\n",
                    self.content_type
                );
            }
            Body::UntilClose => {
                let _ = write!(
                    head,
                    "Content-Type: {}\r\nCache-Control: no-cache\r\n",
                    self.content_type
                );
            }
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if let (Body::Whole(body), true) = (&self.body, with_body) {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response, keep_alive: bool) -> String {
        String::from_utf8(response.encode("S", keep_alive, true)).unwrap()
    }

    #[test]
    fn answer_without_content_has_no_length() {
        assert_eq!(
            text(&Response::empty(Status::NoContent), true),
            "HTTP/1.1 204 No Content\r\nServer: S\r\nConnection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn body_has_type_and_length() {
        let response = Response::whole(Status::Ok, "text/x", b"abc".to_vec());
        assert_eq!(
            text(&response, false),
            "HTTP/1.1 200 OK\r\nServer: S\r\nConnection: close\r\nContent-Type: text/x\r\n\
             Content-Length: 3\r\n\r\nabc"
        );
    }

    #[test]
    fn head_alone_still_has_the_length() {
        let response = Response::whole(Status::Ok, "text/x", b"abc".to_vec());
        let text = String::from_utf8(response.encode("S", false, false)).unwrap();
        assert!(text.ends_with("Content-Length: 3\r\n\r\n"));
    }

    #[test]
    fn stream_closes_the_connection() {
        let text = text(&Response::stream("text/event-stream"), true);
        assert!(text.contains("Connection: close\r\n"));
        assert!(!text.contains("Content-Length"));
    }

    #[test]
    fn upgrade_names_its_protocol() {
        let text = text(&Response::upgrade("tcp"), true);
        assert!(text.contains("Connection: Upgrade\r\nUpgrade: tcp\r\n"));
    }
}
