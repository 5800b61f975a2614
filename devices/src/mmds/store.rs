//! The metadata: one JSON document of bounded size.

use serde_json::{Map, Value};
use thiserror::Error;

use super::token::TokenAuthority;

/// The metadata service without its network.
#[derive(Debug)]
pub struct Mmds {
    document: Option<Value>,
    limit: usize,
    version: Version,
    imds_compat: bool,
    tokens: TokenAuthority,
}

/// Whether requests need a session token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// No.
    #[default]
    V1,
    /// Yes.
    V2,
}

/// How a part of the document becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As JSON.
    Json,
    /// As EC2's service writes it: a string as it is; of an object the keys, one a line, with `/`
    /// after those that hold objects.
    Imds,
}

/// Why metadata was not stored or not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// There is no metadata to change.
    #[error("The MMDS data store is not initialized.")]
    NotInitialized,
    /// It would be larger than allowed.
    #[error("The MMDS patch request doesn't fit.")]
    TooLarge,
    /// No such path.
    #[error("The MMDS resource does not exist.")]
    NotFound,
    /// What is there cannot be written in the format asked for.
    #[error("Cannot retrieve value. The value has an unsupported type.")]
    UnsupportedType,
}

impl Mmds {
    /// A service without metadata, which can have up to `limit` bytes as compact JSON.
    pub fn new(limit: usize, tokens: TokenAuthority) -> Self {
        Self { document: None, limit, version: Version::V1, imds_compat: false, tokens }
    }

    /// Chooses the version, and whether every answer has [`Format::Imds`].
    pub fn configure(&mut self, version: Version, imds_compat: bool) {
        self.version = version;
        self.imds_compat = imds_compat;
    }

    /// Whether requests need a session token.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Makes and checks session tokens.
    pub fn tokens(&self) -> &TokenAuthority {
        &self.tokens
    }

    /// Replaces all metadata.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`]; what was there stays.
    pub fn put(&mut self, document: Value) -> Result<(), StoreError> {
        self.store(document)
    }

    /// Changes metadata by a merge patch (RFC 7396).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotInitialized`] without metadata; [`StoreError::TooLarge`], and what was
    /// there stays.
    pub fn patch(&mut self, patch: Value) -> Result<(), StoreError> {
        let mut document = self.document.clone().ok_or(StoreError::NotInitialized)?;
        merge(&mut document, patch);
        self.store(document)
    }

    /// All metadata, `null` if there is none.
    pub fn document(&self) -> &Value {
        self.document.as_ref().unwrap_or(&Value::Null)
    }

    /// What is at `path`, as text. Repeated slashes and one at the end change nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if nothing is there, [`StoreError::UnsupportedType`] if it is
    /// neither object nor string and is wanted as [`Format::Imds`].
    pub fn get(&self, path: &str, format: Format) -> Result<String, StoreError> {
        let value = self.document().pointer(&pointer(path)).ok_or(StoreError::NotFound)?;
        match format {
            Format::Json if !self.imds_compat => Ok(value.to_string()),
            Format::Json | Format::Imds => imds_text(value),
        }
    }

    fn store(&mut self, document: Value) -> Result<(), StoreError> {
        if document.to_string().len() > self.limit {
            return Err(StoreError::TooLarge);
        }
        self.document = Some(document);
        Ok(())
    }
}

/// A JSON pointer (RFC 6901) to what a path of a URI names.
fn pointer(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).fold(String::new(), |mut pointer, part| {
        pointer.push('/');
        pointer.push_str(part);
        pointer
    })
}

fn imds_text(value: &Value) -> Result<String, StoreError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Object(fields) => {
            let line = |(key, value): (&String, &Value)| {
                if value.is_object() { format!("{key}/") } else { key.clone() }
            };
            Ok(fields.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        _ => Err(StoreError::UnsupportedType),
    }
}

/// RFC 7396 §2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mmds(document: Value) -> Mmds {
        let mut mmds = Mmds::new(200, TokenAuthority::new([0; 64], "vm"));
        mmds.put(document).unwrap();
        mmds
    }

    /// Cases of RFC 7396, appendix A.
    fn merged(mut target: Value, patch: Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn patch_replaces_a_value() {
        assert_eq!(merged(json!({"a":"b"}), json!({"a":"c"})), json!({"a":"c"}));
    }

    #[test]
    fn patch_with_null_removes() {
        assert_eq!(merged(json!({"a":"b","b":"c"}), json!({"a":null})), json!({"b":"c"}));
    }

    #[test]
    fn patch_replaces_a_list_as_a_whole() {
        assert_eq!(merged(json!({"a":["b"]}), json!({"a":"c"})), json!({"a":"c"}));
        assert_eq!(merged(json!(["a", "b"]), json!(["c"])), json!(["c"]));
    }

    #[test]
    fn patch_goes_into_objects() {
        let target = json!({"a":{"b":"c"}});
        let patch = json!({"a":{"b":"d","c":null}});
        assert_eq!(merged(target, patch), json!({"a":{"b":"d"}}));
    }

    #[test]
    fn nulls_in_a_new_object_are_left_out() {
        assert_eq!(merged(json!({}), json!({"a":{"bb":{"ccc":null}}})), json!({"a":{"bb":{}}}));
    }

    #[test]
    fn null_in_the_target_stays() {
        assert_eq!(merged(json!({"e":null}), json!({"a":1})), json!({"e":null,"a":1}));
    }

    #[test]
    fn patch_without_metadata_is_refused() {
        let mut mmds = Mmds::new(200, TokenAuthority::new([0; 64], "vm"));
        assert_eq!(mmds.patch(json!({})), Err(StoreError::NotInitialized));
        assert_eq!(mmds.document(), &Value::Null);
    }

    #[test]
    fn document_beyond_the_limit_is_refused_and_the_old_one_stays() {
        let mut mmds = mmds(json!({"a":1}));
        assert_eq!(mmds.put(json!("x".repeat(199))), Err(StoreError::TooLarge));
        assert_eq!(mmds.patch(json!({"b":"x".repeat(200)})), Err(StoreError::TooLarge));
        assert_eq!(mmds.document(), &json!({"a":1}));
        assert_eq!(mmds.put(json!("x".repeat(198))), Ok(()));
    }

    #[test]
    fn object_as_imds_is_its_keys() {
        let mmds = mmds(json!({"b":{"x":1},"a":"v","c":[1]}));
        assert_eq!(mmds.get("/", Format::Imds).unwrap(), "a\nb/\nc");
    }

    #[test]
    fn string_is_plain_as_imds_and_quoted_as_json() {
        let mmds = mmds(json!({"a":{"b":"v"}}));
        assert_eq!(mmds.get("/a/b", Format::Imds).unwrap(), "v");
        assert_eq!(mmds.get("/a/b", Format::Json).unwrap(), "\"v\"");
    }

    #[test]
    fn number_has_no_imds_text() {
        let mmds = mmds(json!({"a":1}));
        assert_eq!(mmds.get("/a", Format::Imds), Err(StoreError::UnsupportedType));
        assert_eq!(mmds.get("/a", Format::Json).unwrap(), "1");
    }

    #[test]
    fn compatible_service_ignores_what_is_asked_for() {
        let mut mmds = mmds(json!({"a":"v"}));
        mmds.configure(Version::V2, true);
        assert_eq!(mmds.get("/a", Format::Json).unwrap(), "v");
    }

    #[test]
    fn slashes_too_many_change_nothing() {
        let mmds = mmds(json!({"a":{"b":"v"}}));
        assert_eq!(mmds.get("//a///b/", Format::Imds).unwrap(), "v");
    }

    #[test]
    fn path_to_nothing_is_not_found() {
        assert_eq!(mmds(json!({"a":1})).get("/b", Format::Json), Err(StoreError::NotFound));
        assert_eq!(mmds(json!({"a":1})).get("/a/b", Format::Json), Err(StoreError::NotFound));
    }
}
