//! The part of a path after `?`.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use super::filters::Filters;

/// Parameters in the order of the request; names may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// The first value of `name`, if it is not empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Every value of `name`.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether `name` is there at all, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether `name` is set. As Docker reads it: all but nothing, `0`, `no`, `false` and `none`
    /// is true.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// As [`Self::flag`], with another meaning of its absence.
    #[must_use]
    pub fn flag_or(&self, name: &str, absent: bool) -> bool {
        let Some(value) = self.all(name).next() else { return absent };
        let value = value.trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A number, if there is one.
    ///
    /// # Errors
    ///
    /// 400 if it is not one, or does not fit.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| ApiError::invalid(format!("invalid value of {name}: \"{text}\"")))
    }

    /// The parameter `filters`, of which only those in `accepted` may be there.
    ///
    /// # Errors
    ///
    /// 400 if it is malformed, or holds others.
    pub fn filters(&self, accepted: &[&str]) -> Result<Filters, ApiError> {
        let filters = match self.text("filters") {
            Some(text) => Filters::parse(text)?,
            None => Filters::default(),
        };
        filters.only(accepted)?;
        Ok(filters)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = pairs.map_err(|error| ApiError::invalid(error.body_text()))?;
        Ok(Self { pairs: pairs.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        let uri = format!("http://localhost/x?{text}").parse().unwrap();
        Query { pairs: axum::extract::Query::try_from_uri(&uri).unwrap().0 }
    }

    #[test]
    fn flags_are_read_as_docker_does() {
        let query = query("a=1&b=true&c=0&d=False&e=&f&g=yes&h=none");
        let set: Vec<_> = "abcdefghi".split("").filter(|name| query.flag(name)).collect();
        assert_eq!(set, ["a", "b", "g"]);
        assert!(query.flag_or("i", true));
        assert!(!query.flag_or("c", true));
    }

    #[test]
    fn repeated_names_are_kept() {
        let query = query("names=a&names=b%2Fc");
        assert_eq!(query.all("names").collect::<Vec<_>>(), ["a", "b/c"]);
    }

    #[test]
    fn number_that_does_not_fit_is_refused_by_name() {
        let query = query("t=10&h=70000&w=x");
        assert_eq!(query.number::<i64>("t"), Ok(Some(10)));
        assert!(query.number::<u16>("h").unwrap_err().message().contains("h: \"70000\""));
        assert!(query.number::<u16>("w").is_err());
        assert_eq!(query.number::<u16>("absent"), Ok(None));
    }
}
