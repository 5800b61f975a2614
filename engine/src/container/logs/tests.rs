//! Logs on a real folder.

use std::time::Duration;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    log: Log,
}

fn fixture(max_size: u64, max_files: u32) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "c", LogSpec::Files { max_size, max_files });
    Fixture { folder, log }
}

async fn texts(log: &Log, selection: Selection) -> Vec<String> {
    let mut reader = log.read(selection).await.unwrap();
    let mut texts = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        texts.push(entry.text);
    }
    texts
}

#[tokio::test]
async fn chunks_become_lines_of_their_streams() {
    let Fixture { log, folder: _folder } = fixture(u64::MAX, 1);
    log.append(Source::Stdout, b"one\ntw");
    log.append(Source::Stderr, b"bad\n");
    log.append(Source::Stdout, b"o\nthree");
    log.end();
    assert_eq!(texts(&log, Selection::ALL).await, ["one\n", "bad\n", "two\n", "three"]);
    let stderr = Selection { stdout: false, ..Selection::ALL };
    assert_eq!(texts(&log, stderr).await, ["bad\n"]);
}

#[tokio::test]
async fn lines_are_written_as_docker_writes_them() {
    let Fixture { log, folder } = fixture(u64::MAX, 1);
    log.append(Source::Stdout, b"a \"b\" \xff\n");
    let text = std::fs::read_to_string(folder.path().join("c-json.log")).unwrap();
    let begin = r#"{"log":"a \"b\" "#;
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains(r#"\n","stream":"stdout","time":"2"#), "{text}");
    assert!(text.ends_with("Z\"}\n"), "{text}");
}

#[tokio::test]
async fn long_lines_are_split_at_16_kib() {
    let Fixture { log, folder: _folder } = fixture(u64::MAX, 1);
    log.append(Source::Stdout, &vec![b'x'; 40_000]);
    log.append(Source::Stdout, b"\n");
    let lengths: Vec<_> = texts(&log, Selection::ALL).await.iter().map(String::len).collect();
    assert_eq!(lengths, [16_384, 16_384, 7_233]);
}

#[tokio::test]
async fn tail_counts_from_the_end_across_files() {
    let Fixture { log, folder } = fixture(200, 3);
    for number in 0..7 {
        log.append(Source::Stdout, format!("line {number}\n").as_bytes());
    }
    assert!(folder.path().join("c-json.log.2").exists());
    let tail = |lines| Selection { tail: Some(lines), ..Selection::ALL };
    assert_eq!(texts(&log, tail(0)).await, [""; 0]);
    assert_eq!(texts(&log, tail(1)).await, ["line 6\n"]);
    assert_eq!(texts(&log, tail(3)).await, ["line 4\n", "line 5\n", "line 6\n"]);
    assert_eq!(texts(&log, tail(99)).await.last().unwrap(), "line 6\n");
}

#[tokio::test]
async fn a_rotated_log_is_bounded() {
    let Fixture { log, folder } = fixture(1000, 3);
    for number in 0..500 {
        log.append(Source::Stdout, format!("line {number}\n").as_bytes());
    }
    let sizes = folder.path().read_dir().unwrap().map(|f| f.unwrap().metadata().unwrap().len());
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().sum::<u64>() <= 3000, "{sizes:?}");
    assert_eq!(texts(&log, Selection::ALL).await.last().unwrap(), "line 499\n");
}

#[tokio::test]
async fn followers_get_everything_across_rotations_and_end_with_the_run() {
    let Fixture { log, folder: _folder } = fixture(2000, 4);
    log.begin();
    let follow = Selection { follow: true, ..Selection::ALL };
    let mut reader = log.read(follow).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut texts = Vec::new();
        while let Some(entry) = reader.next().await.unwrap() {
            texts.push(entry.text);
        }
        texts
    });
    for number in 0..100 {
        log.append(Source::Stdout, format!("{number}\n").as_bytes());
        tokio::task::yield_now().await;
    }
    log.end();
    let texts = tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
    let expected: Vec<_> = (0..100).map(|number| format!("{number}\n")).collect();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn half_a_line_of_a_crash_is_passed_over() {
    let Fixture { log, folder } = fixture(u64::MAX, 1);
    std::fs::write(folder.path().join("c-json.log"), "{\"log\":\"ha").unwrap();
    log.append(Source::Stdout, b"whole\n");
    assert_eq!(texts(&log, Selection::ALL).await, ["whole\n"]);
}

#[tokio::test]
async fn since_and_until_are_limits() {
    let Fixture { log, folder } = fixture(u64::MAX, 1);
    let line = |second: u32| {
        format!(
            "{{\"log\":\"{second}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:0{second}Z\"}}\n"
        )
    };
    let text: String = (1..6).map(line).collect();
    std::fs::write(folder.path().join("c-json.log"), text).unwrap();
    let at = |text| super::super::moment::parse(text);
    let selection = Selection {
        since: at("2026-01-02T03:04:02Z"),
        until: at("2026-01-02T03:04:04Z"),
        ..Selection::ALL
    };
    assert_eq!(texts(&log, selection).await, ["2\n", "3\n", "4\n"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let spec = LogSpec::Files { max_size: 1000, max_files: 2 };
    let log = Log::new(&folder.path().join("missing"), "c", spec);
    log.append(Source::Stdout, b"lost\n");
    std::fs::create_dir(folder.path().join("missing")).unwrap();
    log.append(Source::Stdout, b"kept\n");
    assert_eq!(texts(&log, Selection::ALL).await, ["kept\n"]);
}

#[tokio::test]
async fn no_log_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "c", LogSpec::None);
    log.append(Source::Stdout, b"gone\n");
    assert!(matches!(log.read(Selection::ALL).await, Err(LogError::NotKept)));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn full_disk_costs_lines_and_holds_up_nobody() {
    let Fixture { log, folder } = fixture(u64::MAX, 1);
    let file = folder.path().join("c-json.log");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    for _ in 0..1_000 {
        log.append(Source::Stdout, b"lost\n");
    }
    // Somebody made room.
    std::fs::remove_file(&file).unwrap();
    log.append(Source::Stdout, b"kept\n");
    log.end();
    assert_eq!(texts(&log, Selection::ALL).await, ["kept\n"]);
}
