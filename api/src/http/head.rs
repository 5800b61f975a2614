//! The head of a request.

use super::HttpFault;

/// The most header fields that a head can have.
const MAX_FIELDS: usize = 64;

/// Request line and header fields, checked as RFC 9112 demands where the body's length depends on
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method, as it came.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Length of the body in bytes.
    pub content_length: u64,
    /// Whether the client wants the connection to go on.
    pub keep_alive: bool,
    /// Whether the client waits for 100 before it sends the body.
    pub expects_continue: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The head that `bytes` begin with, and its length. None if more must come.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HttpFault> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(HttpFault::Syntax(error.to_string())),
        };
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HttpFault::Syntax("no request line".into()));
        };
        let fields = request
            .headers
            .iter()
            .map(|field| match std::str::from_utf8(field.value) {
                Ok(value) => Ok((field.name.to_ascii_lowercase(), value.trim().to_owned())),
                Err(_) => Err(HttpFault::Syntax(format!("header {} is not text", field.name))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut head = Self {
            method: method.to_owned(),
            path: path_of(target).to_owned(),
            content_length: content_length(&fields)?,
            keep_alive: version == 1,
            expects_continue: false,
            fields,
        };
        if head.has_token("connection", "close") {
            head.keep_alive = false;
        } else if version == 0 {
            head.keep_alive = head.has_token("connection", "keep-alive");
        }
        head.expects_continue = head.has_token("expect", "100-continue");
        Ok(Some((head, length)))
    }

    /// The value of the first field of that name, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether a field that is a list has this token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.fields
            .iter()
            .filter(|(field, _)| field == name)
            .flat_map(|(_, value)| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(token))
    }

    /// Whether the client wants to go on in another protocol.
    pub fn wants_upgrade(&self, protocol: &str) -> bool {
        self.has_token("connection", "upgrade") && self.has_token("upgrade", protocol)
    }
}

/// RFC 9112 §6.3. More than one length is never right, even if all are the same.
fn content_length(fields: &[(String, String)]) -> Result<u64, HttpFault> {
    let mut lengths = fields.iter().filter(|(name, _)| name == "content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(HttpFault::ContentLength);
    }
    let is_coded = fields.iter().any(|(name, _)| name == "transfer-encoding");
    match (length, is_coded) {
        (Some(_), true) => Err(HttpFault::TwoLengths),
        (None, true) => Err(HttpFault::LengthRequired),
        (None, false) => Ok(0),
        (Some((_, digits)), false) => {
            // No sign, as the standard library would take one.
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(HttpFault::ContentLength);
            }
            digits.parse().map_err(|_| HttpFault::ContentLength)
        }
    }
}

/// The path of a request target: with or without scheme and authority, without the query.
fn path_of(target: &str) -> &str {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split_once('?').map_or(path, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }

    fn fault(text: &str) -> HttpFault {
        Head::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn head_ends_before_the_body() {
        let text = "PUT /a?b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        let (head, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("PUT", "/a"));
        assert_eq!((head.content_length, &text[length..]), (2, "{}"));
        assert!(head.keep_alive);
    }

    #[test]
    fn half_a_head_needs_more() {
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
    }

    #[test]
    fn target_may_have_an_authority() {
        assert_eq!(head("GET http://localhost/a HTTP/1.1\r\n\r\n").path, "/a");
        assert_eq!(head("GET http://localhost HTTP/1.1\r\n\r\n").path, "/");
    }

    #[test]
    fn two_lengths_are_refused_even_if_they_are_the_same() {
        let text = "PUT / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(fault(text), HttpFault::ContentLength);
    }

    #[test]
    fn length_that_is_no_number_is_refused() {
        let fault = |value| fault(&format!("PUT / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n"));
        assert_eq!(fault("-1"), HttpFault::ContentLength);
        assert_eq!(fault("+1"), HttpFault::ContentLength);
        assert_eq!(fault("1, 1"), HttpFault::ContentLength);
        assert_eq!(fault(""), HttpFault::ContentLength);
        assert_eq!(fault("99999999999999999999"), HttpFault::ContentLength);
    }

    #[test]
    fn length_with_a_coding_is_refused() {
        let text = "PUT / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(fault(text), HttpFault::TwoLengths);
    }

    #[test]
    fn chunked_body_is_refused() {
        let text = "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(fault(text), HttpFault::LengthRequired);
    }

    #[test]
    fn space_before_a_colon_is_refused() {
        let text = "PUT / HTTP/1.1\r\nContent-Length : 2\r\n\r\n";
        assert!(matches!(fault(text), HttpFault::Syntax(_)));
    }

    #[test]
    fn header_65_is_refused() {
        let text = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert!(matches!(fault(&text), HttpFault::Syntax(_)));
    }

    #[test]
    fn text_that_is_no_http_is_refused() {
        assert!(matches!(fault("hello\r\n\r\n"), HttpFault::Syntax(_)));
        assert!(matches!(fault("GET / HTTP/3.0\r\n\r\n"), HttpFault::Syntax(_)));
        assert!(matches!(fault("\0\0\0\r\n\r\n"), HttpFault::Syntax(_)));
    }

    #[test]
    fn old_client_keeps_the_connection_only_if_it_says_so() {
        assert!(!head("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!head("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
    }

    #[test]
    fn upgrade_needs_both_fields() {
        let both =
            head("GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: tcp\r\n\r\n");
        assert!(both.wants_upgrade("tcp"));
        assert!(!head("GET / HTTP/1.1\r\nUpgrade: tcp\r\n\r\n").wants_upgrade("tcp"));
    }

    mod any_bytes {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn never_claim_more_than_there_is(
                start in prop_oneof![Just(""), Just("GET / HTTP/1.1\r\n")],
                rest in proptest::collection::vec(any::<u8>(), 0..200),
            ) {
                let bytes = [start.as_bytes(), &rest].concat();
                if let Ok(Some((_, length))) = Head::parse(&bytes) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
