//! What happens to a machine, for whoever wants to know.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// The most events that are kept for those who come late or are slow.
const KEPT: usize = 256;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Event {
    /// 1 for the first event of a machine, and one more for each after it.
    pub id: u64,
    /// When, in milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// What, for instance `started`, `paused`, `exited`.
    pub event: String,
    /// More about it, depending on what it is.
    #[cfg_attr(test, schema(value_type = Object))]
    pub data: Value,
}

/// Where events are published and read. Publishing never waits: a reader that is too slow loses
/// the oldest.
#[derive(Clone, Debug)]
pub struct EventHub(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    kept: Mutex<Kept>,
    /// The last id, and whether there will be no more.
    last: watch::Sender<Last>,
}

#[derive(Default)]
struct Kept {
    recent: VecDeque<Event>,
    /// Where each event is written too, for after the machine's end.
    record: Option<Box<dyn Write + Send>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("recent", &self.recent).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    id: u64,
    closed: bool,
}

/// Reads events, each once.
#[derive(Debug)]
pub struct Subscriber {
    hub: EventHub,
    last: watch::Receiver<Last>,
    seen: u64,
}

impl Default for EventHub {
    fn default() -> Self {
        Self::new()
    }
}

impl EventHub {
    /// A hub without events.
    pub fn new() -> Self {
        let (last, _) = watch::channel(Last::default());
        Self(Arc::new(Hub { kept: Mutex::default(), last }))
    }

    /// From now on each event is also a line of JSON in `record`, whose writing must not wait.
    pub fn record(&self, record: impl Write + Send + 'static) {
        self.kept().record = Some(Box::new(record));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves what is kept as good as it was.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone, from any thread.
    pub fn publish(&self, event: &str, data: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.kept();
        let id = self.0.last.borrow().id + 1;
        let event = Event { id, time_ms, event: event.to_owned(), data };
        if let Some(record) = &mut kept.record
            && let Err(e) = record.write_all(event.to_line().as_bytes())
        {
            log::error!("Failed to record the event {}: {e}", event.event);
        }
        kept.recent.push_back(event);
        if kept.recent.len() > KEPT {
            kept.recent.pop_front();
        }
        // Still under the lock, so that ids come in order.
        self.0.last.send_modify(|last| last.id = id);
    }

    /// There will be no more: readers end once they have read all.
    pub fn close(&self) {
        self.0.last.send_modify(|last| last.closed = true);
    }

    /// Reads what comes after event `seen`, as far as it is still kept; from 0 everything.
    pub fn subscribe(&self, seen: u64) -> Subscriber {
        Subscriber { hub: self.clone(), last: self.0.last.subscribe(), seen }
    }

    /// The id of the last event, 0 if there is none.
    pub fn last_id(&self) -> u64 {
        self.0.last.borrow().id
    }

    fn after(&self, seen: u64) -> Vec<Event> {
        self.kept().recent.iter().filter(|event| event.id > seen).cloned().collect()
    }
}

impl Subscriber {
    /// The next events, one at least; none once there will be no more.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let closed = self.last.borrow_and_update().closed;
            let events = self.hub.after(self.seen);
            if let Some(last) = events.last() {
                self.seen = last.id;
                return Some(events);
            }
            if closed || self.last.changed().await.is_err() {
                return None;
            }
        }
    }
}

impl Event {
    /// As a line of a record.
    fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// As an event of a stream of server-sent events.
    pub(super) fn to_sse(&self) -> String {
        format!("id: {}\nevent: {}\ndata: {}\n", self.id, self.event, self.to_line())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use serde_json::json;

    use super::*;

    fn names(events: Option<Vec<Event>>) -> Vec<String> {
        events.unwrap().into_iter().map(|event| event.event).collect()
    }

    #[tokio::test]
    async fn late_reader_gets_what_was_kept_and_then_the_new() {
        let hub = EventHub::new();
        hub.publish("a", json!({}));
        hub.publish("b", json!({}));
        let mut reader = hub.subscribe(0);
        assert_eq!(names(reader.next().await), ["a", "b"]);
        hub.publish("c", json!({}));
        assert_eq!(names(reader.next().await), ["c"]);
    }

    #[tokio::test]
    async fn reader_that_comes_back_goes_on_where_it_was() {
        let hub = EventHub::new();
        hub.publish("a", json!({}));
        hub.publish("b", json!({}));
        assert_eq!(names(hub.subscribe(1).next().await), ["b"]);
    }

    #[tokio::test]
    async fn reader_waits_for_an_event_of_another_thread() {
        let hub = EventHub::new();
        let mut reader = hub.subscribe(0);
        let publisher = std::thread::spawn(move || hub.publish("a", json!({})));
        assert_eq!(names(reader.next().await), ["a"]);
        publisher.join().unwrap();
    }

    #[tokio::test]
    async fn closed_hub_ends_after_the_last_event() {
        let hub = EventHub::new();
        let mut reader = hub.subscribe(0);
        hub.publish("a", json!({}));
        hub.close();
        assert_eq!(names(reader.next().await), ["a"]);
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test]
    async fn only_the_last_256_are_kept() {
        let hub = EventHub::new();
        for _ in 0..300 {
            hub.publish("a", json!({}));
        }
        let events = hub.subscribe(0).next().await.unwrap();
        assert_eq!((events.len(), events[0].id, hub.last_id()), (256, 45, 300));
    }

    #[test]
    fn recorded_events_are_lines_that_can_be_read_back() {
        let (hub, mut file) = (EventHub::new(), tempfile::tempfile().unwrap());
        hub.record(file.try_clone().unwrap());
        hub.publish("started", json!({}));
        hub.publish("exited", json!({"message": "two\nlines"}));
        file.seek(std::io::SeekFrom::Start(0)).unwrap();
        let lines = std::io::read_to_string(file).unwrap();
        let read: Vec<Event> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(read, hub.after(0));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn event_is_one_line_of_json_in_a_stream() {
        let event = Event { id: 3, time_ms: 5, event: "x".into(), data: json!({"a": "b\nc"}) };
        assert_eq!(
            event.to_sse(),
            "id: 3\nevent: x\ndata: {\"id\":3,\"time_ms\":5,\"event\":\"x\",\"data\":{\"a\":\"b\\nc\"}}\n\n"
        );
    }
}
