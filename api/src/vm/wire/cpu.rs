//! `/cpu-config`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vm_spec::{BitPattern, CapabilityModifier, CpuTemplate, CpuidRegister};

use super::object::only_objects;

/// Changes to what the guest is told about its processors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct CpuConfig {
    /// KVM capabilities that must be there (`"121"`) or need not (`"!121"`).
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub kvm_capabilities: Vec<KvmCapability>,
    /// CPUID leaves to change.
    #[serde(default)]
    pub cpuid_modifiers: Vec<CpuidLeafModifier>,
    /// Model-specific registers to change.
    #[serde(default)]
    pub msr_modifiers: Vec<MsrModifier>,
}

/// A KVM capability to demand or not, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KvmCapability(pub CapabilityModifier);

/// Changes to one CPUID leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct CpuidLeafModifier {
    /// The leaf: `0x…`, `0b…` or decimal.
    #[serde(deserialize_with = "number_from_text", serialize_with = "number_as_text")]
    #[cfg_attr(test, schema(value_type = String))]
    pub leaf: u32,
    /// The subleaf: `0x…`, `0b…` or decimal.
    #[serde(deserialize_with = "number_from_text", serialize_with = "number_as_text")]
    #[cfg_attr(test, schema(value_type = String))]
    pub subleaf: u32,
    /// KVM's flags of the leaf.
    pub flags: u32,
    /// Registers to change.
    pub modifiers: Vec<CpuidRegisterModifier>,
}

/// A change to one register of a CPUID leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct CpuidRegisterModifier {
    /// `eax`, `ebx`, `ecx` or `edx`.
    #[cfg_attr(test, schema(value_type = String, pattern = "^e[abcd]x$"))]
    pub register: CpuidRegister,
    /// `0b` and a `0`, `1` or `x` (stays) for each bit.
    #[cfg_attr(test, schema(value_type = String))]
    pub bitmap: BitPattern<u32>,
}

/// A change to one model-specific register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MsrModifier {
    /// Its number: `0x…`, `0b…` or decimal.
    #[serde(deserialize_with = "number_from_text", serialize_with = "number_as_text")]
    #[cfg_attr(test, schema(value_type = String))]
    pub addr: u32,
    /// `0b` and a `0`, `1` or `x` (stays) for each bit.
    #[cfg_attr(test, schema(value_type = String))]
    pub bitmap: BitPattern<u64>,
}

impl From<CpuConfig> for CpuTemplate {
    fn from(config: CpuConfig) -> Self {
        let register = |change: CpuidRegisterModifier| vm_spec::CpuidRegisterModifier {
            register: change.register,
            bits: change.bitmap,
        };
        let leaf = |change: CpuidLeafModifier| vm_spec::CpuidModifier {
            leaf: change.leaf,
            subleaf: change.subleaf,
            flags: change.flags,
            registers: change.modifiers.into_iter().map(register).collect(),
        };
        let msr =
            |change: MsrModifier| vm_spec::MsrModifier { index: change.addr, bits: change.bitmap };
        Self {
            capabilities: config.kvm_capabilities.into_iter().map(|c| c.0).collect(),
            cpuid: config.cpuid_modifiers.into_iter().map(leaf).collect(),
            msrs: config.msr_modifiers.into_iter().map(msr).collect(),
        }
    }
}

impl FromStr for KvmCapability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, modifier): (_, fn(u32) -> CapabilityModifier) = match text.strip_prefix('!') {
            Some(rest) => (rest, CapabilityModifier::Ignore),
            None => (text, CapabilityModifier::Require),
        };
        digits.parse().map(|number| Self(modifier(number))).map_err(|source| {
            format!(
                "Failed to parse string [{text}] as a kvm capability - can not convert to \
                 numeric: {source}"
            )
        })
    }
}

impl TryFrom<String> for KvmCapability {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KvmCapability> for String {
    fn from(capability: KvmCapability) -> Self {
        capability.to_string()
    }
}

impl fmt::Display for KvmCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CapabilityModifier::Require(number) => write!(f, "{number}"),
            CapabilityModifier::Ignore(number) => write!(f, "!{number}"),
        }
    }
}

fn number_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = if let Some(digits) = text.strip_prefix("0x") {
        u32::from_str_radix(digits, 16)
    } else if let Some(digits) = text.strip_prefix("0b") {
        u32::from_str_radix(digits, 2)
    } else {
        text.parse()
    };
    parsed.map_err(|source| {
        serde::de::Error::custom(format_args!(
            "Failed to parse string [{text}] as a number for CPU template - {source}"
        ))
    })
}

fn number_as_text<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}

only_objects!(CpuConfig, CpuidLeafModifier, CpuidRegisterModifier, MsrModifier);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "kvm_capabilities": ["171", "!172"],
        "cpuid_modifiers": [{
            "leaf": "0x80000001", "subleaf": "0b11", "flags": 0,
            "modifiers": [{ "register": "ecx", "bitmap": "0bx0_1" }]
        }],
        "msr_modifiers": [{ "addr": "266", "bitmap": "0b1" }]
    }"#;

    #[test]
    fn numbers_are_read_in_three_bases() {
        let config: CpuConfig = serde_json::from_str(CONFIG).unwrap();
        assert_eq!(config.cpuid_modifiers[0].leaf, 0x8000_0001);
        assert_eq!(config.cpuid_modifiers[0].subleaf, 3);
        assert_eq!(config.msr_modifiers[0].addr, 266);
    }

    #[test]
    fn changes_reach_the_template() {
        let config: CpuConfig = serde_json::from_str(CONFIG).unwrap();
        let template = CpuTemplate::from(config);
        let expected = [CapabilityModifier::Require(171), CapabilityModifier::Ignore(172)];
        assert_eq!(template.capabilities, expected);
        assert_eq!(template.cpuid[0].registers[0].bits.apply(0b110), 0b101);
        assert_eq!(template.msrs[0].bits.apply(0), 1);
    }

    #[test]
    fn written_changes_are_read_back() {
        let config: CpuConfig = serde_json::from_str(CONFIG).unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CpuConfig>(&text).unwrap(), config);
    }

    #[test]
    fn capability_that_is_no_number_is_refused() {
        let error = serde_json::from_str::<CpuConfig>(r#"{"kvm_capabilities":["x"]}"#).unwrap_err();
        assert!(error.to_string().starts_with("Failed to parse string [x] as a kvm capability"));
    }
}
