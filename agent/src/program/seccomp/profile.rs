//! Profiles in Docker's JSON format.

use agent_protocol::message::FailureKind;
use nix::libc;
use serde_json::Value;

use super::{Action, Comparison, Condition, Profile, Rule, syscalls};
use crate::failure::ToFailure;

/// A profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("The seccomp profile is no JSON document")]
    Json(#[source] serde_json::Error),
    #[error("The seccomp profile has no valid {0}")]
    Field(&'static str),
    #[error("The seccomp profile has an unknown {what}: {value:?}")]
    Unknown { what: &'static str, value: String },
    #[error("The seccomp profile is too long for the kernel")]
    TooLong,
}

impl ToFailure for ProfileError {
    fn kind(&self) -> FailureKind {
        FailureKind::InvalidRequest
    }
}

/// What the profile's `arches` call this one.
const ARCHITECTURE: &str = "amd64";

/// Reads a profile for a container with these capabilities. Calls that this kernel's architecture
/// does not have are passed over.
pub(super) fn parse(json: &str, capabilities: &[String]) -> Result<Profile, ProfileError> {
    let document: Value = serde_json::from_str(json).map_err(ProfileError::Json)?;
    let default = number(&document["defaultErrnoRet"]);
    let otherwise = action(&document["defaultAction"], default, "defaultAction")?;
    let mut rules = Vec::new();
    let entries = match &document["syscalls"] {
        Value::Null => &[][..],
        entries => entries.as_array().ok_or(ProfileError::Field("syscalls"))?,
    };
    for entry in entries.iter().filter(|entry| applies(entry, capabilities)) {
        let action = action(&entry["action"], number(&entry["errnoRet"]), "action")?;
        let conditions = conditions(&entry["args"])?;
        for name in names(entry) {
            if let Some(number) = syscalls::number(name) {
                rules.push(Rule { number, conditions: conditions.clone(), action });
            }
        }
    }
    Ok(Profile { otherwise, rules })
}

/// Whether an entry is for this architecture and these capabilities.
fn applies(entry: &Value, capabilities: &[String]) -> bool {
    let has = |name: &str| capabilities.iter().any(|known| known == name);
    let (includes, excludes) = (&entry["includes"], &entry["excludes"]);
    let architectures = strings(&includes["arches"]);
    strings(&includes["caps"]).iter().all(|name| has(name))
        && !strings(&excludes["caps"]).iter().any(|name| has(name))
        && (architectures.is_empty() || architectures.contains(&ARCHITECTURE))
        && !strings(&excludes["arches"]).contains(&ARCHITECTURE)
}

/// The names of an entry, in the new way of writing it or in the old one.
fn names(entry: &Value) -> Vec<&str> {
    let mut names = strings(&entry["names"]);
    names.extend(entry["name"].as_str());
    names
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

fn action(value: &Value, errno: Option<u16>, field: &'static str) -> Result<Action, ProfileError> {
    let name = value.as_str().ok_or(ProfileError::Field(field))?;
    let errno = errno.unwrap_or(libc::EPERM as u16);
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Error(errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        name => return Err(ProfileError::Unknown { what: field, value: name.to_owned() }),
    })
}

fn conditions(value: &Value) -> Result<Vec<Condition>, ProfileError> {
    let arguments = value.as_array().into_iter().flatten();
    arguments.map(condition).collect()
}

fn condition(value: &Value) -> Result<Condition, ProfileError> {
    let argument = value["index"].as_u64().and_then(|index| u8::try_from(index).ok());
    let argument = argument.filter(|index| *index < 6).ok_or(ProfileError::Field("index"))?;
    let first = value["value"].as_u64().unwrap_or(0);
    let second = value["valueTwo"].as_u64().unwrap_or(0);
    let plain = |comparison| Condition { argument, comparison, value: first };
    Ok(match value["op"].as_str().ok_or(ProfileError::Field("op"))? {
        "SCMP_CMP_EQ" => plain(Comparison::Equal),
        "SCMP_CMP_NE" => plain(Comparison::NotEqual),
        "SCMP_CMP_LT" => plain(Comparison::Less),
        "SCMP_CMP_LE" => plain(Comparison::LessOrEqual),
        "SCMP_CMP_GT" => plain(Comparison::Greater),
        "SCMP_CMP_GE" => plain(Comparison::GreaterOrEqual),
        "SCMP_CMP_MASKED_EQ" => {
            Condition { argument, comparison: Comparison::Masked(first), value: second }
        }
        op => return Err(ProfileError::Unknown { what: "op", value: op.to_owned() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "syscalls": [
            {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
            {"names": ["write"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 255, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]}"#;

    #[test]
    fn entries_count_where_they_apply() {
        let numbers = |capabilities: &[String]| -> Vec<u32> {
            let profile = parse(PROFILE, capabilities).unwrap();
            assert_eq!(profile.otherwise, Action::Error(38));
            profile.rules.iter().map(|rule| rule.number).collect()
        };
        assert_eq!(numbers(&[]), [0, 56]);
        assert_eq!(numbers(&["CAP_SYS_CHROOT".into()]), [0, 161, 56]);
        let profile = parse(PROFILE, &[]).unwrap();
        assert_eq!(profile.rules[1].conditions[0].comparison, Comparison::Masked(255));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |json| parse(json, &[]).unwrap_err().to_string();
        assert_eq!(message("{"), "The seccomp profile is no JSON document");
        assert_eq!(message("{}"), "The seccomp profile has no valid defaultAction");
        let unknown = r#"{"defaultAction": "SCMP_ACT_DANCE"}"#;
        assert_eq!(
            message(unknown),
            "The seccomp profile has an unknown defaultAction: \"SCMP_ACT_DANCE\""
        );
    }
}
