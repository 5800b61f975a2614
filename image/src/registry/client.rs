//! The client of all registries: its settings, and attempts after failures.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::{Attempt, Policy};

use super::session::{Access, Session};
use super::trust::{self, Trust, TrustError};
use super::{Credentials, RegistryError};
use crate::{DEFAULT_REGISTRY, Reference};

/// A registry may not make us wait longer before the next attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How to deal with registries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Registries that speak plain HTTP, besides those of this host.
    pub insecure: Vec<String>,
    /// Folders with a folder for each registry that has certificates of its own, as Docker's
    /// `/etc/docker/certs.d`. A registry that has one speaks TLS, also on this host.
    pub certificates: Vec<PathBuf>,
    /// How often to try before giving up; after progress the count begins anew.
    pub attempts: u32,
    /// The pause before the second attempt; doubled for each more.
    pub pause: Duration,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long a registry may be silent.
    pub stall: Duration,
    /// Layers on their way at once.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            certificates: trust::folders(),
            attempts: 5,
            pause: Duration::from_millis(500),
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            parallel: 3,
        }
    }
}

/// The client; clones share its connections.
#[derive(Clone, Debug)]
pub struct Registries {
    http: reqwest::Client,
    pub(super) settings: Arc<Settings>,
}

impl Registries {
    /// A client with these settings, which trusts the certificates that the host trusts. On a
    /// host that has none, registries without TLS can still be used.
    ///
    /// # Errors
    ///
    /// No client for HTTP can be made.
    pub fn new(settings: Settings) -> Result<Self, RegistryError> {
        // Somebody else in the process may have chosen one: then that is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = settings.client(&Trust::default()).map_err(RegistryError::Client)?;
        Ok(Self { http, settings: Arc::new(settings) })
    }

    /// The client for a registry, and where it is. What the user has put there for a registry is
    /// read anew each time.
    fn reach(&self, registry: &str) -> Result<(reqwest::Client, Url), RegistryError> {
        let folders = &self.settings.certificates;
        let failed = |source| RegistryError::Trust { registry: registry.to_owned(), source };
        let trust = Trust::of(registry, folders).map_err(failed)?;
        let http = match &trust {
            Some(trust) => {
                self.settings.client(trust).map_err(|error| failed(TrustError::Refused(error)))?
            }
            None => self.http.clone(),
        };
        Ok((http, self.base(registry, trust.is_some())?))
    }

    /// Whether a registry takes the credentials, as `docker login` wants to know.
    ///
    /// # Errors
    ///
    /// It does not, or is not reached.
    pub async fn login(
        &self,
        registry: &str,
        credentials: &Credentials,
    ) -> Result<(), RegistryError> {
        let (http, base) = self.reach(registry)?;
        let session = Session::new(http, base, registry, "", Access::Login, credentials);
        session.ping().await
    }

    pub(super) fn session(
        &self,
        image: &Reference,
        access: Access,
        credentials: &Credentials,
    ) -> Result<Session, RegistryError> {
        let (registry, repository) = (image.registry(), image.repository());
        let (http, base) = self.reach(registry)?;
        Ok(Session::new(http, base, registry, repository, access, credentials))
    }

    fn base(&self, registry: &str, certified: bool) -> Result<Url, RegistryError> {
        let host = if registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { registry };
        let insecure = is_loopback(host) || self.settings.insecure.iter().any(|n| n == registry);
        let plain = insecure && !certified;
        let scheme = if plain { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/"))
            .ok()
            .filter(|url| url.path() == "/v2/" && url.username().is_empty())
            .ok_or_else(|| RegistryError::Name(registry.to_owned()))
    }

    /// Calls `attempt` until it succeeds, fails for good, or often enough.
    pub(super) async fn retry<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut failures = 0;
        loop {
            match attempt().await {
                Err(error) => {
                    failures += 1;
                    let pause = self.settings.pause_after(failures, &error).ok_or(error)?;
                    tokio::time::sleep(pause).await;
                }
                done => return done,
            }
        }
    }
}

impl Settings {
    /// A client that trusts the certificates that the host trusts, and these.
    fn client(&self, trust: &Trust) -> Result<reqwest::Client, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(self.connect)
                .read_timeout(self.stall)
                .redirect(Policy::custom(follow))
        };
        trust.apply(builder(), false).build().or_else(|error| {
            log::warn!("only registries with certificates of their own are trusted: {error:?}");
            trust.apply(builder(), true).build()
        })
    }

    /// The pause after so many failures in a row; none if there is no sense in another attempt.
    pub(super) fn pause_after(&self, failures: u32, error: &RegistryError) -> Option<Duration> {
        if !error.is_transient() || failures >= self.attempts {
            return None;
        }
        let doubled = self.pause.saturating_mul(1 << (failures - 1).min(16));
        Some(error.retry_after().unwrap_or_default().max(doubled).min(LONGEST_PAUSE))
    }
}

/// Redirects are followed, as registries keep blobs elsewhere, but never out of TLS. Credentials
/// do not go along to another host: the client sees to that.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if from_tls && attempt.url().scheme() != "https" {
        return attempt.error("redirected from TLS to plain HTTP");
    }
    Policy::default().redirect(attempt)
}

/// Whether `host`, which may have a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let name = if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_is_spoken_to_in_plain() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "a:5000", "[::2]:80", "127.0.0.1.nip.io"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn registry_that_is_said_to_be_insecure_is_spoken_to_in_plain() {
        let insecure = vec!["a:5000".to_owned()];
        let client = Registries::new(Settings { insecure, ..Settings::default() }).unwrap();
        assert_eq!(client.base("a:5000", false).unwrap().as_str(), "http://a:5000/v2/");
        assert_eq!(client.base("a:5000", true).unwrap().as_str(), "https://a:5000/v2/");
        assert_eq!(client.base("a:5001", false).unwrap().as_str(), "https://a:5001/v2/");
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let client = Registries::new(Settings::default()).unwrap();
        assert_eq!(
            client.base("docker.io", false).unwrap().as_str(),
            "https://registry-1.docker.io/v2/"
        );
        for name in ["", "a/b", "user@host", "host?x", "host#x"] {
            assert!(client.base(name, false).is_err(), "{name}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_heed_the_registry() {
        let settings = Settings { attempts: 100, ..Settings::default() };
        let error = |retry_after| RegistryError::Status {
            registry: String::new(),
            what: String::new(),
            status: reqwest::StatusCode::TOO_MANY_REQUESTS,
            message: String::new(),
            retry_after,
        };
        let pause = |failures| settings.pause_after(failures, &error(None)).unwrap();
        assert_eq!(pause(1), Duration::from_millis(500));
        assert_eq!(pause(3), Duration::from_secs(2));
        assert_eq!(pause(60), LONGEST_PAUSE);
        let asked = Some(Duration::from_secs(7));
        assert_eq!(settings.pause_after(1, &error(asked)), asked);
        assert_eq!(settings.pause_after(100, &error(None)), None);
    }
}
