//! Layers that nobody thought of.

use proptest::prelude::*;

use super::archive::Archive;
use super::oracle::{both, differences};

/// A file of a layer: which directory it is in, its kind and a number that shapes it.
#[derive(Debug, Clone)]
struct Sketch {
    directory: usize,
    kind: u8,
    shape: u32,
    xattr: usize,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let kind = prop::sample::select(b"0000551123".to_vec());
    let xattr = prop_oneof![3 => Just(0), 1 => 1..5000usize];
    (any::<prop::sample::Index>(), kind, any::<u32>(), xattr).prop_map(
        |(directory, kind, shape, xattr)| Sketch {
            directory: directory.index(100),
            kind,
            shape,
            xattr,
        },
    )
}

/// The archive of these files, each with a name of its own.
fn archive(sketches: &[Sketch]) -> Vec<u8> {
    let mut directories = vec![".".to_owned()];
    let mut files: Vec<String> = Vec::new();
    let mut archive = Archive::new().folder("./");
    for (n, sketch) in sketches.iter().enumerate() {
        let name = format!("{n}{}", "x".repeat(sketch.shape as usize % 20));
        let path = format!("{}/{name}", directories[sketch.directory % directories.len()]);
        if path.len() > 90 {
            continue;
        }
        let value = vec![b'v'; sketch.xattr];
        if sketch.xattr > 0 {
            archive = archive.extended(&[("SCHILY.xattr.user.v", &value)]);
        }
        archive = match sketch.kind {
            b'5' => {
                directories.push(path.clone());
                archive.folder(&path)
            }
            b'1' if files.is_empty() => archive.file(&path, b""),
            b'1' => archive.link(b'1', &path, &files[sketch.shape as usize % files.len()]),
            b'2' => archive.link(b'2', &path, &"t".repeat(1 + sketch.shape as usize % 99)),
            b'3' => archive.device(b'3', &path, 1 + sketch.shape % 4095, sketch.shape >> 12),
            _ => {
                // Around whole blocks, mostly.
                let len = sketch.shape % 5 * 4096 + (sketch.shape >> 8) % 5000;
                files.push(path.clone());
                archive.file(&path, &vec![n as u8; len as usize])
            }
        };
    }
    archive.bytes()
}

proptest! {
    // Programs are started for each.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_layer_is_as_tar_unpacks_it(sketches in prop::collection::vec(sketch(), 1..60)) {
        prop_assert_eq!(differences(&both(&archive(&sketches))), [""; 0]);
    }
}
