//! The records of one kind, and changes to several kinds at once.

use std::fmt;
use std::marker::PhantomData;

use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::{Record, Store, StoreError, record};

type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

/// The records of one kind, by key. Cheap to clone.
pub struct Table<T> {
    store: Store,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), kind: PhantomData }
    }
}

impl<T: Record> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &T::TABLE).finish_non_exhaustive()
    }
}

impl<T: Record> Table<T> {
    pub(super) fn new(store: Store) -> Self {
        Self { store, kind: PhantomData }
    }

    /// The record of this key.
    pub fn get(&self, key: &str) -> Result<Option<T>, StoreError> {
        let bytes = self.store.with("read", |database| {
            let transaction = database.begin_read()?;
            let table = match transaction.open_table(definition::<T>()) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })?;
        bytes.map(|bytes| record::read(key, &bytes)).transpose()
    }

    /// All records with their keys, by key.
    pub fn list(&self) -> Result<Vec<(String, T)>, StoreError> {
        let all = self.store.with("read", |database| {
            let transaction = database.begin_read()?;
            let table = match transaction.open_table(definition::<T>()) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut all = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                all.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(all)
        })?;
        all.into_iter().map(|(key, bytes)| Ok((key.clone(), record::read(&key, &bytes)?))).collect()
    }

    /// Adds or replaces a record.
    pub async fn put(&self, key: &str, record: &T) -> Result<(), StoreError> {
        let (key, bytes) = (key.to_owned(), record::write(key, record)?);
        self.store.change(move |change| change.put_bytes::<T>(&key, &bytes)).await
    }

    /// Removes a record; tells whether there was one.
    pub async fn remove(&self, key: &str) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.store.change(move |change| change.remove::<T>(&key)).await
    }
}

/// Changes that are made together or not at all.
pub struct Change<'a> {
    store: &'a Store,
    transaction: &'a WriteTransaction,
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
}

impl<'a> Change<'a> {
    pub(super) fn new(store: &'a Store, transaction: &'a WriteTransaction) -> Self {
        Self { store, transaction }
    }

    /// The record of this key, with the changes so far.
    pub fn get<T: Record>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let bytes = self.act(|| {
            let table = self.transaction.open_table(definition::<T>())?;
            let value = table.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        })?;
        bytes.map(|bytes| record::read(key, &bytes)).transpose()
    }

    /// Adds or replaces a record.
    pub fn put<T: Record>(&self, key: &str, record: &T) -> Result<(), StoreError> {
        self.put_bytes::<T>(key, &record::write(key, record)?)
    }

    fn put_bytes<T: Record>(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.act(|| {
            self.transaction.open_table(definition::<T>())?.insert(key, bytes)?;
            Ok(())
        })
    }

    /// Removes a record; tells whether there was one.
    pub fn remove<T: Record>(&self, key: &str) -> Result<bool, StoreError> {
        self.act(|| {
            let mut table = self.transaction.open_table(definition::<T>())?;
            let removed = table.remove(key)?.is_some();
            Ok(removed)
        })
    }

    fn act<R>(&self, act: impl FnOnce() -> Result<R, redb::Error>) -> Result<R, StoreError> {
        act().map_err(|source| self.store.failed("change", source))
    }
}

fn definition<T: Record>() -> Definition {
    TableDefinition::new(T::TABLE)
}
