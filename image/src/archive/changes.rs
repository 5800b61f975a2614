//! Changes to what an image's containers run, written as in a Dockerfile.

use std::collections::BTreeMap;

use crate::config::{ContainerConfig, Empty};

/// A change that cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// Not one of those instructions that change the configuration.
    #[error("{0} is not a valid change command")]
    Instruction(String),
    /// Nothing, or too little, after the instruction.
    #[error("{0} requires at least one argument")]
    Missing(&'static str),
    /// Not of the form that the instruction wants.
    #[error("{instruction} does not understand {text:?}")]
    Form {
        /// The instruction.
        instruction: &'static str,
        /// What follows it.
        text: String,
    },
}

/// Applies one instruction, as `ENV A=b` or `CMD ["sh"]`, to a configuration.
///
/// # Errors
///
/// It is none that changes a configuration, or cannot be read.
pub fn apply_change(config: &mut ContainerConfig, change: &str) -> Result<(), InvalidChange> {
    let change = change.trim();
    let (instruction, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let rest = rest.trim();
    match instruction.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, rest));
            // An entry point of one's own makes the inherited arguments meaningless.
            config.cmd = None;
        }
        "ENV" => {
            let env = config.env.get_or_insert_default();
            for (name, value) in pairs("ENV", rest)? {
                env.retain(|entry| entry.split('=').next() != Some(name.as_str()));
                env.push(format!("{name}={value}"));
            }
        }
        "LABEL" => {
            let labels: BTreeMap<_, _> = pairs("LABEL", rest)?.into_iter().collect();
            config.labels.get_or_insert_default().extend(labels);
        }
        "EXPOSE" => {
            let ports = config.exposed_ports.get_or_insert_default();
            for port in words("EXPOSE", rest)? {
                ports.insert(exposed(&port)?, Empty {});
            }
        }
        "VOLUME" => {
            let volumes = list(rest).map_or_else(|| words("VOLUME", rest), Ok)?;
            let known = config.volumes.get_or_insert_default();
            known.extend(volumes.into_iter().map(|path| (path, Empty {})));
        }
        "USER" => config.user = Some(one("USER", rest)?),
        "STOPSIGNAL" => config.stop_signal = Some(one("STOPSIGNAL", rest)?),
        "WORKDIR" => {
            let folder = one("WORKDIR", rest)?;
            config.working_dir = Some(folder_beneath(config.working_dir.as_deref(), &folder));
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(one("ONBUILD", rest)?),
        "SHELL" => {
            config.shell = Some(list(rest).filter(|words| !words.is_empty()).ok_or_else(|| {
                InvalidChange::Form { instruction: "SHELL", text: rest.to_owned() }
            })?);
        }
        _ => return Err(InvalidChange::Instruction(instruction.to_owned())),
    }
    Ok(())
}

/// A list of words, or a text for the shell.
fn command(config: &ContainerConfig, text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    list(text).unwrap_or_else(|| {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut words = config.shell.clone().unwrap_or_else(default);
        words.push(text.to_owned());
        words
    })
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn one(instruction: &'static str, text: &str) -> Result<String, InvalidChange> {
    match text.is_empty() {
        true => Err(InvalidChange::Missing(instruction)),
        false => Ok(text.to_owned()),
    }
}

/// `name=value` pairs, or one name and, after a space, its value.
fn pairs(instruction: &'static str, text: &str) -> Result<Vec<(String, String)>, InvalidChange> {
    let invalid = || InvalidChange::Form { instruction, text: text.to_owned() };
    let words = words(instruction, text)?;
    if !words[0].contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).ok_or_else(invalid)?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let split = |word: String| {
        let (name, value) = word.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    words.into_iter().map(split).collect::<Option<_>>().ok_or_else(invalid)
}

/// Words between white space; quotes and backslashes keep it.
fn words(instruction: &'static str, text: &str) -> Result<Vec<String>, InvalidChange> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().extend(characters.next());
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(InvalidChange::Form { instruction, text: text.to_owned() });
    }
    words.extend(word);
    match words.is_empty() {
        true => Err(InvalidChange::Missing(instruction)),
        false => Ok(words),
    }
}

/// `80` is `80/tcp`.
fn exposed(port: &str) -> Result<String, InvalidChange> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let mut ends = number.split('-');
    let known = ["tcp", "udp", "sctp"].contains(&protocol);
    match ends.all(|end| end.parse::<u16>().is_ok_and(|end| end > 0)) && known {
        true => Ok(format!("{number}/{protocol}")),
        false => Err(InvalidChange::Form { instruction: "EXPOSE", text: port.to_owned() }),
    }
}

fn folder_beneath(current: Option<&str>, folder: &str) -> String {
    match folder.starts_with('/') {
        true => folder.to_owned(),
        false => format!("{}/{folder}", current.unwrap_or_default().trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> ContainerConfig {
        let mut config = ContainerConfig::default();
        for change in changes {
            apply_change(&mut config, change).unwrap();
        }
        config
    }

    fn strings(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn commands_are_lists_or_texts_for_the_shell() {
        assert_eq!(changed(&[r#"CMD ["a", "b c"]"#]).cmd, strings(&["a", "b c"]));
        assert_eq!(changed(&["cmd echo $HOME"]).cmd, strings(&["/bin/sh", "-c", "echo $HOME"]));
        let own_shell = changed(&[r#"SHELL ["bash", "-c"]"#, "ENTRYPOINT x"]);
        assert_eq!(own_shell.entrypoint, strings(&["bash", "-c", "x"]));
    }

    #[test]
    fn entry_point_takes_the_arguments_away() {
        assert_eq!(changed(&["CMD a", r#"ENTRYPOINT ["b"]"#]).cmd, None);
    }

    #[test]
    fn environment_is_replaced_by_name_and_may_be_quoted() {
        let config = changed(&["ENV A=1 B=2", r#"ENV A="x y" C=a\ b D=''"#, "ENV OLD some text"]);
        assert_eq!(config.env, strings(&["B=2", "A=x y", "C=a b", "D=", "OLD=some text"]));
    }

    #[test]
    fn ports_volumes_labels_and_folders_are_taken() {
        let config = changed(&[
            "EXPOSE 80 53/udp 8000-8010",
            "VOLUME /a /b",
            r#"VOLUME ["/c d"]"#,
            "LABEL a=b",
            "WORKDIR /srv",
            "WORKDIR app",
            "USER 1000:1000",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
        ]);
        let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000-8010/tcp"]);
        let volumes: Vec<_> = config.volumes.unwrap().into_keys().collect();
        assert_eq!(volumes, ["/a", "/b", "/c d"]);
        assert_eq!(config.labels.unwrap()["a"], "b");
        assert_eq!(config.working_dir.as_deref(), Some("/srv/app"));
        assert_eq!(config.user.as_deref(), Some("1000:1000"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(config.on_build, strings(&["RUN x"]));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let refused = |change: &str| {
            apply_change(&mut ContainerConfig::default(), change).unwrap_err().to_string()
        };
        assert_eq!(refused("RUN rm -rf /"), "RUN is not a valid change command");
        assert_eq!(refused("ENV"), "ENV requires at least one argument");
        for change in ["ENV A", "ENV A=\"x", "LABEL =x", "EXPOSE 0", "EXPOSE x/tcp", "SHELL a"] {
            assert!(refused(change).contains("does not understand"), "{change}");
        }
    }
}
