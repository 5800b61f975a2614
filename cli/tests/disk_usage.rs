//! `bulkhead system df`, as Docker's own command prints the same answer.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Engine, text};
use serde_json::{Value, json};

/// Two images that share a layer, one of them unused, and a container and a volume of either kind.
fn usage() -> Value {
    let image = |id: &str, tags: Value, size, containers| {
        json!({
            "Id": format!("sha256:{id}"), "RepoTags": tags, "RepoDigests": [],
            "Created": 1_700_000_000, "Size": size, "SharedSize": 1_000_000,
            "Containers": containers,
        })
    };
    let container = |name: &str, state: &str, size, mounts: Value| {
        json!({
            "Id": "cccccccccccccccc", "Names": [format!("/{name}")], "Image": "a:1",
            "Command": "sleep 100 and a very long command", "Created": 1_700_000_000,
            "SizeRw": size, "State": state, "Status": "Up or not", "Labels": { "a": "b" },
            "Mounts": mounts,
        })
    };
    let volume = |name: &str, size, users| {
        let usage = json!({ "Size": size, "RefCount": users });
        json!({ "Name": name, "Driver": "local", "Mountpoint": "/m", "Scope": "local",
                "Labels": { "k": "v" }, "UsageData": usage })
    };
    json!({
        "LayersSize": 5_001_000,
        "Images": [image("1111111111112222", json!(["a:1", "b:2"]), 4_001_000, 1),
                   image("3333333333332222", json!([]), 2_000_000, 0)],
        "Containers": [container("web", "running", 1000, json!([{ "Type": "volume", "Name": "v" }])),
                       container("old", "exited", 500, json!([]))],
        "Volumes": [volume("v1", 30, 1), volume("v2", 70, 0)],
        "BuildCache": [],
    })
}

fn df(arguments: &[&str]) -> String {
    let engine = Engine::answering(|_| (200, usage().to_string())).unwrap();
    let output = engine.bulkhead(&[&["system", "df"], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The cells of each line, with bars between them.
fn cells(shown: &str) -> Vec<String> {
    let words = |line| str::split(line, "  ").map(str::trim).filter(|word| !word.is_empty());
    shown.lines().map(|line| words(line).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn what_nothing_needs_is_shown_with_its_part_of_all() {
    let shown = df(&[]);
    let expected = [
        "TYPE|TOTAL|ACTIVE|SIZE|RECLAIMABLE",
        "Images|2|1|5.001MB|2MB (39%)",
        "Containers|2|1|1.5kB|500B (33%)",
        "Local Volumes|2|1|100B|70B (70%)",
        "Build Cache|0|0|0B|0B",
    ];
    assert_eq!(cells(&shown), expected);
    // The columns begin where Docker's do: none is narrower than ten.
    assert!(
        shown.starts_with("TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"),
        "{shown}"
    );
    let line = df(&["--format", "json"]).lines().next().map(str::to_owned).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let images = json!({ "Type": "Images", "TotalCount": "2", "Active": "1", "Size": "5.001MB",
                         "Reclaimable": "2MB (39%)" });
    assert_eq!(line, images);
    let shown = df(&["--format", "{{.Type}} {{.Reclaimable}}"]);
    assert!(shown.ends_with("Local Volumes 70B (70%)\nBuild Cache 0B\n"), "{shown}");
}

#[test]
fn details_are_in_dockers_sections() {
    let shown = df(&["-v"]);
    let ago = cells(&shown)[3].split('|').nth(3).unwrap().to_owned();
    assert!(ago.ends_with(" years ago"), "{ago}");
    let expected = [
        "Images space usage:",
        "",
        "REPOSITORY|TAG|IMAGE ID|CREATED|SIZE|SHARED SIZE|UNIQUE SIZE|CONTAINERS",
        "a|1|111111111111|AGO|4MB|1MB|3.001MB|1",
        "<none>|<none>|333333333333|AGO|2MB|1MB|1MB|0",
        "",
        "Containers space usage:",
        "",
        "CONTAINER ID|IMAGE|COMMAND|LOCAL VOLUMES|SIZE|CREATED|STATUS|NAMES",
        "cccccccccccc|a:1|\"sleep 100 and a ver…\"|1|1kB|AGO|Up or not|web",
        "cccccccccccc|a:1|\"sleep 100 and a ver…\"|0|500B|AGO|Up or not|old",
        "",
        "Local Volumes space usage:",
        "",
        "VOLUME NAME|LINKS|SIZE",
        "v1|1|30B",
        "v2|0|70B",
        "",
        "Build cache usage: 0B",
        "",
        "CACHE ID|CACHE TYPE|SIZE|CREATED|LAST USED|USAGE|SHARED",
    ];
    let expected: Vec<_> = expected.iter().map(|line| line.replace("AGO", &ago)).collect();
    assert_eq!(cells(&shown), expected);
}

#[test]
fn details_for_programs_are_one_object_with_whole_ids() {
    let shown = df(&["--verbose", "--format", "json"]);
    assert_eq!(shown.lines().count(), 1);
    let all: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(all["Images"][0]["ID"], "sha256:1111111111112222");
    assert_eq!(all["Images"][0]["UniqueSize"], "3.001MB");
    let container = &all["Containers"][1];
    assert_eq!(container["Command"], "\"sleep 100 and a very long command\"");
    assert_eq!((&container["Labels"], &container["Label"]), (&json!("a=b"), &Value::Null));
    assert_eq!(
        (&all["Volumes"][0]["Links"], &all["Volumes"][1]["Size"]),
        (&json!("1"), &json!("70B"))
    );
    assert_eq!(all["BuildCache"], json!([]));
    let names = df(&["-v", "--format", "{{range .Volumes}}{{.Name}} {{end}}"]);
    assert_eq!(names, "v1 v2 \n");
}
