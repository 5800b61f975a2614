//! Structs that are read from JSON objects alone.
//!
//! What serde derives would also take a list of the fields' values, in order; no client means
//! that, and the OpenAPI document forbids it. So the derived functions are kept apart from the
//! trait (`remote = "Self"`), and the trait's hand them objects only.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};

/// Implements serde's traits by the functions derived with `remote = "Self"`.
macro_rules! only_objects {
    ($($name:ident),+) => {
        $(
            impl<'de> $crate::vm::wire::object::FromObject<'de> for $name {
                fn from_object<A: serde::de::MapAccess<'de>>(
                    map: serde::de::value::MapAccessDeserializer<A>,
                ) -> Result<Self, A::Error> {
                    // The derived function, not the trait's.
                    $name::deserialize(map)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Self, D::Error> {
                    let visitor = $crate::vm::wire::object::ObjectVisitor::<Self>::default();
                    deserializer.deserialize_map(visitor)
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    // The derived function, not the trait's.
                    $name::serialize(self, serializer)
                }
            }
        )+
    };
}
pub(crate) use only_objects;

/// What can be read from an object.
pub(crate) trait FromObject<'de>: Sized {
    fn from_object<A: MapAccess<'de>>(map: MapAccessDeserializer<A>) -> Result<Self, A::Error>;
}

/// Takes an object and nothing else.
pub(crate) struct ObjectVisitor<T>(PhantomData<T>);

impl<T> Default for ObjectVisitor<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: FromObject<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_object(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use crate::vm::wire::{Drive, SerialDevice};

    #[test]
    fn list_of_the_fields_values_is_refused() {
        let error = serde_json::from_str::<SerialDevice>("[null,null]").unwrap_err();
        assert!(error.to_string().starts_with("invalid type: sequence, expected an object"));
    }

    #[test]
    fn list_in_place_of_an_object_within_is_refused() {
        let text = r#"{"drive_id":"d","is_root_device":true,"rate_limiter":[null,null]}"#;
        let error = serde_json::from_str::<Drive>(text).unwrap_err();
        assert!(error.to_string().starts_with("invalid type: sequence, expected an object"));
    }
}
