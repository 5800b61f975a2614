//! Lines of a Dockerfile that change a configuration, as `commit --change` takes them.

use bollard_stubs::models::ContainerConfig;

use super::ContainerError;
use super::spec::signal;

/// Applies lines, each an instruction or several of them with line feeds between.
pub(super) fn apply(
    config: &mut ContainerConfig,
    changes: &[String],
) -> Result<(), ContainerError> {
    for line in changes.iter().flat_map(|change| change.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        apply_one(config, &word.to_ascii_uppercase(), rest.trim())?;
    }
    Ok(())
}

fn apply_one(config: &mut ContainerConfig, word: &str, rest: &str) -> Result<(), ContainerError> {
    if rest.is_empty() {
        return Err(invalid(format!("{word} requires at least one argument")));
    }
    match word {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "USER" => config.user = Some(rest.to_owned()),
        "WORKDIR" => config.working_dir = Some(rest.to_owned()),
        "STOPSIGNAL" => {
            signal::parse(rest)?;
            config.stop_signal = Some(rest.to_owned());
        }
        "ENV" => {
            for (name, value) in pairs(rest)? {
                let env = config.env.get_or_insert_default();
                env.retain(|entry| entry.split_once('=').is_none_or(|(own, _)| own != name));
                env.push(format!("{name}={value}"));
            }
        }
        "LABEL" => config.labels.get_or_insert_default().extend(pairs(rest)?),
        "EXPOSE" => {
            let ports = rest.split_whitespace().map(|port| {
                if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
            });
            add(config.exposed_ports.get_or_insert_default(), ports);
        }
        "VOLUME" => {
            let paths =
                list(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            add(config.volumes.get_or_insert_default(), paths.into_iter());
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        _ => return Err(invalid(format!("{word} is not a valid change command"))),
    }
    Ok(())
}

fn invalid(text: String) -> ContainerError {
    ContainerError::Invalid(text)
}

fn add(set: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for entry in more {
        if !set.contains(&entry) {
            set.push(entry);
        }
    }
}

/// `["word", …]`.
fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// A list, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    list(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

/// `name=value …` with quotes, or the old form `name value`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, ContainerError> {
    let words = words(text)?;
    let first = words.first().map(String::as_str).unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: &String| {
        let pair = word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| invalid(format!("Syntax error - can't find = in \"{word}\"")))
    };
    words.iter().map(pair).collect()
}

/// Words, in which quotes and backslashes keep spaces.
fn words(text: &str) -> Result<Vec<String>, ContainerError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', Some('"') | None) => {
                let next = characters.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(invalid(format!("unterminated quote in {text}")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(lines: &[&str]) -> ContainerConfig {
        let mut config = ContainerConfig::default();
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        apply(&mut config, &lines).unwrap();
        config
    }

    #[test]
    fn commands_have_both_forms() {
        let config = applied(&["CMD [\"a\", \"b c\"]", "entrypoint run it"]);
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
    }

    #[test]
    fn pairs_keep_what_is_quoted() {
        let config = applied(&["ENV A=1 B=\"two words\" C=x\\ y", "LABEL d 'e f'", "ENV A=2"]);
        assert_eq!(config.env.unwrap(), ["B=two words", "C=x y", "A=2"]);
        assert_eq!(config.labels.unwrap()["d"], "'e f'");
    }

    #[test]
    fn ports_and_volumes_are_joined() {
        let config =
            applied(&["EXPOSE 80 53/udp", "EXPOSE 80/tcp", "VOLUME [\"/a\"]", "VOLUME /b /a"]);
        assert_eq!(config.exposed_ports.unwrap(), ["80/tcp", "53/udp"]);
        assert_eq!(config.volumes.unwrap(), ["/a", "/b"]);
    }

    #[test]
    fn other_instructions_are_refused() {
        for line in ["RUN make", "CMD", "ENV A=\"open", "STOPSIGNAL SIGMOON", "FROM x"] {
            let changes = [line.to_owned()];
            assert!(apply(&mut ContainerConfig::default(), &changes).is_err(), "{line}");
        }
    }
}
