//! Firecracker's fixed sets of processor features: custom templates that come with the program, for
//! the processors that they were made for.

use thiserror::Error;
use vm_spec::CpuTemplate;

use crate::vm::wire::{CpuConfig, StaticCpuTemplate};

/// The host's processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostProcessor {
    /// Who made it: EBX, EDX and ECX of CPUID leaf 0.
    pub vendor: [u8; 12],
    /// Its family, model and stepping: EAX of CPUID leaf 1.
    pub signature: u32,
}

const INTEL: &[u8; 12] = b"GenuineIntel";
const AMD: &[u8; 12] = b"AuthenticAMD";

/// Bits of a signature that are family, model and stepping.
const MODEL: u32 = 0x0fff_0fff;
const SKYLAKE: u32 = 0x0005_0654;
const CASCADE_LAKE: u32 = 0x0005_0657;
const ICE_LAKE: u32 = 0x0006_06a6;
const MILAN: u32 = 0x00a0_0f11;

/// Why a template cannot be had. The texts are Firecracker's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TemplateError {
    #[error("CPU vendor mismatched between actual CPU and CPU template.")]
    Vendor,
    #[error("The current CPU model is not permitted to apply the CPU template.")]
    Model,
    #[error("Invalid static CPU template: {0}")]
    Invalid(String),
}

/// A template: its changes, and for which processors they are.
struct Template {
    changes: &'static str,
    vendor: &'static [u8; 12],
    models: &'static [u32],
}

fn find(template: StaticCpuTemplate) -> Option<Template> {
    let of = |vendor, models, changes| Some(Template { changes, vendor, models });
    match template {
        StaticCpuTemplate::C3 => {
            of(INTEL, &[SKYLAKE, CASCADE_LAKE, ICE_LAKE], include_str!("static_template/c3.json"))
        }
        StaticCpuTemplate::T2 => {
            of(INTEL, &[SKYLAKE, CASCADE_LAKE, ICE_LAKE], include_str!("static_template/t2.json"))
        }
        StaticCpuTemplate::T2S => {
            of(INTEL, &[SKYLAKE, CASCADE_LAKE], include_str!("static_template/t2s.json"))
        }
        StaticCpuTemplate::T2CL => {
            of(INTEL, &[CASCADE_LAKE, ICE_LAKE], include_str!("static_template/t2cl.json"))
        }
        StaticCpuTemplate::T2A => of(AMD, &[MILAN], include_str!("static_template/t2a.json")),
        StaticCpuTemplate::None => None,
    }
}

/// Whether a template is for this processor.
pub(super) fn check(
    template: StaticCpuTemplate,
    processor: HostProcessor,
) -> Result<(), TemplateError> {
    match find(template) {
        Some(found) if found.vendor != &processor.vendor => Err(TemplateError::Vendor),
        Some(found) if !found.models.contains(&(processor.signature & MODEL)) => {
            Err(TemplateError::Model)
        }
        _ => Ok(()),
    }
}

/// The changes of a template, read as those of `/cpu-config`.
pub(super) fn changes(template: StaticCpuTemplate) -> Result<CpuTemplate, TemplateError> {
    let Some(found) = find(template) else { return Ok(CpuTemplate::default()) };
    let config: Result<CpuConfig, _> = serde_json::from_str(found.changes);
    config.map(Into::into).map_err(|error| TemplateError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use vm_spec::CpuidRegister;

    use super::*;

    const fn intel(signature: u32) -> HostProcessor {
        HostProcessor { vendor: *INTEL, signature }
    }

    /// What a register of leaf 1 becomes.
    fn leaf_1(template: StaticCpuTemplate, register: CpuidRegister, host: u32) -> u32 {
        let changes = changes(template).unwrap();
        let leaf = changes.cpuid.iter().find(|leaf| leaf.leaf == 1).unwrap();
        leaf.registers.iter().find(|r| r.register == register).unwrap().bits.apply(host)
    }

    #[test]
    fn template_is_for_its_vendor_and_models_only() {
        let t2s = StaticCpuTemplate::T2S;
        assert_eq!(check(t2s, intel(0x0005_0657)), Ok(()));
        assert_eq!(check(t2s, intel(0x0006_06a6)), Err(TemplateError::Model));
        let milan = HostProcessor { vendor: *AMD, signature: 0x00a0_0f11 };
        assert_eq!(check(t2s, milan), Err(TemplateError::Vendor));
        assert_eq!(check(StaticCpuTemplate::T2A, milan), Ok(()));
    }

    #[test]
    fn bits_other_than_family_model_and_stepping_do_not_matter() {
        assert_eq!(check(StaticCpuTemplate::T2, intel(0xf005_f657)), Ok(()));
    }

    #[test]
    fn templates_of_one_family_show_the_same_model() {
        let model = |template| leaf_1(template, CpuidRegister::Eax, 0x0006_06a6);
        assert_eq!(model(StaticCpuTemplate::T2), 0x0003_06f2);
        assert_eq!(model(StaticCpuTemplate::T2S), 0x0003_06f2);
        assert_eq!(model(StaticCpuTemplate::T2CL), 0x0003_06f2);
        assert_eq!(model(StaticCpuTemplate::C3), 0x0003_06e4);
    }

    #[test]
    fn vmx_is_hidden() {
        const VMX: u32 = 1 << 5;
        assert_eq!(leaf_1(StaticCpuTemplate::T2, CpuidRegister::Ecx, u32::MAX) & VMX, 0);
        assert_eq!(leaf_1(StaticCpuTemplate::C3, CpuidRegister::Ecx, u32::MAX) & VMX, 0);
    }

    #[test]
    fn architectural_capabilities_are_fixed_by_t2s_and_cut_by_t2cl() {
        let capabilities = |template, host| {
            let changes = changes(template).unwrap();
            assert_eq!(changes.msrs[0].index, 0x10a);
            changes.msrs[0].bits.apply(host)
        };
        assert_eq!(capabilities(StaticCpuTemplate::T2S, u64::MAX), 0x0c0a_0c4c);
        assert_eq!(capabilities(StaticCpuTemplate::T2CL, u64::MAX), 0x1d0a_e1ff);
    }
}
