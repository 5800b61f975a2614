//! How a registry says which credentials it wants (RFC 9110 §11.6.1, RFC 6750 §3).

use std::collections::HashMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password in each request.
    Basic,
    /// A token, from the server at `realm`.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The strongest that we know of those that are offered.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let offered = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| {
            let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ').unwrap_or_default();
            Self::parse(scheme, rest)
        });
        offered.max_by_key(|challenge| matches!(challenge, Self::Bearer { .. }))
    }

    fn parse(scheme: &str, rest: &str) -> Option<Self> {
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let realm = parameters.remove("realm")?;
        Some(Self::Bearer { realm, service: parameters.remove("service") })
    }
}

/// `name=value` pairs between commas; values may be quoted.
fn parameters(mut rest: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ', '\t']).to_ascii_lowercase();
        let value = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = unquote(quoted);
                rest = after;
                value
            }
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                rest = after;
                value.trim().to_owned()
            }
        };
        found.entry(name).or_insert(value);
    }
    found
}

/// The text up to the closing quote, and what follows.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn bearer_names_realm_and_service() {
        let value = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#;
        let expected = bearer("https://auth.docker.io/token", Some("registry.docker.io"));
        assert_eq!(challenge(&[value]), expected);
        assert_eq!(challenge(&["bearer service=x , realm=y"]), bearer("y", Some("x")));
    }

    #[test]
    fn bearer_is_taken_before_basic() {
        let both = ["Basic realm=\"x\"", "Bearer realm=\"y\""];
        assert_eq!(challenge(&both), bearer("y", None));
        assert_eq!(challenge(&both[..1]), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_read_is_no_challenge() {
        for value in ["", "Bearer", "Bearer x", "Bearer service=\"a\"", "Digest realm=\"x\""] {
            assert_eq!(challenge(&[value]), None, "{value}");
        }
        assert_eq!(challenge(&["Bearer realm=\"open"]), bearer("open", None));
    }
}
