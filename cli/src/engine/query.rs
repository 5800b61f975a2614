//! Paths with queries.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A path under construction: what comes from the user is escaped.
#[derive(Debug)]
pub(crate) struct Query {
    text: String,
    asked: bool,
}

impl Query {
    /// `parts` joined by `/`.
    pub(crate) fn path(parts: &[&str]) -> Self {
        let mut text = String::new();
        for part in parts {
            text.push('/');
            escape(&mut text, part);
        }
        Self { text, asked: false }
    }

    /// Adds `name=value`.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.text.push(if self.asked { '&' } else { '?' });
        self.asked = true;
        self.text.push_str(name);
        self.text.push('=');
        escape(&mut self.text, value.as_ref());
        self
    }

    /// Adds `name=1` if that is wanted.
    #[must_use]
    pub(crate) fn flag(self, name: &str, wanted: bool) -> Self {
        if wanted { self.with(name, "1") } else { self }
    }

    /// Adds `name=value` if there is one.
    #[must_use]
    pub(crate) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value.to_string()),
            None => self,
        }
    }

    /// Adds `NAME=VALUE` filters.
    ///
    /// # Errors
    ///
    /// One has no `=`.
    pub(crate) fn filters(self, filters: &[String]) -> anyhow::Result<Self> {
        if filters.is_empty() {
            return Ok(self);
        }
        let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for filter in filters {
            let Some((name, value)) = filter.split_once('=') else {
                anyhow::bail!("--filter {filter}: expected NAME=VALUE");
            };
            map.entry(name.trim()).or_default().push(value.trim());
        }
        Ok(self.with("filters", serde_json::to_string(&map)?))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Percent-encoding of everything that RFC 3986 does not call unreserved.
fn escape(to: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                to.push(char::from(byte));
            }
            other => {
                let _ = write!(to, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        let query = Query::path(&["containers", "../x?y", "json"]).flag("size", true);
        assert_eq!(query.as_str(), "/containers/..%2Fx%3Fy/json?size=1");
    }

    #[test]
    fn filters_are_a_map_of_lists() {
        let filters = ["label=a=b".to_owned(), "label=c".to_owned(), "status=exited".to_owned()];
        let query = Query::path(&["c"]).filters(&filters).unwrap();
        let wanted = "/c?filters=%7B%22label%22%3A%5B%22a%3Db%22%2C%22c%22%5D%2C%22status%22%3A%5B%22exited%22%5D%7D";
        assert_eq!(query.as_str(), wanted);
    }

    #[test]
    fn filter_without_a_value_is_refused_by_its_name() {
        let error = Query::path(&["c"]).filters(&["all".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("--filter all"), "{error}");
    }
}
