//! Who we are to a registry.

use std::fmt;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Deserializer};

/// What a registry, or the server of its tokens, is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password, or an access token in its place.
        password: String,
    },
    /// A token that tokens are got with (`identitytoken`).
    Identity(String),
    /// A token that the registry itself takes (`registrytoken`).
    Bearer(String),
}

/// Credentials that cannot be read. The text is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCredentials {
    /// Not Base64.
    #[error("the credentials are not in Base64")]
    Base64(#[from] base64::DecodeError),
    /// Not the JSON that Docker's clients send.
    #[error("the credentials are not the JSON that is expected")]
    Json,
    /// `auth` holds no colon.
    #[error("the credentials hold no user and password")]
    Form,
}

/// Docker's form of credentials, in its configuration and in requests. Unknown fields are
/// ignored, and so is everything that Docker's clients send beside them. Clients in Python pass on
/// the names that credential helpers use; others say `null` for what they do not have.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthConfig {
    #[serde(alias = "Username", deserialize_with = "text")]
    username: String,
    #[serde(alias = "Password", deserialize_with = "text")]
    password: String,
    #[serde(alias = "Auth", deserialize_with = "text")]
    auth: String,
    #[serde(alias = "IdentityToken", deserialize_with = "text")]
    identitytoken: String,
    #[serde(alias = "RegistryToken", deserialize_with = "text")]
    registrytoken: String,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Credentials {
    /// Those of a request's `X-Registry-Auth` header: JSON in URL-safe Base64.
    ///
    /// # Errors
    ///
    /// It is not that.
    pub fn from_header(value: &str) -> Result<Self, InvalidCredentials> {
        if value.trim().is_empty() {
            return Ok(Self::Anonymous);
        }
        let text = decode(&value.replace('+', "-").replace('/', "_"), &URL_SAFE)?;
        Self::from_json(&text)
    }

    /// Those of Docker's `AuthConfig`.
    ///
    /// # Errors
    ///
    /// It is no such JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidCredentials> {
        serde_json::from_slice::<AuthConfig>(text).map_err(|_| InvalidCredentials::Json)?.try_into()
    }
}

fn decode(text: &str, engine: &impl base64::Engine) -> Result<Vec<u8>, base64::DecodeError> {
    // Some clients leave the padding away.
    let bare = text.trim().trim_end_matches('=');
    let padding = "=".repeat((4 - bare.len() % 4) % 4);
    engine.decode(format!("{bare}{padding}"))
}

impl TryFrom<AuthConfig> for Credentials {
    type Error = InvalidCredentials;

    fn try_from(auth: AuthConfig) -> Result<Self, InvalidCredentials> {
        if !auth.registrytoken.is_empty() {
            return Ok(Self::Bearer(auth.registrytoken));
        }
        if !auth.identitytoken.is_empty() {
            return Ok(Self::Identity(auth.identitytoken));
        }
        if !auth.username.is_empty() || !auth.password.is_empty() {
            return Ok(Self::Basic { user: auth.username, password: auth.password });
        }
        if auth.auth.is_empty() {
            return Ok(Self::Anonymous);
        }
        let text = decode(&auth.auth, &STANDARD)?;
        let text = String::from_utf8(text).map_err(|_| InvalidCredentials::Form)?;
        let (user, password) = text.split_once(':').ok_or(InvalidCredentials::Form)?;
        // Docker's older clients wrote a NUL at the end.
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Self::Basic { user: user.to_owned(), password })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(..)",
            Self::Identity(_) => "Identity(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn header_is_read_in_both_alphabets_and_without_padding() {
        let json = br#"{"username":"me","password":"p?>~~","serveraddress":"x","email":"e"}"#;
        for text in [STANDARD.encode(json), URL_SAFE.encode(json)] {
            assert_eq!(Credentials::from_header(&text).unwrap(), basic("me", "p?>~~"));
            let bare = text.trim_end_matches('=');
            assert_eq!(Credentials::from_header(bare).unwrap(), basic("me", "p?>~~"));
        }
        assert_eq!(Credentials::from_header("").unwrap(), Credentials::Anonymous);
    }

    #[test]
    fn auth_holds_user_and_password() {
        let json = format!(r#"{{"auth":"{}"}}"#, STANDARD.encode("me:se:cret"));
        assert_eq!(Credentials::from_json(json.as_bytes()).unwrap(), basic("me", "se:cret"));
    }

    #[test]
    fn null_is_nothing_and_capitals_mean_the_same() {
        let json = br#"{"username":"me","password":"p","auth":null,"identitytoken":null}"#;
        assert_eq!(Credentials::from_json(json).unwrap(), basic("me", "p"));
        let json = br#"{"ServerAddress":"x","Username":"me","Password":"p"}"#;
        assert_eq!(Credentials::from_json(json).unwrap(), basic("me", "p"));
        let json = br#"{"Username":"<token>","IdentityToken":"t"}"#;
        assert_eq!(Credentials::from_json(json).unwrap(), Credentials::Identity("t".to_owned()));
    }

    #[test]
    fn tokens_win_over_passwords() {
        let json = br#"{"username":"me","password":"x","identitytoken":"t"}"#;
        assert_eq!(Credentials::from_json(json).unwrap(), Credentials::Identity("t".to_owned()));
    }

    #[test]
    fn errors_and_debug_do_not_show_secrets() {
        let error = Credentials::from_json(br#"{"username":"hunter2"#).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(!format!("{:?}", basic("hunter2", "hunter2")).contains("hunter2"));
    }
}
