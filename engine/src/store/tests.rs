//! The store with its faults.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Volume {
    driver: String,
}

impl Record for Volume {
    const TABLE: &'static str = "volumes";
    const VERSION: u32 = 3;

    fn upgrade(version: u32, mut record: Value) -> serde_json::Result<Value> {
        match version {
            1 => record["driver"] = record["plugin"].take(),
            _ => record["driver"] = json!(format!("{}!", record["driver"].as_str().unwrap_or(""))),
        }
        Ok(record)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OldVolume {
    plugin: String,
}

impl Record for OldVolume {
    const TABLE: &'static str = "volumes";
    const VERSION: u32 = 1;
}

fn volume(driver: &str) -> Volume {
    Volume { driver: driver.to_owned() }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("s.redb")).unwrap();
    (folder, store)
}

#[tokio::test]
async fn records_are_there_after_the_file_is_opened_again() {
    let (folder, store) = store();
    assert_eq!(store.table::<Volume>().get("a").unwrap(), None);
    assert!(store.table::<Volume>().list().unwrap().is_empty());
    store.table().put("b", &volume("two")).await.unwrap();
    store.table().put("a", &volume("one")).await.unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("s.redb")).unwrap();
    let all = store.table::<Volume>().list().unwrap();
    assert_eq!(all, [("a".to_owned(), volume("one")), ("b".to_owned(), volume("two"))]);
    assert!(store.table::<Volume>().remove("a").await.unwrap());
    assert!(!store.table::<Volume>().remove("a").await.unwrap());
    assert_eq!(store.table::<Volume>().get("a").unwrap(), None);
}

#[tokio::test]
async fn change_that_fails_changes_nothing() {
    let (_folder, store) = store();
    let changed = store
        .change(|change| {
            change.put("a", &volume("x"))?;
            assert_eq!(change.get::<Volume>("a")?, Some(volume("x")));
            Err::<(), _>(StoreError::Ending)
        })
        .await;
    assert!(matches!(changed, Err(StoreError::Ending)));
    assert_eq!(store.table::<Volume>().get("a").unwrap(), None);
}

#[tokio::test]
async fn record_of_an_older_version_is_upgraded_step_by_step() {
    let (_folder, store) = store();
    store.table().put("a", &OldVolume { plugin: "p".to_owned() }).await.unwrap();
    assert_eq!(store.table::<Volume>().get("a").unwrap(), Some(volume("p!")));
}

#[tokio::test]
async fn record_of_a_newer_engine_is_refused_by_name() {
    let (_folder, store) = store();
    store.table().put("a", &volume("x")).await.unwrap();
    let error = store.table::<OldVolume>().get("a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a in table volumes of the store is of version 3, of a newer engine"
    );
}

#[test]
fn file_that_is_no_store_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    std::fs::write(&path, "something else entirely").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Open { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
}

#[test]
fn second_engine_is_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("engine.lock");
    let holder = Holder { pid: 4711, socket: "/run/bulkhead/bulkhead.sock".into() };
    let hold = Hold::take(&lock, &holder).unwrap();
    let second = Holder { pid: 4712, socket: "/other.sock".into() };
    let error = Hold::take(&lock, &second).unwrap_err().to_string();
    assert!(error.contains("process 4711, with the socket /run/bulkhead/bulkhead.sock"), "{error}");
    drop(hold);
    drop(Hold::take(&lock, &second).unwrap());
}

/// Whether the disk of [`open_on_full_disk`] is full.
static FULL: AtomicBool = AtomicBool::new(false);

/// A file on a disk that is full when [`FULL`] says so.
#[derive(Debug)]
struct FullDisk(redb::backends::FileBackend);

fn space() -> Result<(), io::Error> {
    match FULL.load(Ordering::SeqCst) {
        true => Err(io::Error::from(io::ErrorKind::StorageFull)),
        false => Ok(()),
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        space()?;
        self.0.set_len(length)
    }
    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        space()?;
        self.0.write(offset, data)
    }
}

fn open_on_full_disk(path: &Path) -> Result<Database, redb::DatabaseError> {
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    let backend = redb::backends::FileBackend::new(file)?;
    Database::builder().create_with_backend(FullDisk(backend))
}

#[tokio::test]
async fn full_disk_leaves_the_old_state_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(&folder.path().join("s.redb"), open_on_full_disk).unwrap();
    let volumes = store.table::<Volume>();
    volumes.put("a", &volume("old")).await.unwrap();
    FULL.store(true, Ordering::SeqCst);
    let error = volumes.put("a", &volume("new")).await.unwrap_err();
    assert!(matches!(error, StoreError::Database { operation: "change", .. }), "{error:?}");
    FULL.store(false, Ordering::SeqCst);
    assert_eq!(volumes.get("a").unwrap(), Some(volume("old")));
    volumes.put("a", &volume("new")).await.unwrap();
    assert_eq!(volumes.get("a").unwrap(), Some(volume("new")));
}
