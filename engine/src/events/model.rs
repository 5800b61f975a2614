//! An event.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::http::ApiVersion;

/// What it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container. Its actor has the labels, `image` and `name`.
    Container,
    /// An image. Its actor has `name`.
    Image,
    /// A network. Its actor has `name`, `type`, and `container` if one came or went.
    Network,
    /// A volume. Its actor has `driver`.
    Volume,
    /// A plain machine. Its actor has the labels and `name`.
    Vm,
    /// A pod. Its actor has the labels and `name`.
    Pod,
    /// The engine.
    Daemon,
}

impl Kind {
    /// As in filters and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Vm => "vm",
            Self::Pod => "pod",
            Self::Daemon => "daemon",
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The object's id, or its name where it has no other.
    pub id: String,
    /// What is worth knowing of it, its labels among them.
    pub attributes: BTreeMap<String, String>,
}

impl Actor {
    /// The object `id`.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), attributes: BTreeMap::new() }
    }

    /// With one more attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// To what kind of object.
    pub kind: Kind,
    /// `create`, `start`, `exec_create: sh`, `health_status: healthy`, ….
    pub action: String,
    /// To which.
    pub actor: Actor,
    /// When.
    pub time: OffsetDateTime,
}

/// The first version without the fields of before there were actors.
const WITHOUT_OLD_FIELDS: ApiVersion = ApiVersion::new(52);

impl Event {
    /// The document that clients of this version get.
    #[must_use]
    pub fn document(&self, version: ApiVersion) -> Value {
        let nanoseconds = self.time.unix_timestamp_nanos();
        let mut document = json!({
            "Type": self.kind.as_str(),
            "Action": self.action,
            "Actor": { "ID": self.actor.id, "Attributes": self.actor.attributes },
            "scope": "local",
            "time": self.time.unix_timestamp(),
            "timeNano": i64::try_from(nanoseconds).unwrap_or(i64::MAX),
        });
        let old = matches!(self.kind, Kind::Container | Kind::Image);
        if let (Some(fields), true) =
            (document.as_object_mut(), old && version < WITHOUT_OLD_FIELDS)
        {
            fields.insert("status".to_owned(), json!(self.action));
            fields.insert("id".to_owned(), json!(self.actor.id));
            if let (Kind::Container, Some(image)) = (self.kind, self.actor.attributes.get("image"))
            {
                fields.insert("from".to_owned(), json!(image));
            }
        }
        document
    }
}
