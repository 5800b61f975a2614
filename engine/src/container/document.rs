//! A container as `inspect` and `ps` show it.

use std::collections::HashMap;
use std::time::Duration;

use bollard_stubs::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryHealth, ContainerSummaryHealthStatusEnum, ContainerSummaryHostConfig,
    ContainerSummaryNetworkSettings, ContainerSummaryStateEnum, DriverData, HealthStatusEnum,
    MountPoint, NetworkSettings,
};

use super::live::{Container, lock};
use super::moment;
use super::record::{MountRecord, MountedSource, Phase, State};

impl Container {
    /// As `GET /containers/ID/json` answers.
    pub async fn inspect(&self) -> ContainerInspectResponse {
        let record = self.record();
        let spec = self.spec();
        let mut argv = spec.process.argv.iter().cloned();
        let log = self.streams.log().path().map(|path| path.display().to_string());
        let pod = self.pod();
        let home = pod.as_deref().unwrap_or(self);
        let networks = home.network_documents().await;
        ContainerInspectResponse {
            id: Some(record.id.clone()),
            created: Some(moment::from_nanos(record.created_ns)),
            path: Some(argv.next().unwrap_or_default()),
            args: Some(argv.collect()),
            state: Some(self.state_document(&record.state)),
            image: Some(record.image_id.clone()),
            resolv_conf_path: Some(String::new()),
            hostname_path: Some(String::new()),
            hosts_path: Some(String::new()),
            log_path: Some(log.unwrap_or_default()),
            name: Some(format!("/{}", record.name)),
            restart_count: Some(i64::try_from(record.restart_count).unwrap_or(i64::MAX)),
            driver: Some("erofs".to_owned()),
            platform: Some("linux".to_owned()),
            mount_label: Some(String::new()),
            process_label: Some(String::new()),
            app_armor_profile: Some(String::new()),
            graph_driver: Some(DriverData { name: "erofs".to_owned(), data: HashMap::new() }),
            mounts: Some(record.mounts.iter().map(mount_point).collect()),
            network_settings: Some(NetworkSettings {
                sandbox_id: Some(String::new()),
                sandbox_key: Some(String::new()),
                ports: Some(home.port_documents().await),
                networks: Some(networks),
            }),
            config: Some(record.config),
            host_config: Some(record.host_config),
            ..ContainerInspectResponse::default()
        }
    }

    /// The address that was asked for on its first network.
    #[must_use]
    pub fn wanted_mac(&self) -> Option<String> {
        self.with_record(|record| {
            let network = record.host_config.network_mode.as_ref()?;
            let mac = record.endpoints.get(network)?.mac_address.clone();
            mac.filter(|mac| !mac.is_empty())
        })
    }

    fn state_document(&self, state: &State) -> ContainerState {
        let phase = state.phase;
        let moment = |nanos| match nanos {
            0 => moment::NEVER.to_owned(),
            nanos => moment::shortest(moment::from_nanos(nanos)),
        };
        ContainerState {
            status: Some(status(phase)),
            running: Some(phase.is_up()),
            paused: Some(phase == Phase::Paused),
            restarting: Some(phase == Phase::Restarting),
            oom_killed: Some(state.oom_killed),
            dead: Some(phase == Phase::Dead),
            pid: Some(state.pid.into()),
            exit_code: Some(state.exit_code),
            error: Some(state.error.clone()),
            started_at: Some(moment(state.started_ns)),
            finished_at: Some(moment(state.finished_ns)),
            health: lock(&self.health).as_ref().map(super::health::HealthState::document),
        }
    }

    /// As `GET /containers/json` lists it.
    pub async fn summary(&self) -> ContainerSummary {
        let record = self.record();
        let spec = self.spec();
        let pod = self.pod();
        let home = pod.as_deref().unwrap_or(self);
        let health = lock(&self.health).as_ref().map(|state| (state.status, state.failing));
        let seconds = record.created_ns / 1_000_000_000;
        ContainerSummary {
            id: Some(record.id.clone()),
            names: Some(vec![format!("/{}", record.name)]),
            image: Some(record.image.clone()),
            image_id: Some(record.image_id.clone()),
            command: Some(spec.process.argv.join(" ")),
            created: Some(i64::try_from(seconds).unwrap_or(i64::MAX)),
            ports: Some(home.port_summaries().await),
            labels: Some(record.config.labels.clone().unwrap_or_default()),
            state: Some(summary_state(record.state.phase)),
            status: Some(status_text(&record.state, health.map(|(status, _)| status))),
            host_config: Some(ContainerSummaryHostConfig {
                network_mode: record.host_config.network_mode.clone(),
                annotations: record.host_config.annotations.clone(),
            }),
            network_settings: Some(ContainerSummaryNetworkSettings {
                networks: Some(home.network_documents().await),
            }),
            mounts: Some(record.mounts.iter().map(mount_point).collect()),
            health: health.map(|(status, failing)| ContainerSummaryHealth {
                status: Some(summary_health(status)),
                failing_streak: Some(failing.into()),
            }),
            ..ContainerSummary::default()
        }
    }

    /// Bytes that its writable disk takes on the host.
    #[must_use]
    pub fn disk_usage(&self) -> i64 {
        use std::os::unix::fs::MetadataExt;
        let disk = std::fs::metadata(self.folder().join("writable.ext4"));
        let blocks = disk.map_or(0, |disk| disk.blocks());
        i64::try_from(blocks.saturating_mul(512)).unwrap_or(i64::MAX)
    }

    /// Bytes of its image and of what it wrote.
    #[must_use]
    pub fn root_size(&self) -> i64 {
        let image = self.with_record(|record| record.image_id.clone());
        let size = self.ground.image(&image).map_or(0, |image| image.size());
        self.disk_usage().saturating_add(i64::try_from(size).unwrap_or(i64::MAX))
    }

    /// `starting`, `healthy`, `unhealthy`, or `none`.
    #[must_use]
    pub fn health_word(&self) -> String {
        let health = lock(&self.health).as_ref().map(|state| state.status);
        health.map_or_else(|| "none".to_owned(), |status| status.to_string())
    }
}

fn mount_point(mount: &MountRecord) -> MountPoint {
    let (typ, name, source, driver) = match &mount.source {
        MountedSource::Bind { path } => ("bind", None, path.clone(), None),
        MountedSource::Volume { name, folder, .. } => {
            ("volume", Some(name.clone()), folder.clone(), Some("local".to_owned()))
        }
        MountedSource::Tmpfs { .. } => ("tmpfs", None, String::new(), None),
    };
    MountPoint {
        typ: Some(typ.to_owned()),
        name,
        source: Some(source),
        destination: Some(mount.target.clone()),
        driver,
        mode: Some(if mount.read_only { "ro" } else { "" }.to_owned()),
        rw: Some(!mount.read_only),
        propagation: Some(if typ == "bind" { "rprivate" } else { "" }.to_owned()),
    }
}

fn status(phase: Phase) -> ContainerStateStatusEnum {
    match phase {
        Phase::Created => ContainerStateStatusEnum::CREATED,
        Phase::Running => ContainerStateStatusEnum::RUNNING,
        Phase::Paused => ContainerStateStatusEnum::PAUSED,
        Phase::Restarting => ContainerStateStatusEnum::RESTARTING,
        Phase::Removing => ContainerStateStatusEnum::REMOVING,
        Phase::Exited => ContainerStateStatusEnum::EXITED,
        Phase::Dead => ContainerStateStatusEnum::DEAD,
    }
}

fn summary_state(phase: Phase) -> ContainerSummaryStateEnum {
    match phase {
        Phase::Created => ContainerSummaryStateEnum::CREATED,
        Phase::Running => ContainerSummaryStateEnum::RUNNING,
        Phase::Paused => ContainerSummaryStateEnum::PAUSED,
        Phase::Restarting => ContainerSummaryStateEnum::RESTARTING,
        Phase::Removing => ContainerSummaryStateEnum::REMOVING,
        Phase::Exited => ContainerSummaryStateEnum::EXITED,
        Phase::Dead => ContainerSummaryStateEnum::DEAD,
    }
}

fn summary_health(status: HealthStatusEnum) -> ContainerSummaryHealthStatusEnum {
    match status {
        HealthStatusEnum::STARTING => ContainerSummaryHealthStatusEnum::STARTING,
        HealthStatusEnum::HEALTHY => ContainerSummaryHealthStatusEnum::HEALTHY,
        HealthStatusEnum::UNHEALTHY => ContainerSummaryHealthStatusEnum::UNHEALTHY,
        _ => ContainerSummaryHealthStatusEnum::NONE,
    }
}

/// `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`, …
fn status_text(state: &State, health: Option<HealthStatusEnum>) -> String {
    let since = |nanos: u64| {
        let passed = moment::now_ns().saturating_sub(nanos);
        rough(Duration::from_nanos(passed))
    };
    match state.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Removing => "Removal In Progress".to_owned(),
        Phase::Dead => "Dead".to_owned(),
        Phase::Paused => format!("Up {} (Paused)", since(state.started_ns)),
        Phase::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_ns)),
        Phase::Restarting => {
            format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_ns))
        }
        Phase::Running => {
            let up = format!("Up {}", since(state.started_ns));
            match health {
                Some(HealthStatusEnum::STARTING) => format!("{up} (health: starting)"),
                Some(HealthStatusEnum::HEALTHY) => format!("{up} (healthy)"),
                Some(HealthStatusEnum::UNHEALTHY) => format!("{up} (unhealthy)"),
                _ => up,
            }
        }
    }
}

/// A duration in the words of Docker's clients.
#[must_use]
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Hours are rounded to the nearest.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_docker_s_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 21, "3 weeks"),
            (86_400 * 90, "3 months"),
            (86_400 * 800, "2 years"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn an_exit_is_shown_with_its_code() {
        let finished_ns = moment::now_ns() - 3_000_000_000;
        let state = State { phase: Phase::Exited, exit_code: 3, finished_ns, ..State::default() };
        assert_eq!(status_text(&state, None), "Exited (3) 3 seconds ago");
    }

    #[test]
    fn health_is_shown_while_it_runs() {
        let started_ns = moment::now_ns() - 5_000_000_000;
        let state = State { phase: Phase::Running, started_ns, ..State::default() };
        assert_eq!(status_text(&state, Some(HealthStatusEnum::HEALTHY)), "Up 5 seconds (healthy)");
        let paused = State { phase: Phase::Paused, ..state };
        assert_eq!(status_text(&paused, None), "Up 5 seconds (Paused)");
    }
}
