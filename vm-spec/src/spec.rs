//! The document.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{BoardSpec, BootSpec, Component, ComponentId, CpuSpec, MemorySpec};

/// A machine as written by a user: plain data, not yet checked as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmSpec {
    /// What the guest starts with.
    pub boot: BootSpec,
    /// Processors. Default: one.
    #[serde(default)]
    pub cpu: CpuSpec,
    /// Memory. Default: 128 MiB.
    #[serde(default)]
    pub memory: MemorySpec,
    /// Board-wide choices. Default: PCI, no boot timer.
    #[serde(default)]
    pub board: BoardSpec,
    /// Devices and backends. Default: none.
    #[serde(default, deserialize_with = "unique_components")]
    pub components: BTreeMap<ComponentId, Component>,
}

impl VmSpec {
    /// A machine with this kernel, no device, and every default.
    pub fn new(boot: BootSpec) -> Self {
        Self {
            boot,
            cpu: CpuSpec::default(),
            memory: MemorySpec::default(),
            board: BoardSpec::default(),
            components: BTreeMap::new(),
        }
    }
}

/// Reads the map of components and refuses an id that occurs twice, of which serde would silently
/// keep the last.
fn unique_components<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ComponentId, Component>, D::Error> {
    struct UniqueMap;

    impl<'de> Visitor<'de> for UniqueMap {
        type Value = BTreeMap<ComponentId, Component>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of component ids to components")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut components = BTreeMap::new();
            while let Some(id) = map.next_key::<ComponentId>()? {
                if components.contains_key(&id) {
                    return Err(A::Error::custom(format_args!("duplicate component `{id}`")));
                }
                let component = map.next_value()?;
                components.insert(id, component);
            }
            Ok(components)
        }
    }

    deserializer.deserialize_map(UniqueMap)
}
