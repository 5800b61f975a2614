//! What a client asks for, completed by what the image says.

use bollard_stubs::models::{ContainerConfig, HealthConfig, ImageConfig};

use super::SpecError;

/// Fills in from the image what `config` leaves open, by Docker's rules:
///
/// * an entry point of the client's own drops the image's command;
/// * an entry point of one empty word takes the image's away;
/// * variables, ports, volumes and labels are joined, and the client's win.
pub fn merge(config: &mut ContainerConfig, image: &ImageConfig) -> Result<(), SpecError> {
    fill_text(&mut config.user, image.user.as_ref());
    fill_text(&mut config.working_dir, image.working_dir.as_ref());
    fill_text(&mut config.stop_signal, image.stop_signal.as_ref());
    if config.shell.is_none() {
        config.shell.clone_from(&image.shell);
    }
    join(&mut config.exposed_ports, image.exposed_ports.as_ref());
    join(&mut config.volumes, image.volumes.as_ref());
    merge_env(&mut config.env, image.env.as_ref());
    for (name, value) in image.labels.iter().flatten() {
        let labels = config.labels.get_or_insert_default();
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    merge_command(config, image);
    merge_health(&mut config.healthcheck, image.healthcheck.as_ref());
    let words = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if words(&config.cmd) || words(&config.entrypoint) {
        Ok(())
    } else {
        Err(SpecError::Invalid("no command specified".to_owned()))
    }
}

fn fill_text(text: &mut Option<String>, default: Option<&String>) {
    if text.as_deref().unwrap_or_default().is_empty() {
        *text = default.cloned();
    }
}

fn join(list: &mut Option<Vec<String>>, more: Option<&Vec<String>>) {
    for entry in more.into_iter().flatten() {
        let list = list.get_or_insert_default();
        if !list.contains(entry) {
            list.push(entry.clone());
        }
    }
}

/// `NAME` of `NAME=value`.
fn variable(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

fn merge_env(env: &mut Option<Vec<String>>, image: Option<&Vec<String>>) {
    for entry in image.into_iter().flatten() {
        let env = env.get_or_insert_default();
        if !env.iter().any(|own| variable(own) == variable(entry)) {
            env.push(entry.clone());
        }
    }
}

fn merge_command(config: &mut ContainerConfig, image: &ImageConfig) {
    let none_own = config.entrypoint.as_ref().is_none_or(Vec::is_empty);
    if none_own {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd.clone_from(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if config.entrypoint.as_ref().is_some_and(|words| words.len() == 1 && words.concat().is_empty())
    {
        config.entrypoint = None;
    }
}

fn merge_health(own: &mut Option<HealthConfig>, image: Option<&HealthConfig>) {
    let Some(image) = image else { return };
    let Some(own) = own else {
        *own = Some(image.clone());
        return;
    };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    for (value, default) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.retries, image.retries),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
    ] {
        if value.unwrap_or_default() == 0 {
            *value = default;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split(' ').map(str::to_owned).collect())
    }

    fn image() -> ImageConfig {
        ImageConfig {
            entrypoint: words("/entry"),
            cmd: words("serve --fast"),
            env: words("PATH=/bin LANG=C"),
            user: Some("web".to_owned()),
            ..Default::default()
        }
    }

    fn command(entrypoint: Option<Vec<String>>, cmd: Option<Vec<String>>) -> (String, String) {
        let mut config = ContainerConfig { entrypoint, cmd, ..Default::default() };
        merge(&mut config, &image()).unwrap();
        let text = |words: Option<Vec<String>>| words.unwrap_or_default().join(" ");
        (text(config.entrypoint), text(config.cmd))
    }

    #[test]
    fn the_image_gives_entry_point_and_command_where_none_is_asked_for() {
        assert_eq!(command(None, None), ("/entry".into(), "serve --fast".into()));
    }

    #[test]
    fn a_command_replaces_the_image_s_command_only() {
        assert_eq!(command(None, words("sh -c true")), ("/entry".into(), "sh -c true".into()));
    }

    #[test]
    fn an_entry_point_drops_the_image_s_command() {
        assert_eq!(command(words("sh"), None), ("sh".into(), String::new()));
    }

    #[test]
    fn an_empty_entry_point_leaves_the_command_alone() {
        assert_eq!(command(words(""), words("id")), (String::new(), "id".into()));
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        let error = merge(&mut ContainerConfig::default(), &ImageConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "no command specified");
    }

    #[test]
    fn a_client_s_variables_win_over_the_image_s() {
        let mut config = ContainerConfig { env: words("LANG=de A=1"), ..Default::default() };
        merge(&mut config, &image()).unwrap();
        assert_eq!(config.env, words("LANG=de A=1 PATH=/bin"));
    }

    #[test]
    fn a_health_check_takes_what_it_leaves_open_from_the_image() {
        let mut config = ContainerConfig {
            healthcheck: Some(HealthConfig { interval: Some(5), ..Default::default() }),
            ..Default::default()
        };
        let health = HealthConfig {
            test: words("CMD true"),
            interval: Some(9),
            retries: Some(2),
            ..Default::default()
        };
        merge(&mut config, &ImageConfig { healthcheck: Some(health), ..image() }).unwrap();
        let health = config.healthcheck.unwrap();
        assert_eq!(
            (health.test, health.interval, health.retries),
            (words("CMD true"), Some(5), Some(2))
        );
    }
}
