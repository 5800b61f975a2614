//! Reading a JSON body.

use serde::de::DeserializeOwned;

use super::BadRequest;

/// The value that a body holds.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadRequest> {
    parse_json(body).map_err(BadRequest::Body)
}

/// The value that a text holds, or serde's message, to which the path of the field at fault is
/// added where the message itself does not name it.
pub(crate) fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        let last = path.rsplit('.').next().unwrap_or("");
        // `?` is what the path has where the text ends or goes wrong within a name.
        if path == "." || path.contains('?') || message.contains(&format!("`{last}`")) {
            message
        } else {
            format!("{message}, in `{path}`")
        }
    })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::wire::{Drive, MachineConfiguration};

    fn error<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        parse_json::<T>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn value_of_the_wrong_type_names_its_field() {
        assert_eq!(
            error::<MachineConfiguration>(r#"{"vcpu_count":-1}"#),
            "invalid value: integer `-1`, expected u8 at line 1 column 16, in `vcpu_count`"
        );
    }

    #[test]
    fn field_in_a_field_is_named_by_its_path() {
        let text = r#"{"drive_id":"a","is_root_device":false,"rate_limiter":{"ops":{"size":"x"}}}"#;
        assert!(error::<Drive>(text).ends_with(", in `rate_limiter.ops.size`"));
    }

    #[test]
    fn message_that_names_the_field_stays_as_it_is() {
        assert_eq!(
            error::<MachineConfiguration>(r#"{"mem_size_mib":128}"#),
            "missing field `vcpu_count` at line 1 column 20"
        );
        assert!(error::<MachineConfiguration>(r#"{"cpus":1}"#).starts_with("unknown field `cpus`"));
    }

    #[test]
    fn text_after_the_value_is_refused() {
        assert!(
            error::<MachineConfiguration>(r#"{"vcpu_count":1,"mem_size_mib":1} x"#)
                .starts_with("trailing characters")
        );
    }

    #[test]
    fn duplicate_field_is_refused() {
        assert!(
            error::<MachineConfiguration>(r#"{"vcpu_count":1,"vcpu_count":2}"#)
                .starts_with("duplicate field `vcpu_count`")
        );
    }

    #[test]
    fn depth_of_ten_thousand_is_refused() {
        assert!(error::<serde_json::Value>(&"[".repeat(10_000)).starts_with("recursion limit"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(parse_json::<serde_json::Value>(b"\"\xff\"").is_err());
    }
}
