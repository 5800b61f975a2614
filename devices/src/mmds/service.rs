//! What the metadata service answers, as Firecracker's does.

use std::time::Instant;

use super::http::{Request, Response, Status};
use super::metrics::MmdsMetrics;
use super::store::{Format, Mmds, StoreError, Version};

const TOKEN_PATH: [&str; 3] = ["latest", "api", "token"];
const TOKEN: [&str; 2] = ["X-metadata-token", "X-aws-ec2-metadata-token"];
const TTL: [&str; 2] = ["X-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token-ttl-seconds"];
const FORWARDED: [&str; 1] = ["X-Forwarded-For"];

/// Answers a request.
pub(super) fn respond(
    mmds: &Mmds,
    metrics: &MmdsMetrics,
    request: &Request<'_>,
    now: Instant,
) -> Response {
    if request.path.is_empty() {
        return Response::text(Status::BadRequest, "Invalid URI.");
    }
    match request.method {
        "GET" => get(mmds, metrics, request, now),
        "PUT" => put(mmds, request, now),
        _ => Response::text(Status::MethodNotAllowed, "Not allowed HTTP method.")
            .with_header("Allow", "GET, PUT"),
    }
}

fn get(mmds: &Mmds, metrics: &MmdsMetrics, request: &Request<'_>, now: Instant) -> Response {
    let refusal = match request.header(&TOKEN) {
        None => {
            metrics.rx_no_token.increment();
            Some(format!(
                "No MMDS token provided. Use `{}` or `{}` header to specify the session token.",
                TOKEN[0], TOKEN[1]
            ))
        }
        Some((_, token)) if !mmds.tokens().is_valid(token, now) => {
            metrics.rx_invalid_token.increment();
            Some("MMDS token not valid.".to_owned())
        }
        Some(_) => None,
    };
    // The first version counts bad tokens and lets them pass.
    if let (Version::V2, Some(refusal)) = (mmds.version(), refusal) {
        return Response::text(Status::Unauthorized, refusal);
    }
    let json = request.accepts_json();
    let format = if json { Format::Json } else { Format::Imds };
    match mmds.get(request.path, format) {
        Ok(body) => Response { json, ..Response::text(Status::Ok, body) },
        Err(error @ StoreError::UnsupportedType) => {
            Response::text(Status::NotImplemented, error.to_string())
        }
        Err(_) => not_found(request),
    }
}

fn put(mmds: &Mmds, request: &Request<'_>, now: Instant) -> Response {
    // A proxy in the guest shall not hand tokens to others.
    if let Some((name, _)) = request.header(&FORWARDED) {
        let reason = format!("Invalid header. Reason: Unsupported header name. Key: {name}");
        return Response::text(Status::BadRequest, reason);
    }
    if !request.path.split('/').filter(|part| !part.is_empty()).eq(TOKEN_PATH) {
        return not_found(request);
    }
    let Some((name, value)) = request.header(&TTL) else {
        let reason = format!(
            "Token time to live value not found. Use `{}` or `{}` header to specify the token's \
             lifetime.",
            TTL[0], TTL[1]
        );
        return Response::text(Status::BadRequest, reason);
    };
    let Ok(seconds) = value.parse::<u32>() else {
        let reason = format!("Invalid header. Reason: Invalid value. Key:{name}; Value:{value}");
        return Response::text(Status::BadRequest, reason);
    };
    match mmds.tokens().generate(seconds, now) {
        Ok(token) => Response::text(Status::Ok, token).with_header(name, seconds),
        Err(error) => Response::text(Status::BadRequest, error.to_string()),
    }
}

fn not_found(request: &Request<'_>) -> Response {
    Response::text(Status::NotFound, format!("Resource not found: {}.", request.path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::http::Parsed;
    use super::super::token::TokenAuthority;
    use super::*;

    fn mmds(version: Version) -> Mmds {
        let mut mmds = Mmds::new(1000, TokenAuthority::new([1; 64], "vm"));
        mmds.put(json!({"name": {"first": "John"}, "age": 43})).unwrap();
        mmds.configure(version, false);
        mmds
    }

    fn ask(mmds: &Mmds, line: &str) -> Response {
        ask_with(mmds, line, &["Host: metadata"])
    }

    fn ask_with(mmds: &Mmds, line: &str, headers: &[&str]) -> Response {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let text = format!("{line} HTTP/1.1\r\n{headers}\r\n");
        let Parsed::Request(request, _) = Request::parse(text.as_bytes()) else {
            panic!("{text:?} is no request")
        };
        respond(mmds, &MmdsMetrics::default(), &request, Instant::now())
    }

    #[test]
    fn first_version_answers_without_a_token() {
        let mmds = mmds(Version::V1);
        assert_eq!(ask(&mmds, "GET /"), Response::text(Status::Ok, "age\nname/"));
        let json = ask_with(&mmds, "GET /name", &["Accept: application/json"]);
        assert_eq!((json.json, json.body.as_str()), (true, "{\"first\":\"John\"}"));
        let forged = ask_with(&mmds, "GET /name/first", &["X-metadata-token: x"]);
        assert_eq!(forged, Response::text(Status::Ok, "John"));
    }

    #[test]
    fn second_version_wants_a_token_of_its_own() {
        let mmds = mmds(Version::V2);
        assert_eq!(ask(&mmds, "GET /").status, Status::Unauthorized);
        let forged = ask_with(&mmds, "GET /", &["X-metadata-token: x"]);
        assert_eq!(forged, Response::text(Status::Unauthorized, "MMDS token not valid."));
        let issued =
            ask_with(&mmds, "PUT /latest/api/token", &["X-metadata-token-ttl-seconds: 60"]);
        assert_eq!(issued.status, Status::Ok);
        let ttl = ("X-metadata-token-ttl-seconds".to_owned(), "60".to_owned());
        assert_eq!(issued.headers, [ttl]);
        let header = format!("X-aws-ec2-metadata-token: {}", issued.body);
        let answer = ask_with(&mmds, "GET //name/first/", &[&header]);
        assert_eq!(answer, Response::text(Status::Ok, "John"));
    }

    #[test]
    fn paths_to_nothing_and_values_without_text_are_told_apart() {
        let mmds = mmds(Version::V1);
        let nothing = Response::text(Status::NotFound, "Resource not found: /x.");
        assert_eq!(ask(&mmds, "GET /x"), nothing);
        assert_eq!(ask(&mmds, "GET /age").status, Status::NotImplemented);
        assert_eq!(ask(&mmds, "GET http://169.254.169.254").status, Status::BadRequest);
    }

    #[test]
    fn other_methods_are_told_what_is_allowed() {
        let answer = ask(&mmds(Version::V1), "PATCH /");
        assert_eq!(answer.status, Status::MethodNotAllowed);
        assert_eq!(answer.headers, [("Allow".to_owned(), "GET, PUT".to_owned())]);
    }

    #[test]
    fn token_is_refused_with_the_reason() {
        let mmds = mmds(Version::V2);
        let token = "PUT /latest/api/token";
        let cases: [(&str, &[&str], &str); 5] = [
            (token, &[], "Token time to live value not found."),
            (token, &["X-metadata-token-ttl-seconds: x"], "Invalid header. Reason: Invalid value"),
            (token, &["X-metadata-token-ttl-seconds: 21601"], "Invalid time to live value"),
            (token, &["x-forwarded-for: 1.2.3.4"], "Invalid header. Reason: Unsupported header"),
            ("PUT /token", &["X-metadata-token-ttl-seconds: 60"], "Resource not found: /token."),
        ];
        for (line, headers, reason) in cases {
            let answer = ask_with(&mmds, line, headers);
            assert_ne!(answer.status, Status::Ok);
            assert!(answer.body.starts_with(reason), "{headers:?}: {}", answer.body);
        }
    }
}
