//! What the engine remembers: typed records in one redb file, crash-safe, with one writer.
//!
//! A kind of record is a [`Record`]; a [`Table`] holds those of one kind by key. Reading does not
//! block for long and needs no task of its own; a change is durable when its future is done, and
//! several of them can be made at once or not at all by [`Store::change`].
//!
//! ```no_run
//! use engine::store::{Record, Store};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Volume { driver: String }
//!
//! impl Record for Volume {
//!     const TABLE: &'static str = "volumes";
//!     const VERSION: u32 = 1;
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open("/var/lib/bulkhead/engine.redb".as_ref())?;
//! let volumes = store.table::<Volume>();
//! volumes.put("data", &Volume { driver: "local".into() }).await?;
//! assert!(volumes.get("data")?.is_some());
//! # Ok(())
//! # }
//! ```

mod holder;
mod record;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::Database;

pub use holder::{Hold, HoldError, Holder};
pub use record::Record;
pub use table::{Change, Table};

/// Pages of the file that are kept in memory, in bytes. All that an engine remembers is little.
const CACHE: usize = 8 << 20;

/// The engine's memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    open: Open,
    /// Locked for writing only while a database that gave up is opened anew; `None` when that
    /// failed.
    database: RwLock<Option<Database>>,
    /// Whether the database has met a fault of the disk, after which it serves no more.
    faulty: AtomicBool,
}

/// How the database is opened: a file, but in tests of faults.
type Open = fn(&Path) -> Result<Database, redb::DatabaseError>;

/// Why the store could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("Failed to open the store {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::DatabaseError>,
    },
    /// The file cannot be read or written; the disk may be full. What it held it still holds.
    #[error("Failed to {operation} the store {}", path.display())]
    Database {
        /// `read` or `change`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A record is not what its table holds.
    #[error("Failed to understand {key} in table {table} of the store")]
    Malformed {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A record was written by a newer engine.
    #[error("{key} in table {table} of the store is of version {version}, of a newer engine")]
    TooNew {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// Its version.
        version: u32,
    },
    /// A record cannot be written as JSON.
    #[error("Failed to write down {key} for table {table} of the store")]
    Serialize {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The engine is ending.
    #[error("Failed to change the store: the engine is ending")]
    Ending,
}

impl Store {
    /// Opens the file, making it if it is missing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |path| Database::builder().set_cache_size(CACHE).create(path))
    }

    fn open_with(path: &Path, open: Open) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let database = open(&path)
            .map_err(|source| StoreError::Open { path: path.clone(), source: source.into() })?;
        let database = RwLock::new(Some(database));
        Ok(Self {
            shared: Arc::new(Shared { path, open, database, faulty: AtomicBool::new(false) }),
        })
    }

    /// The table of a kind of record.
    #[must_use]
    pub fn table<T: Record>(&self) -> Table<T> {
        Table::new(self.clone())
    }

    /// Makes all changes that `act` makes, or none where it fails. Done when they are on the disk.
    pub async fn change<R, F>(&self, act: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&Change<'_>) -> Result<R, StoreError> + Send + 'static,
    {
        let store = self.clone();
        let changing = tokio::task::spawn_blocking(move || store.change_now(act));
        changing.await.unwrap_or(Err(StoreError::Ending))
    }

    /// As [`Self::change`], but waits for the disk: not for tasks.
    pub fn change_now<R>(
        &self,
        act: impl FnOnce(&Change<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let outcome = self.with("change", |database| {
            let transaction = database.begin_write().map_err(redb::Error::from)?;
            match act(&Change::new(self, &transaction)) {
                Ok(done) => {
                    transaction.commit().map_err(redb::Error::from)?;
                    Ok(Ok(done))
                }
                Err(error) => Ok(Err(error)),
            }
        });
        outcome?
    }

    /// Does something with the database. One that met a fault of the disk is opened anew the next
    /// time: it goes back to its last commit then.
    fn with<R>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&Database) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        if self.shared.faulty.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let done = database.as_ref().ok_or(redb::Error::DatabaseClosed).and_then(act);
        done.map_err(|source| {
            let of_disk = |e: &_| matches!(e, redb::Error::Io(_) | redb::Error::PreviousIo);
            if of_disk(&source) || matches!(source, redb::Error::DatabaseClosed) {
                self.shared.faulty.store(true, Ordering::Release);
            }
            self.failed(operation, source)
        })
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.faulty.load(Ordering::Acquire) {
            return Ok(());
        }
        // Closed before, as it holds the file's lock.
        *database = None;
        let path = &self.shared.path;
        let opened = (self.shared.open)(path)
            .map_err(|source| StoreError::Open { path: path.clone(), source: source.into() })?;
        *database = Some(opened);
        self.shared.faulty.store(false, Ordering::Release);
        Ok(())
    }

    fn failed(&self, operation: &'static str, source: redb::Error) -> StoreError {
        StoreError::Database { operation, path: self.shared.path.clone(), source: source.into() }
    }
}

#[cfg(test)]
mod tests;
