//! A large image with every kind of file, as a container sees it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::ensure;
use tests::{TestEngine, container_image};

/// Says of each file what the image's list has: see `guest-images/recipes/large-image.py`.
const LIST: &str = r#"
find /large -type d -exec stat -c '%n|%f|%u|%g|%Y|||0:0' {} +
find /large ! -type d -exec stat -c '%n|%f|%u|%g|%Y|%s|%h|%t:%T' {} +
find /large -type f -exec md5sum {} +
find /large -type l -exec sh -c 'for l; do echo "$l -> $(readlink "$l")"; done' sh {} +
"#;

#[test]
fn container_sees_each_file_of_a_large_image_as_the_archive_has_it() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load("large")?;
    let output = engine.docker(&["run", "--rm", "large", "sh", "-c", LIST])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = fs::read(container_image("large")?.with_extension("list"))?;
    let [seen, expected] = [&output.stdout, &expected].map(|text| lines(text));
    let differences: Vec<_> = seen
        .symmetric_difference(&expected)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .take(20)
        .collect();
    ensure!(differences.is_empty(), "{differences:#?}");
    ensure!(seen.len() > 30_000, "{} lines", seen.len());
    Ok(())
}

fn lines(text: &[u8]) -> BTreeSet<&[u8]> {
    text.split(|byte| *byte == b'\n').collect()
}
