//! Manifests, lists, configurations and names of images: what is accepted says the same when it
//! is written and read again.
#![no_main]

use image::config::ImageConfig;
use image::manifest::Document;
use image::{Platform, Reference};
use libfuzzer_sys::fuzz_target;

fn manifest(bytes: &[u8]) {
    let Ok(document) = Document::parse(bytes) else { return };
    let text = match &document {
        Document::Image(manifest) => serde_json::to_vec(manifest),
        Document::List(list) => {
            let _ = list.choose(&Platform::of_guests());
            serde_json::to_vec(list)
        }
    };
    let again = Document::parse(&text.expect("a manifest can be written"));
    assert_eq!(again.expect("what was written can be read"), document);
}

fn config(bytes: &[u8]) {
    let Ok(config) = ImageConfig::parse(bytes) else { return };
    let text = serde_json::to_vec(&config).expect("a configuration can be written");
    let again = ImageConfig::parse(&text).expect("what was written can be read");
    assert_eq!(again, config);
}

fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = text.parse::<Reference>() else { return };
    assert_eq!(name.to_string().parse().as_ref(), Ok(&name));
    assert_eq!(name.familiar().parse().as_ref(), Ok(&name));
}

fuzz_target!(|bytes: &[u8]| {
    manifest(bytes);
    config(bytes);
    name(bytes);
});
