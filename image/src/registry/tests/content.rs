//! Blobs and manifests that are not what they should be.

use super::*;

#[tokio::test]
async fn image_is_pulled_and_named() {
    let sample = Sample::of(b"hello");
    let honest = sample.clone();
    let server = Server::start(move |request| honest.answer(request)).await;
    let client = Client::new();
    let pulled = client.pull(&server).await.unwrap();
    assert_eq!(pulled.digest, Digest::of(&sample.manifest));
    assert!(!pulled.up_to_date);
    let image = client.store.find(&name(&server).to_string()).unwrap();
    assert_eq!((image.id(), image.id().0), (pulled.id, Digest::of(&sample.config)));
    assert_eq!(image.repo_digests(), [format!("{}/team/app@{}", server.address, pulled.digest)]);
    assert!(image.layers()[0].is_file());
    assert_eq!(client.phases().last(), Some(&Phase::Done));
}

#[tokio::test]
async fn second_pull_fetches_no_layer() {
    let sample = Sample::of(b"hello");
    let blob = sample.blob();
    let server = Server::start(move |request| sample.answer(request)).await;
    let client = Client::new();
    client.pull(&server).await.unwrap();
    assert!(client.pull(&server).await.unwrap().up_to_date);
    assert_eq!(server.count("GET", &blob), 1);
    assert_eq!(client.phases().last(), Some(&Phase::Exists));
}

#[tokio::test]
async fn two_pulls_at_once_fetch_a_layer_once() {
    let sample = Sample::of(&noise(300_000));
    let blob = sample.blob();
    let server = Server::start(move |request| sample.answer(request)).await;
    let client = Client::new();
    let (one, two) = tokio::join!(client.pull(&server), client.pull(&server));
    assert_eq!(one.unwrap().id, two.unwrap().id);
    assert_eq!(server.count("GET", &blob), 1);
}

#[tokio::test]
async fn blob_that_breaks_off_is_fetched_on_from_there() {
    let sample = Sample::of(&noise(100_000));
    let layer = sample.layers[0].clone();
    let answer = sample.clone();
    let server = Server::start(move |request| match request.headers.get("range") {
        _ if !answer.is_layer(request) => answer.answer(request),
        None => Reply { length: Some(layer.len() as u64), ..Reply::ok(layer[..40_000].to_vec()) },
        Some(range) => {
            let start = range.strip_prefix("bytes=").unwrap().trim_end_matches('-');
            let rest = &layer[start.parse::<usize>().unwrap()..];
            let range = format!("bytes {start}-{}/{}", layer.len() - 1, layer.len());
            Reply { status: 206, ..Reply::ok(rest) }.header("Content-Range", range)
        }
    })
    .await;
    let client = Client::new();
    client.pull(&server).await.unwrap();
    let ranges: Vec<_> =
        server.seen().iter().filter_map(|r| r.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=40000-"]);
    assert!(client.phases().iter().any(|phase| matches!(phase, Phase::Retrying(_))));
}

#[tokio::test]
async fn registry_without_ranges_sends_all_again() {
    let sample = Sample::of(&noise(100_000));
    let attempt = counter();
    let server = Server::start(move |request| {
        let whole = sample.answer(request);
        match sample.is_layer(request) && attempt() == 0 {
            true => {
                let length = Some(whole.body.len() as u64);
                Reply { length, ..Reply::ok(whole.body[..40_000].to_vec()) }
            }
            false => whole,
        }
    })
    .await;
    Client::new().pull(&server).await.unwrap();
}

#[tokio::test]
async fn part_that_was_not_asked_for_is_refused() {
    let sample = Sample::of(&noise(100_000));
    let layer = sample.layers[0].clone();
    let server = Server::start(move |request| match request.headers.get("range") {
        _ if !sample.is_layer(request) => sample.answer(request),
        None => Reply { length: Some(layer.len() as u64), ..Reply::ok(layer[..40_000].to_vec()) },
        Some(_) => Reply { status: 206, ..Reply::ok(layer.clone()) }
            .header("Content-Range", format!("bytes 0-{0}/{0}", layer.len())),
    })
    .await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::Answer { .. }), "{error:?}");
    assert_eq!(client.files(), 0);
}

#[tokio::test]
async fn truncated_blob_fails_after_some_attempts() {
    let sample = Sample::of(&noise(100_000));
    let (blob, size) = (sample.blob(), sample.layers[0].len() as u64);
    let server = Server::start(move |request| {
        let mut reply = sample.answer(request);
        if sample.is_layer(request) {
            reply.body.truncate(40_000);
        }
        reply
    })
    .await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Truncated { received: 40_000, size: s, .. } if s == size),
        "{error:?}"
    );
    assert_eq!(server.count("GET", &blob), 3);
    assert_eq!(client.files(), 0);
}

#[tokio::test]
async fn blob_with_another_digest_is_refused_and_not_kept() {
    let server = spoiled(Sample::of(&noise(10_000)), move |reply| {
        // The time in gzip's header: it inflates to the same.
        reply.body[4] ^= 1;
    })
    .await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(chain(&error).contains("its digest is sha256:"), "{}", chain(&error));
    assert_eq!(client.files(), 0);
    assert!(client.store.images().is_empty());
}

#[tokio::test]
async fn blob_that_is_longer_than_its_manifest_says_is_refused() {
    let server = spoiled(Sample::of(&noise(10_000)), move |reply| {
        reply.body.extend([0; 100]);
    })
    .await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error:?}");
    assert_eq!(client.files(), 0);
}

#[tokio::test]
async fn layer_with_other_content_than_the_configuration_says_is_refused() {
    let config = serde_json::json!({
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"something else")]},
    });
    let layers = vec![gzip(&archive(b"hello"))];
    let sample = Sample::made_of(config.to_string().into_bytes(), layers);
    let server = Server::start(move |request| sample.answer(request)).await;
    let client = Client::new();
    let error = client.pull(&server).await.unwrap_err();
    assert!(chain(&error).contains("the digest of its content is"), "{}", chain(&error));
    assert_eq!(client.files(), 0);
}

#[tokio::test]
async fn configuration_with_fewer_layers_than_the_manifest_is_refused() {
    let config = br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let sample = Sample::made_of(config, vec![gzip(&archive(b"hello"))]);
    let server = Server::start(move |request| sample.answer(request)).await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::Layers { manifest: 1, config: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn manifest_of_100_mb_is_refused_unread() {
    let server =
        Server::start(|_| Reply { length: Some(100 << 20), then: Then::Silence, ..Reply::ok("{") })
            .await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn manifest_without_end_is_refused() {
    let server =
        Server::start(|_| Reply { then: Then::Repeat, ..Reply::ok(vec![b' '; 65_536]) }).await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn list_gives_our_image_and_is_what_the_name_means() {
    let sample = Sample::of(b"hello");
    let manifest = Digest::of(&sample.manifest);
    let list = list_of(&sample, &["arm64", "amd64"]);
    let text = list.clone();
    let server = Server::start(move |request| match request.path.ends_with("/1") {
        true => Reply::ok(text.clone()),
        false => sample.answer(request),
    })
    .await;
    let client = Client::new();
    let pulled = client.pull(&server).await.unwrap();
    assert_eq!(pulled.digest, Digest::of(list.as_bytes()));
    assert_eq!(client.store.image(&pulled.id).unwrap().manifest(), (manifest, OCI_MANIFEST));
}

#[tokio::test]
async fn list_without_our_platform_names_those_it_has() {
    let list = list_of(&Sample::of(b"hello"), &["arm64", "s390x"]);
    let server = Server::start(move |_| Reply::ok(list.clone())).await;
    let error = Client::new().pull(&server).await.unwrap_err();
    let text = chain(&error);
    assert!(text.ends_with("which offers linux/arm64, linux/s390x"), "{text}");
}

#[tokio::test]
async fn list_in_a_list_is_refused() {
    let list = list_of(&Sample::of(b"hello"), &["amd64"]);
    let inner = format!("{list} ");
    let outer = list.replace(
        &Digest::of(&Sample::of(b"hello").manifest).to_string(),
        &Digest::of(inner.as_bytes()).to_string(),
    );
    let server = Server::start(move |request| match request.path.ends_with("/1") {
        true => Reply::ok(outer.clone()),
        false => Reply::ok(inner.clone()),
    })
    .await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(chain(&error).contains("has another in it"), "{}", chain(&error));
}

#[tokio::test]
async fn what_a_registry_has_is_looked_at() {
    let sample = Sample::of(b"hello");
    let list = list_of(&sample, &["arm64", "amd64"]);
    let (text, image) = (list.clone(), Digest::of(&sample.manifest));
    let server = Server::start(move |request| match request.path.ends_with("/1") {
        true => Reply::ok(text.clone()),
        false => sample.answer(request),
    })
    .await;
    let registries = Client::new().registries;
    let found = registries.look(&name(&server), &Credentials::Anonymous).await.unwrap();
    assert_eq!((found.digest, found.size), (Digest::of(list.as_bytes()), list.len() as u64));
    let platforms: Vec<_> = found.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/amd64"]);
    let one = name(&server).with_digest(image);
    let found = registries.look(&one, &Credentials::Anonymous).await.unwrap();
    assert_eq!((found.media_type.as_str(), found.digest), (OCI_MANIFEST, image));
    assert_eq!(found.platforms.len(), 1);
}

#[tokio::test]
async fn tags_are_read_page_by_page() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v2/team/app/tags/list" => Reply::ok(r#"{"name":"team/app","tags":["1","2"]}"#)
            .header("Link", "</v2/team/app/tags/list?last=2>; rel=\"next\""),
        "/v2/team/app/tags/list?last=2" => Reply::ok(r#"{"tags":["3"]}"#),
        _ => Reply::ok(r#"{"tags":null}"#),
    })
    .await;
    let registries = Client::new().registries;
    let anonymous = Credentials::Anonymous;
    assert_eq!(registries.tags(&name(&server), &anonymous).await.unwrap(), ["1", "2", "3"]);
    let empty = format!("{}/empty", server.address).parse().unwrap();
    assert_eq!(registries.tags(&empty, &anonymous).await.unwrap(), [""; 0]);
}

fn list_of(sample: &Sample, architectures: &[&str]) -> String {
    let manifests: Vec<_> = architectures
        .iter()
        .map(|architecture| {
            serde_json::json!({
                "mediaType": OCI_MANIFEST, "digest": Digest::of(&sample.manifest),
                "size": sample.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            })
        })
        .collect();
    serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string()
}

#[tokio::test]
async fn artifact_is_refused_by_its_type() {
    let sample = Sample::of(b"hello");
    let chart = String::from_utf8(sample.manifest.clone()).unwrap();
    let chart = chart.replace(OCI_CONFIG, "application/vnd.cncf.helm.config.v1+json");
    let server = Server::start(move |_| Reply::ok(chart.clone())).await;
    let error = Client::new().pull(&server).await.unwrap_err();
    assert!(chain(&error).contains("an OCI artifact (application/vnd.cncf.helm"), "{error:?}");
}

/// Not in a runtime of the test's macro: its end waits for the thread that imports.
#[test]
fn pull_that_is_given_up_leaves_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new();
    runtime.block_on(async {
        let sample = Sample::of(&noise(100_000));
        let begun = Arc::new(tokio::sync::Notify::new());
        let tell = begun.clone();
        let server = Server::start(move |request| {
            let mut reply = sample.answer(request);
            if sample.is_layer(request) {
                reply.length = Some(reply.body.len() as u64);
                reply.body.truncate(40_000);
                reply.then = Then::Silence;
                tell.notify_one();
            }
            reply
        })
        .await;
        tokio::select! {
            result = client.pull(&server) => panic!("{result:?}"),
            () = begun.notified() => {}
        }
    });
    drop(runtime);
    assert_eq!(client.files(), 0);
}
