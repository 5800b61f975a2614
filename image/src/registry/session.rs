//! Requests to one repository of a registry, with the credentials that it asks for.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::challenge::Challenge;
use super::{Credentials, RegistryError};
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::{DEFAULT_REGISTRY, Digest};

/// What a token server may answer at most.
const MAX_TOKEN: u64 = 1 << 20;

/// What is read of an error's explanation.
const MAX_EXPLANATION: u64 = 64 << 10;

/// What we want to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Login,
    Pull,
    /// Also to take blobs over from another repository.
    Push {
        from: Option<String>,
    },
}

/// One repository.
#[derive(Debug)]
pub(super) struct Session {
    http: reqwest::Client,
    base: Url,
    registry: String,
    repository: String,
    access: Access,
    credentials: Credentials,
    /// What the registry last took, or may take.
    authorization: Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

#[derive(Deserialize)]
struct Tags {
    /// Absent, or null, where there are none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Explanation {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Session {
    pub(super) fn new(
        http: reqwest::Client,
        base: Url,
        registry: &str,
        repository: &str,
        access: Access,
        credentials: &Credentials,
    ) -> Self {
        Self {
            http,
            base,
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            access,
            credentials: credentials.clone(),
            authorization: Mutex::new(None),
        }
    }

    /// The URL of something in the repository, as `manifests/latest`.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        self.base
            .join(&format!("{}/{path}", self.repository))
            .map_err(|_| RegistryError::Name(self.registry.clone()))
    }

    /// The URL that a `Location` header means.
    pub(super) fn join(&self, location: &str) -> Option<Url> {
        self.base.join(location).ok()
    }

    pub(super) async fn ping(&self) -> Result<(), RegistryError> {
        let response = self.send(Method::GET, self.base.clone(), |request| request).await?;
        self.expect(response, "its version", &[StatusCode::OK]).await.map(drop)
    }

    /// A manifest, as bytes whose digest is right if one was asked for.
    pub(super) async fn manifest(&self, wanted: &str) -> Result<Vec<u8>, RegistryError> {
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let what = format!("manifest for {}", self.named(wanted));
        let url = self.url(&format!("manifests/{wanted}"))?;
        let response =
            self.send(Method::GET, url, |request| request.header("Accept", &accept)).await?;
        let response = self.expect(response, &what, &[StatusCode::OK]).await?;
        let bytes = self.read(response, &what, MAX_MANIFEST).await?;
        check(&what, &bytes, wanted.parse().ok())?;
        Ok(bytes)
    }

    /// A page of the repository's tags, and where the next one is.
    pub(super) async fn tags(&self, url: Url) -> Result<(Vec<String>, Option<Url>), RegistryError> {
        let what = format!("tags of {}", self.familiar());
        let response = self.send(Method::GET, url, |request| request).await?;
        let response = self.expect(response, &what, &[StatusCode::OK]).await?;
        let next = next_page(response.headers()).and_then(|next| self.join(&next));
        let next = next.filter(|next| next.origin() == self.base.origin());
        let text = self.read(response, &what, MAX_MANIFEST).await?;
        let page: Tags = serde_json::from_slice(&text)
            .map_err(|_| self.unusable(&what, "it is not the JSON that is expected"))?;
        Ok((page.tags.unwrap_or_default(), next))
    }

    /// A small blob, as bytes whose digest is right.
    pub(super) async fn document(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blob {digest}");
        let url = self.url(&format!("blobs/{digest}"))?;
        let response = self.send(Method::GET, url, |request| request).await?;
        let response = self.expect(response, &what, &[StatusCode::OK]).await?;
        let bytes = self.read(response, &what, limit).await?;
        check(&what, &bytes, Some(*digest))?;
        Ok(bytes)
    }

    /// Sends a request; if the registry wants credentials, once more with them.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        // Credentials are for the registry, not for hosts that its answers name.
        let own = url.origin() == self.base.origin();
        let shown = if own { self.authorization.lock().await.clone() } else { None };
        let request = || build(self.http.request(method.clone(), url.clone()));
        let response = self.dispatch(request(), shown.as_ref()).await?;
        // Nor may a host that the registry redirects to ask for them.
        let answered = response.url().origin() == self.base.origin();
        if response.status() != StatusCode::UNAUTHORIZED || !own || !answered {
            return Ok(response);
        }
        let Some(challenge) = Challenge::of(response.headers()) else { return Ok(response) };
        let Some(shown) = self.authorize(&challenge, shown).await? else { return Ok(response) };
        self.dispatch(request(), Some(&shown)).await
    }

    async fn dispatch(
        &self,
        request: RequestBuilder,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        };
        request.send().await.map_err(|source| self.failed(source))
    }

    /// New credentials after `refused` ones; those of another task if it was quicker. None if
    /// there is nothing to show.
    async fn authorize(
        &self,
        challenge: &Challenge,
        refused: Option<HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut current = self.authorization.lock().await;
        if *current != refused {
            return Ok(current.clone());
        }
        let value = match (challenge, &self.credentials) {
            (_, Credentials::Bearer(token)) => bearer(token),
            (Challenge::Basic, Credentials::Basic { user, password }) => basic(user, password),
            (Challenge::Basic, _) => return Ok(None),
            (Challenge::Bearer { realm, service }, _) => {
                bearer(&self.token(realm, service.as_deref()).await?)
            }
        };
        current.clone_from(&value);
        Ok(value)
    }

    async fn token(&self, realm: &str, service: Option<&str>) -> Result<String, RegistryError> {
        let what = "a token";
        let mut url = Url::parse(realm)
            .ok()
            // A registry behind TLS cannot make us show credentials in plain.
            .filter(|url| url.scheme() == "https" || url.scheme() == self.base.scheme())
            .ok_or_else(|| self.unusable(what, "the address of its tokens is not usable"))?;
        let mut fields: Vec<_> = self.scopes().into_iter().map(|scope| ("scope", scope)).collect();
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let request = match &self.credentials {
            Credentials::Identity(token) => {
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("refresh_token", token.clone()));
                fields.push(("client_id", "bulkhead".to_owned()));
                let mut form = self.base.clone();
                form.query_pairs_mut().clear().extend_pairs(&fields);
                self.http
                    .post(url)
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(form.query().unwrap_or_default().to_owned())
            }
            Credentials::Basic { user, password } => {
                url.query_pairs_mut().extend_pairs(&fields).append_pair("account", user);
                self.http.get(url).basic_auth(user, Some(password))
            }
            Credentials::Anonymous | Credentials::Bearer(_) => {
                url.query_pairs_mut().extend_pairs(&fields);
                self.http.get(url)
            }
        };
        let response = self.dispatch(request, None).await?;
        let response = self.expect(response, what, &[StatusCode::OK]).await?;
        let text = self.read(response, what, MAX_TOKEN).await?;
        serde_json::from_slice(&text)
            .ok()
            .map(
                |token: Token| {
                    if token.token.is_empty() { token.access_token } else { token.token }
                },
            )
            .filter(|token| !token.is_empty())
            .ok_or_else(|| self.unusable(what, "it holds no token"))
    }

    fn scopes(&self) -> Vec<String> {
        let scope = |repository: &str, actions| format!("repository:{repository}:{actions}");
        match &self.access {
            Access::Login => Vec::new(),
            Access::Pull => vec![scope(&self.repository, "pull")],
            Access::Push { from } => {
                let source = from.iter().map(|repository| scope(repository, "pull"));
                std::iter::once(scope(&self.repository, "pull,push")).chain(source).collect()
            }
        }
    }

    /// The response if it has one of these statuses, or else the error that it means.
    pub(super) async fn expect(
        &self,
        response: Response,
        what: &str,
        statuses: &[StatusCode],
    ) -> Result<Response, RegistryError> {
        let status = response.status();
        if statuses.contains(&status) {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let fallback = status.canonical_reason().unwrap_or("unknown status").to_owned();
        let message = match self.read(response, what, MAX_EXPLANATION).await {
            Ok(text) => explanation(&text).unwrap_or(fallback),
            Err(_) => fallback,
        };
        let what = what.to_owned();
        let registry = self.registry.clone();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistryError::Denied { repository: self.familiar(), message }
            }
            StatusCode::NOT_FOUND => RegistryError::NotFound { what, message },
            _ => RegistryError::Status { registry, what, status, message, retry_after },
        })
    }

    async fn read(
        &self,
        mut response: Response,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_long = || RegistryError::TooLong { what: what.to_owned(), limit };
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| self.failed(source))? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    pub(super) fn failed(&self, source: reqwest::Error) -> RegistryError {
        if let Some(reason) = untrusted(&source) {
            return RegistryError::Untrusted { registry: self.registry.clone(), reason };
        }
        // The URL may hold a token of a storage service.
        RegistryError::Transport { registry: self.registry.clone(), source: source.without_url() }
    }

    pub(super) fn unusable(&self, what: &str, problem: &'static str) -> RegistryError {
        RegistryError::Answer { registry: self.registry.clone(), what: what.to_owned(), problem }
    }

    fn familiar(&self) -> String {
        match (self.registry.as_str(), self.repository.as_str()) {
            (registry, "") => registry.to_owned(),
            (DEFAULT_REGISTRY, name) => name.strip_prefix("library/").unwrap_or(name).to_owned(),
            (registry, name) => format!("{registry}/{name}"),
        }
    }

    fn named(&self, wanted: &str) -> String {
        let mark = if wanted.contains(':') { '@' } else { ':' };
        format!("{}{mark}{wanted}", self.familiar())
    }
}

/// Why a certificate was refused, if that is what went wrong.
fn untrusted(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        // Errors of streams hold others without being caused by them.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if let Some(error @ rustls::Error::InvalidCertificate(_)) = tls {
            return Some(error.to_string());
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(format!("Basic {text}"))
}

fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn check(what: &str, bytes: &[u8], expected: Option<Digest>) -> Result<(), RegistryError> {
    let found = Digest::of(bytes);
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(RegistryError::Digest { what: what.to_owned(), expected, found }),
        None => Ok(()),
    }
}

/// The target of `Link: <target>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    relation.contains("next").then(|| target.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The first reason of a registry's error document.
fn explanation(text: &[u8]) -> Option<String> {
    let document: Explanation = serde_json::from_slice(text).ok()?;
    let reason = document.errors.into_iter().next()?;
    let code = reason.code.to_lowercase().replace('_', " ");
    let shown = format!("{code}: {}", reason.message);
    Some(shown.chars().filter(|c| !c.is_control()).take(500).collect())
}
