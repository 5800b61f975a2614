//! What a table holds, and how that grows from version to version.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;

/// A kind of record. It is written as JSON together with its version.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// The name of its table.
    const TABLE: &'static str;
    /// The version that is written. Counted up when an older reader would misunderstand; a field
    /// with a default needs none.
    const VERSION: u32;

    /// Makes what an older version wrote into what the version after it writes. Called again until
    /// the record is of [`Self::VERSION`].
    fn upgrade(version: u32, _record: Value) -> serde_json::Result<Value> {
        Err(serde_json::Error::custom(format_args!("nothing is known of version {version}")))
    }
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Written<T> {
    version: u32,
    record: T,
}

/// The part of it that is read before the rest can be understood.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

pub(super) fn write<T: Record>(key: &str, record: &T) -> Result<Vec<u8>, StoreError> {
    let failed = |source| StoreError::Serialize { table: T::TABLE, key: key.to_owned(), source };
    serde_json::to_vec(&Written { version: T::VERSION, record }).map_err(failed)
}

pub(super) fn read<T: Record>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let failed = |source| StoreError::Malformed { table: T::TABLE, key: key.to_owned(), source };
    let Version { version } = serde_json::from_slice(bytes).map_err(failed)?;
    if version == T::VERSION {
        let written: Written<T> = serde_json::from_slice(bytes).map_err(failed)?;
        return Ok(written.record);
    }
    if version > T::VERSION {
        return Err(StoreError::TooNew { table: T::TABLE, key: key.to_owned(), version });
    }
    let Written { record: mut value, .. } = serde_json::from_slice(bytes).map_err(failed)?;
    for older in version..T::VERSION {
        value = T::upgrade(older, value).map_err(failed)?;
    }
    serde_json::from_value(value).map_err(failed)
}
