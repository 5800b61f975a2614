use std::time::Duration;

use super::*;
use crate::http::{ApiVersion, Filters};

fn start(id: &str) -> Actor {
    Actor::new(id).with("name", format!("name-{id}")).with("image", "busybox:latest").with("a", "b")
}

#[tokio::test]
async fn past_and_future_come_in_one_order() {
    let bus = Bus::new();
    bus.emit(Kind::Container, "create", start("1"));
    let between = bus.listen(Some(OffsetDateTime::UNIX_EPOCH)).past().unwrap().time;
    bus.emit(Kind::Container, "start", start("1"));
    let mut listener = bus.listen(Some(between + Duration::from_nanos(1)));
    bus.emit(Kind::Container, "die", start("1"));
    assert_eq!(listener.next().await.unwrap().unwrap().action, "start");
    assert_eq!(listener.past(), None);
    assert_eq!(listener.next().await.unwrap().unwrap().action, "die");
}

#[tokio::test]
async fn history_is_bounded_and_keeps_the_newest() {
    let bus = Bus::new();
    for number in 0..HISTORY + 3 {
        bus.emit(Kind::Volume, number.to_string(), Actor::new("v"));
    }
    let mut listener = bus.listen(Some(OffsetDateTime::UNIX_EPOCH));
    let first = listener.past().unwrap();
    let rest = std::iter::from_fn(|| listener.past()).count();
    assert_eq!((first.action.as_str(), rest), ("3", HISTORY - 1));
}

#[tokio::test]
async fn slow_listener_is_told_what_it_missed_and_goes_on() {
    let bus = Bus::new();
    let mut listener = bus.listen(None);
    for number in 0..QUEUE + 5 {
        bus.emit(Kind::Volume, number.to_string(), Actor::new("v"));
    }
    assert_eq!(listener.next().await, Err(Missed(5)));
    assert_eq!(listener.next().await.unwrap().unwrap().action, "5");
}

#[test]
fn listeners_are_counted() {
    let bus = Bus::new();
    let listener = bus.listen(None);
    assert_eq!(bus.listeners(), 1);
    drop(listener);
    assert_eq!(bus.listeners(), 0);
}

fn passes(filters: &str, kind: Kind, action: &str, actor: Actor) -> bool {
    let time = OffsetDateTime::UNIX_EPOCH;
    let event = Event { kind, action: action.to_owned(), actor, time };
    matches(&Filters::parse(filters).unwrap(), &event)
}

#[test]
fn filters_of_one_name_are_alternatives_and_names_must_all_hold() {
    let check = |filters| passes(filters, Kind::Container, "start", start("abc"));
    assert!(check(r#"{"event":["die","start"],"type":["container"]}"#));
    assert!(!check(r#"{"event":["start"],"type":["image"]}"#));
    assert!(check(r#"{"container":["ab"]}"#));
    assert!(check(r#"{"container":["name-abc"]}"#));
    assert!(!check(r#"{"container":["name"]}"#));
    assert!(check(r#"{"image":["busybox"]}"#));
    assert!(!check(r#"{"image":["busy"]}"#));
    assert!(check(r#"{"label":["a=b"]}"#));
    assert!(!check(r#"{"label":["a=b","c"]}"#));
}

#[test]
fn action_with_details_passes_by_its_first_word() {
    let filters = r#"{"event":["exec_create"]}"#;
    assert!(passes(filters, Kind::Container, "exec_create: sh -c x", start("1")));
    assert!(!passes(filters, Kind::Container, "exec_created", start("1")));
}

#[test]
fn older_clients_get_the_fields_they_know() {
    let time = OffsetDateTime::from_unix_timestamp_nanos(1_500_000_000_000_000_007).unwrap();
    let event = Event { kind: Kind::Container, action: "die".into(), actor: start("1"), time };
    let old = event.document(ApiVersion::new(41));
    assert_eq!((&old["status"], &old["from"]), (&"die".into(), &"busybox:latest".into()));
    assert_eq!(old["timeNano"], 1_500_000_000_000_000_007_i64);
    assert_eq!(event.document(ApiVersion::NEWEST).get("status"), None);
}
