//! Credentials, and registries that do not want to talk now.

use base64::Engine as _;

use super::*;

fn user() -> Credentials {
    Credentials::Basic { user: "me".to_owned(), password: "secret".to_owned() }
}

fn basic() -> String {
    let text = base64::engine::general_purpose::STANDARD.encode("me:secret");
    format!("Basic {text}")
}

fn authorization(request: &Request) -> &str {
    request.headers.get("authorization").map_or("", String::as_str)
}

/// A registry whose tokens come from itself.
async fn with_tokens(sample: Sample, grant: fn(&Request) -> Reply) -> Server {
    Server::start(move |request| {
        let host = &request.headers["host"];
        match request.path.starts_with("/token") {
            true => grant(request),
            false if authorization(request) == "Bearer good" => sample.answer(request),
            false => Reply::status(401).header(
                "WWW-Authenticate",
                format!("Bearer realm=\"http://{host}/token\",service=\"here\""),
            ),
        }
    })
    .await
}

#[tokio::test]
async fn token_is_fetched_once_for_what_is_pulled() {
    let server = with_tokens(Sample::of(b"hello"), |request| {
        assert_eq!(authorization(request), "");
        Reply::ok(r#"{"token":"good","expires_in":60}"#)
    })
    .await;
    Client::new().pull(&server).await.unwrap();
    let tokens: Vec<_> =
        server.seen().into_iter().filter(|request| request.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?scope=repository%3Ateam%2Fapp%3Apull&service=here");
}

#[tokio::test]
async fn password_goes_to_the_token_server_only() {
    let server = with_tokens(Sample::of(b"hello"), |request| {
        assert_eq!(authorization(request), basic());
        Reply::ok(r#"{"access_token":"good"}"#)
    })
    .await;
    Client::new().pull_with(&server, user()).await.unwrap();
    let leaked = server.seen().into_iter().find(|request| {
        !request.path.starts_with("/token") && authorization(request).starts_with("Basic")
    });
    assert!(leaked.is_none(), "{leaked:?}");
}

#[tokio::test]
async fn identity_token_is_exchanged_in_a_form() {
    let server = with_tokens(Sample::of(b"hello"), |request| {
        let form = String::from_utf8(request.body.clone()).unwrap();
        assert_eq!(request.method, "POST");
        assert!(form.contains("grant_type=refresh_token&refresh_token=a%2Fb"), "{form}");
        Reply::ok(r#"{"access_token":"good"}"#)
    })
    .await;
    let identity = Credentials::Identity("a/b".to_owned());
    Client::new().pull_with(&server, identity).await.unwrap();
}

#[tokio::test]
async fn token_server_that_refuses_is_told_of() {
    let server = with_tokens(Sample::of(b"hello"), |_| Reply {
        status: 401,
        ..Reply::ok(r#"{"errors":[{"code":"DENIED","message":"wrong password"}]}"#)
    })
    .await;
    let error = Client::new().pull_with(&server, user()).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Denied { message, .. } if message == "denied: wrong password")
    );
}

#[tokio::test]
async fn registry_that_refuses_every_token_is_not_asked_for_ever() {
    let server =
        with_tokens(Sample::of(b"hello"), |_| Reply::ok(r#"{"token":"never good"}"#)).await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn token_that_expires_on_the_way_is_renewed() {
    let sample = Sample::of(b"hello");
    let (issued, wanted) = (counter(), Arc::new(AtomicUsize::new(0)));
    let server = Server::start(move |request| {
        let host = &request.headers["host"];
        if request.path.starts_with("/token") {
            return Reply::ok(format!(r#"{{"token":"{}"}}"#, issued()));
        }
        // The manifest with the first token, all else with the second.
        if sample.is_layer(request) {
            wanted.store(1, Ordering::Relaxed);
        }
        match authorization(request) == format!("Bearer {}", wanted.load(Ordering::Relaxed)) {
            true => sample.answer(request),
            false => Reply::status(401)
                .header("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\"")),
        }
    })
    .await;
    Client::new().pull(&server).await.unwrap();
    assert_eq!(server.count("GET", "/token"), 2);
}

#[tokio::test]
async fn basic_credentials_are_shown_when_asked_for() {
    let sample = Sample::of(b"hello");
    let server = Server::start(move |request| match authorization(request) == basic() {
        true => sample.answer(request),
        false => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"here\""),
    })
    .await;
    let client = Client::new();
    assert!(matches!(client.pull(&server).await, Err(RegistryError::Denied { .. })));
    client.pull_with(&server, user()).await.unwrap();
}

#[tokio::test]
async fn login_tells_right_from_wrong_credentials() {
    let server = Server::start(move |request| match authorization(request) == basic() {
        true => Reply::ok("{}"),
        false => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"here\""),
    })
    .await;
    let registry = server.address.to_string();
    let client = Client::new();
    client.registries.login(&registry, &user()).await.unwrap();
    let wrong = Credentials::Basic { user: "me".to_owned(), password: "x".to_owned() };
    let error = client.registries.login(&registry, &wrong).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn redirect_to_another_host_takes_no_credentials_along() {
    let sample = Sample::of(b"hello");
    let blobs = sample.clone();
    let storage = Server::start(move |request| blobs.answer(request)).await;
    let elsewhere = storage.address;
    let server = Server::start(move |request| match authorization(request) == basic() {
        false => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"here\""),
        true if request.path.contains("/blobs/") => {
            let location = format!("http://{elsewhere}{}", request.path);
            Reply::status(307).header("Location", location)
        }
        true => sample.answer(request),
    })
    .await;
    Client::new().pull_with(&server, user()).await.unwrap();
    let seen = storage.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn host_that_a_redirect_leads_to_gets_no_password_for_a_challenge_of_its_own() {
    let thief = Server::start(|request| match request.path.starts_with("/token") {
        true => Reply::ok(r#"{"token":"good"}"#),
        false => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
            Reply::status(401).header("WWW-Authenticate", realm)
        }
    })
    .await;
    let (sample, elsewhere) = (Sample::of(b"hello"), thief.address);
    let server = Server::start(move |request| match request.path.contains("/blobs/") {
        true => {
            let location = format!("http://{elsewhere}{}", request.path);
            Reply::status(307).header("Location", location)
        }
        false => sample.answer(request),
    })
    .await;
    let refused = Client::new().pull_with(&server, user()).await;
    assert!(matches!(refused, Err(RegistryError::Denied { .. })), "{refused:?}");
    let seen = thief.seen();
    assert!(seen.iter().any(|request| request.path.contains("/blobs/")));
    assert!(seen.iter().all(|request| authorization(request).is_empty()));
    assert_eq!(thief.count("GET", "/token"), 0);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::start(|request| {
        let host = &request.headers["host"];
        Reply::status(302).header("Location", format!("http://{host}/v2/again"))
    })
    .await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(chain(&error).contains("too many redirects"), "{}", chain(&error));
    assert!(server.seen().len() < 15);
}

#[tokio::test]
async fn busy_registry_is_asked_again() {
    let sample = Sample::of(b"hello");
    let attempt = counter();
    let server = Server::start(move |request| match attempt() {
        0 => Reply::status(429),
        1 => Reply::status(503),
        3 => Reply::status(500),
        _ => sample.answer(request),
    })
    .await;
    Client::new().pull(&server).await.unwrap();
}

#[tokio::test]
async fn registry_that_stays_busy_is_given_up() {
    let server = Server::start(|_| {
        let text = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        Reply { status: 429, ..Reply::ok(text) }
    })
    .await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(error.to_string().ends_with("toomanyrequests: slow down"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn missing_image_is_not_asked_for_again() {
    let server = Server::start(|_| {
        let text = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        Reply { status: 404, ..Reply::ok(text) }
    })
    .await;
    let error = Client::new().pull(&server).await.unwrap_err();
    let shown = format!(
        "manifest for {}/team/app:1 not found: manifest unknown: manifest unknown",
        server.address
    );
    assert_eq!(error.to_string(), shown);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn registry_that_falls_silent_is_given_up() {
    let server = spoiled(Sample::of(&noise(100_000)), move |reply| {
        reply.length = Some(reply.body.len() as u64);
        reply.body.truncate(40_000);
        reply.then = Then::Silence;
    })
    .await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::Transport { .. }), "{error:?}");
    assert_eq!(client.files(), 0);
}

#[tokio::test]
async fn registry_that_is_not_there_is_named() {
    let server = Server::start(|_| Reply::status(200)).await;
    let address = server.address;
    drop(server);
    let client = Client::new();
    let image = format!("{address}/app").parse().unwrap();
    let options = PullOptions::default();
    let error = client.registries.pull(&client.store, &image, &options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to talk to registry {address}"));
}

#[test]
fn registries_of_this_host_need_no_certificates() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "registry::tests::content::image_is_pulled_and_named"])
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The engine runs transfers on threads that take any task.
#[test]
fn transfers_go_from_thread_to_thread() {
    fn sent<T: Send>(_: T) {}
    let client = Client::new();
    let (registries, store) = (&client.registries, &client.store);
    let image: Reference = "localhost/app".parse().unwrap();
    let (options, observer) = (PullOptions::default(), Observer::default());
    sent(registries.pull(store, &image, &options));
    sent(registries.push(store, &image, &options.credentials, &observer));
    sent(registries.login("localhost", &options.credentials));
}
