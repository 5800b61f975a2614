//! Flags as the body of a request to make a container.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, bail};
use bollard_stubs::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, NetworkingConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::options::{
    CreateOptions, HealthOptions, LastingLimitOptions, NetworkOptions, ResourceOptions,
    SecurityOptions, StorageOptions,
};
use super::{mounts, ports};
use crate::units;

impl CreateOptions {
    /// The streams of the container that the command is attached to.
    pub(crate) fn attached(&self, detach: bool) -> anyhow::Result<Attached> {
        if detach {
            return Ok(Attached::default());
        }
        if self.attach.is_empty() {
            return Ok(Attached { stdin: self.interactive, stdout: true, stderr: true });
        }
        let mut attached = Attached::default();
        for stream in &self.attach {
            match stream.to_ascii_lowercase().as_str() {
                "stdin" => attached.stdin = true,
                "stdout" => attached.stdout = true,
                "stderr" => attached.stderr = true,
                _ => bail!("--attach {stream}: expected stdin, stdout or stderr"),
            }
        }
        Ok(attached)
    }

    /// The request's body for `image` and `command`.
    pub(crate) fn body(
        &self,
        image: &str,
        command: &[String],
        attached: Attached,
    ) -> anyhow::Result<ContainerCreateBody> {
        let volumes = mounts::volumes(&self.storage.volume)?;
        let bindings = ports::bindings(&self.network.publish)?;
        let mut exposed = ports::exposed(&self.network.expose)?;
        exposed.extend(bindings.keys().cloned());
        Ok(ContainerCreateBody {
            hostname: self.hostname.clone(),
            domainname: self.domainname.clone(),
            user: self.user.clone(),
            attach_stdin: Some(attached.stdin),
            attach_stdout: Some(attached.stdout),
            attach_stderr: Some(attached.stderr),
            exposed_ports: some(exposed),
            tty: Some(self.tty),
            open_stdin: Some(self.interactive),
            stdin_once: Some(self.interactive && attached.stdin),
            env: some(environment(&self.env, &self.env_file)?),
            cmd: some(command.to_vec()),
            entrypoint: self.entrypoint.as_ref().map(|program| vec![program.clone()]),
            image: Some(image.to_owned()),
            volumes: some(volumes.anonymous),
            working_dir: self.workdir.clone(),
            labels: some(labels(&self.label, &self.label_file)?),
            stop_signal: self.stop_signal.clone(),
            stop_timeout: self.stop_timeout,
            healthcheck: self.health.config()?,
            host_config: Some(self.host_config(volumes.binds, bindings)?),
            networking_config: self.network.config(&self.rare.link_local_ip),
            ..ContainerCreateBody::default()
        })
    }

    fn host_config(
        &self,
        binds: Vec<String>,
        bindings: bollard_stubs::models::PortMap,
    ) -> anyhow::Result<HostConfig> {
        let mut host = HostConfig {
            binds: some(binds),
            port_bindings: (!bindings.is_empty()).then_some(bindings),
            auto_remove: Some(self.rm),
            init: self.init.then_some(true),
            group_add: some(self.group_add.clone()),
            restart_policy: self.restart.as_deref().map(restart_policy).transpose()?,
            container_id_file: self.cidfile.clone(),
            log_config: log_config(self.log_driver.as_ref(), &self.log_opt)?,
            ..HostConfig::default()
        };
        self.resources.fill(&mut host)?;
        self.lasting.fill(&mut host)?;
        self.storage.fill(&mut host)?;
        self.network.fill(&mut host);
        self.security.fill(&mut host)?;
        self.rare.fill(&mut host)?;
        Ok(host)
    }
}

/// Which streams are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl Attached {
    pub(crate) fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

impl ResourceOptions {
    /// As `update` takes them too.
    pub(crate) fn fill(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        let size = |name: &str, value: &Option<String>| {
            value
                .as_deref()
                .map(|text| if text == "-1" { Ok(-1) } else { units::size(text) })
                .transpose()
                .with_context(|| format!("--{name}"))
        };
        host.memory = size("memory", &self.memory)?;
        host.memory_swap = size("memory-swap", &self.memory_swap)?;
        host.memory_reservation = size("memory-reservation", &self.memory_reservation)?;
        #[expect(clippy::cast_possible_truncation, reason = "the engine refuses what is too much")]
        let nanos = |cpus: f64| (cpus * 1e9) as i64;
        host.nano_cpus = self.cpus.map(nanos);
        host.cpu_shares = self.cpu_shares;
        host.cpu_quota = self.cpu_quota;
        host.cpu_period = self.cpu_period;
        host.pids_limit = self.pids_limit;
        Ok(())
    }
}

impl LastingLimitOptions {
    fn fill(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        let size = self.shm_size.as_deref().map(units::size).transpose();
        host.shm_size = size.context("--shm-size")?;
        host.cpuset_cpus.clone_from(&self.cpuset_cpus);
        host.oom_score_adj = self.oom_score_adj;
        let limits: anyhow::Result<Vec<_>> = self.ulimit.iter().map(|text| ulimit(text)).collect();
        host.ulimits = some(limits?);
        Ok(())
    }
}

impl StorageOptions {
    fn fill(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        let mounts: anyhow::Result<Vec<_>> =
            self.mount.iter().map(|flag| mounts::mount(flag)).collect();
        host.mounts = some(mounts?);
        let tmpfs = self.tmpfs.iter().map(|flag| {
            let (target, options) = flag.split_once(':').unwrap_or((flag, ""));
            (target.to_owned(), options.to_owned())
        });
        host.tmpfs = some(tmpfs.collect());
        host.volumes_from = some(self.volumes_from.clone());
        host.readonly_rootfs = self.read_only.then_some(true);
        host.storage_opt = some(pairs("storage-opt", &self.storage_opt)?);
        Ok(())
    }
}

impl NetworkOptions {
    fn fill(&self, host: &mut HostConfig) {
        host.network_mode = self.network.first().cloned();
        host.publish_all_ports = self.publish_all.then_some(true);
        host.dns = some(self.dns.clone());
        host.dns_search = some(self.dns_search.clone());
        host.dns_options = some(self.dns_option.clone());
        host.extra_hosts = some(self.add_host.clone());
        host.links = some(self.link.clone());
    }

    fn config(&self, link_local: &[String]) -> Option<NetworkingConfig> {
        let first = self.network.first().map_or("default", String::as_str);
        let ipam = EndpointIpamConfig {
            ipv4_address: self.ip.clone(),
            ipv6_address: self.ip6.clone(),
            link_local_ips: some(link_local.to_vec()),
        };
        let settings = EndpointSettings {
            ipam_config: some(ipam),
            aliases: some(self.network_alias.clone()),
            mac_address: self.mac_address.clone(),
            ..EndpointSettings::default()
        };
        let mut endpoints: HashMap<String, EndpointSettings> = HashMap::new();
        if settings != EndpointSettings::default() {
            endpoints.insert(first.to_owned(), settings);
        }
        if self.network.len() > 1 {
            for network in &self.network {
                endpoints.entry(network.clone()).or_default();
            }
        }
        some(endpoints).map(|endpoints| NetworkingConfig { endpoints_config: Some(endpoints) })
    }
}

impl HealthOptions {
    fn config(&self) -> anyhow::Result<Option<HealthConfig>> {
        if self.no_healthcheck {
            let test = Some(vec!["NONE".to_owned()]);
            return Ok(Some(HealthConfig { test, ..HealthConfig::default() }));
        }
        let time = |name: &str, value: &Option<String>| {
            let value = value.as_deref().map(units::duration).transpose();
            value.with_context(|| format!("--health-{name}"))
        };
        let config = HealthConfig {
            test: self.health_cmd.clone().map(|command| vec!["CMD-SHELL".to_owned(), command]),
            interval: time("interval", &self.health_interval)?,
            timeout: time("timeout", &self.health_timeout)?,
            retries: self.health_retries,
            start_period: time("start-period", &self.health_start_period)?,
            start_interval: time("start-interval", &self.health_start_interval)?,
        };
        Ok((config != HealthConfig::default()).then_some(config))
    }
}

impl SecurityOptions {
    fn fill(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        host.cap_add = some(self.cap_add.clone());
        host.cap_drop = some(self.cap_drop.clone());
        host.privileged = self.privileged.then_some(true);
        host.sysctls = some(pairs("sysctl", &self.sysctl)?);
        host.ipc_mode.clone_from(&self.ipc);
        host.pid_mode.clone_from(&self.pid);
        let options: anyhow::Result<Vec<_>> =
            self.security_opt.iter().map(|option| security_option(option)).collect();
        host.security_opt = some(options?);
        Ok(())
    }
}

/// A profile named as a file is sent as its text: the engine may not see the file.
fn security_option(option: &str) -> anyhow::Result<String> {
    match option.split_once('=') {
        Some(("seccomp", file)) if file != "unconfined" && file != "builtin" => {
            let text = fs::read_to_string(file);
            Ok(format!("seccomp={}", text.with_context(|| format!("--security-opt {option}"))?))
        }
        _ => Ok(option.to_owned()),
    }
}

/// `--restart`'s value.
pub(crate) fn restart_policy(text: &str) -> anyhow::Result<RestartPolicy> {
    let (name, times) = text.split_once(':').map_or((text, None), |(n, t)| (n, Some(t)));
    let name = match name {
        "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => bail!("--restart {text}: expected no, on-failure[:TIMES], always or unless-stopped"),
    };
    if times.is_some() && name != RestartPolicyNameEnum::ON_FAILURE {
        bail!("--restart {text}: only on-failure is limited");
    }
    let times = times.map(str::parse).transpose();
    let times = times.with_context(|| format!("--restart {text}: not a number of times"))?;
    Ok(RestartPolicy { name: Some(name), maximum_retry_count: times })
}

fn ulimit(text: &str) -> anyhow::Result<ResourcesUlimits> {
    let wrong = || format!("--ulimit {text}: expected NAME=SOFT[:HARD]");
    let (name, limits) = text.split_once('=').with_context(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let soft = soft.parse().with_context(wrong)?;
    let hard = hard.parse().with_context(wrong)?;
    Ok(ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) })
}

fn log_config(
    driver: Option<&String>,
    options: &[String],
) -> anyhow::Result<Option<HostConfigLogConfig>> {
    if driver.is_none() && options.is_empty() {
        return Ok(None);
    }
    let typ = Some(driver.cloned().unwrap_or_default());
    let config = some(pairs("log-opt", options)?);
    Ok(Some(HostConfigLogConfig { typ, config }))
}

/// Variables of files and flags; those of flags come last and win. One without a value has this
/// process's, and is left out where that has none.
pub(crate) fn environment(flags: &[String], files: &[String]) -> anyhow::Result<Vec<String>> {
    let mut variables = Vec::new();
    for line in file_lines("env-file", files)?.iter().chain(flags) {
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            bail!("{line:?} is no environment variable: expected NAME[=VALUE]");
        }
        if line.contains('=') {
            variables.push(line.clone());
        } else if let Ok(value) = std::env::var(name) {
            variables.push(format!("{name}={value}"));
        }
    }
    Ok(variables)
}

/// Labels of files and flags.
pub(crate) fn labels(
    flags: &[String],
    files: &[String],
) -> anyhow::Result<HashMap<String, String>> {
    let lines = file_lines("label-file", files)?;
    let split = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    Ok(lines.iter().chain(flags).map(split).collect())
}

fn file_lines(flag: &str, files: &[String]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("--{flag} {file}"))?;
        let kept = text.lines().map(str::trim_start);
        lines.extend(kept.filter(|l| !l.is_empty() && !l.starts_with('#')).map(ToOwned::to_owned));
    }
    Ok(lines)
}

/// `NAME=VALUE` flags.
pub(crate) fn pairs(flag: &str, values: &[String]) -> anyhow::Result<HashMap<String, String>> {
    let split = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--{flag} {text}: expected NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    values.iter().map(split).collect()
}

/// Something empty need not be said.
pub(super) fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

#[cfg(test)]
mod tests;
