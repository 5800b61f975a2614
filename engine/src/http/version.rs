//! Versions of the API: the prefix of a path, and what this engine speaks.

use std::fmt::{self, Display};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Uri};

use super::error::ApiError;

/// A version of Docker's Engine API. The extractor gives the one that the request names, or the
/// newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The oldest that is served.
    pub const OLDEST: Self = Self::new(24);
    /// The newest that is served, and the default.
    pub const NEWEST: Self = Self::new(53);

    /// Version 1 with this minor number.
    #[must_use]
    pub const fn new(minor: u16) -> Self {
        Self { major: 1, minor }
    }

    /// Reads `1.41`.
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(major) && digits(minor))
            .then(|| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }))?
    }

    fn check(self) -> Result<(), ApiError> {
        if self > Self::NEWEST {
            return Err(ApiError::invalid(format!(
                "client version {self} is too new. Maximum supported API version is {}",
                Self::NEWEST
            )));
        }
        if self < Self::OLDEST {
            return Err(ApiError::invalid(format!(
                "client version {self} is too old. Minimum supported API version is {}, please \
                 upgrade your client to a newer version",
                Self::OLDEST
            )));
        }
        Ok(())
    }
}

impl Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Takes the version off the path of `request`, if one is there, and leaves it for the extractor.
pub(super) fn take<B>(request: &mut Request<B>) -> Result<(), ApiError> {
    let path = request.uri().path();
    let prefixed = path.strip_prefix("/v").and_then(|rest| {
        let (version, rest) = rest.split_at(rest.find('/')?);
        Some((ApiVersion::parse(version)?, rest))
    });
    let Some((version, rest)) = prefixed else {
        request.extensions_mut().insert(ApiVersion::NEWEST);
        return Ok(());
    };
    version.check()?;
    let rest = match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let path: PathAndQuery =
        rest.parse().map_err(|_| ApiError::invalid("the path of the request is invalid"))?;
    *request.uri_mut() = Uri::from(path);
    request.extensions_mut().insert(version);
    Ok(())
}

impl<S: Sync> FromRequestParts<S> for ApiVersion {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::NEWEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(uri: &str) -> Result<(String, ApiVersion), ApiError> {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        take(&mut request)?;
        let version = *request.extensions().get::<ApiVersion>().unwrap();
        Ok((request.uri().to_string(), version))
    }

    #[test]
    fn prefix_is_taken_off_and_query_stays() {
        let (uri, version) = taken("/v1.41/containers/json?all=1").unwrap();
        assert_eq!((uri.as_str(), version), ("/containers/json?all=1", ApiVersion::new(41)));
    }

    #[test]
    fn path_without_version_means_the_newest() {
        assert_eq!(taken("/volumes").unwrap(), ("/volumes".into(), ApiVersion::NEWEST));
        assert_eq!(taken("/v/x").unwrap().0, "/v/x");
    }

    #[test]
    fn versions_outside_of_the_range_are_named() {
        assert_eq!(
            taken("/v1.54/info").unwrap_err().message(),
            "client version 1.54 is too new. Maximum supported API version is 1.53"
        );
        assert!(taken("/v1.23/info").unwrap_err().message().contains("too old"));
        assert!(taken("/v2.0/info").unwrap_err().message().contains("too new"));
    }
}
