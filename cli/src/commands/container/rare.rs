//! Docker's options of `run` and `create` for what a container in a machine of its own has no use
//! for, or has anyway. They are taken so that scripts find out what is wrong with them: the engine
//! knows what it can do and says why not; what it never hears of is refused here.

use std::collections::HashMap;

use anyhow::{Context, bail};
use bollard_stubs::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum,
    ResourcesBlkioWeightDevice, ThrottleDevice,
};
use clap::Args;

use super::body::{pairs, some};
use crate::units;

/// Flags as Docker has them; those that help nobody are not in the help.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Container")]
pub(crate) struct RareOptions {
    /// Note for inspect: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    #[arg(long, hide = true)]
    userns: Option<String>,
    #[arg(long, hide = true)]
    uts: Option<String>,
    #[arg(long, hide = true)]
    cgroupns: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    runtime: Option<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    volume_driver: Option<String>,
    #[arg(long, hide = true)]
    device: Vec<String>,
    #[arg(long, hide = true)]
    device_cgroup_rule: Vec<String>,
    #[arg(long, hide = true)]
    gpus: Option<String>,
    #[arg(long, hide = true)]
    blkio_weight: Option<u16>,
    #[arg(long, hide = true)]
    blkio_weight_device: Vec<String>,
    #[arg(long, hide = true)]
    device_read_bps: Vec<String>,
    #[arg(long, hide = true)]
    device_read_iops: Vec<String>,
    #[arg(long, hide = true)]
    device_write_bps: Vec<String>,
    #[arg(long, hide = true)]
    device_write_iops: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    cpu_rt_period: Option<i64>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    #[arg(long, hide = true)]
    cpu_count: Option<i64>,
    #[arg(long, hide = true)]
    cpu_percent: Option<i64>,
    #[arg(long, hide = true)]
    io_maxiops: Option<i64>,
    #[arg(long, hide = true)]
    io_maxbandwidth: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    #[arg(long, hide = true)]
    kernel_memory: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    memory_swappiness: Option<i64>,
    #[arg(long, hide = true)]
    oom_kill_disable: bool,
    #[arg(long, hide = true)]
    pub(super) link_local_ip: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = crate::flags::boolean)]
    disable_content_trust: Option<bool>,
    #[arg(long, hide = true)]
    use_api_socket: bool,
}

impl RareOptions {
    /// Fills in what the engine is asked for.
    pub(super) fn fill(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        self.refuse()?;
        host.annotations = some(pairs("annotation", &self.annotation)?);
        host.userns_mode.clone_from(&self.userns);
        host.uts_mode.clone_from(&self.uts);
        host.cgroup_parent.clone_from(&self.cgroup_parent);
        host.runtime.clone_from(&self.runtime);
        host.volume_driver.clone_from(&self.volume_driver);
        host.cgroupns_mode = match self.cgroupns.as_deref() {
            None | Some("") => None,
            Some("private") => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            Some("host") => Some(HostConfigCgroupnsModeEnum::HOST),
            Some(other) => bail!("--cgroupns {other}: expected private or host"),
        };
        host.isolation = match self.isolation.as_deref() {
            None | Some("") => None,
            Some("default") => Some(HostConfigIsolationEnum::DEFAULT),
            Some("process") => Some(HostConfigIsolationEnum::PROCESS),
            Some("hyperv") => Some(HostConfigIsolationEnum::HYPERV),
            Some(other) => bail!("--isolation {other}: expected default, process or hyperv"),
        };
        self.fill_devices(host)?;
        host.cpu_realtime_period = self.cpu_rt_period;
        host.cpu_realtime_runtime = self.cpu_rt_runtime;
        host.cpu_count = self.cpu_count;
        host.cpu_percent = self.cpu_percent;
        host.io_maximum_iops = self.io_maxiops;
        let bandwidth = self.io_maxbandwidth.as_deref().map(units::size).transpose();
        host.io_maximum_bandwidth = bandwidth.context("--io-maxbandwidth")?;
        host.cpuset_mems.clone_from(&self.cpuset_mems);
        host.memory_swappiness = self.memory_swappiness;
        host.oom_kill_disable = some(self.oom_kill_disable);
        Ok(())
    }

    fn fill_devices(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        host.devices = some(self.device.iter().map(|text| device(text)).collect());
        host.device_cgroup_rules = some(self.device_cgroup_rule.clone());
        host.device_requests = self.gpus.as_ref().map(|gpus| vec![graphics(gpus)]);
        host.blkio_weight = self.blkio_weight;
        let weights = per_device("blkio-weight-device", &self.blkio_weight_device)?;
        let weights = weights.into_iter().map(|(path, weight)| {
            let weight = usize::try_from(weight).ok();
            ResourcesBlkioWeightDevice { path: Some(path), weight }
        });
        host.blkio_weight_device = some(weights.collect());
        let rates = |flag, texts: &[String]| {
            let rates = per_device(flag, texts)?.into_iter();
            let rate = |(path, rate)| ThrottleDevice { path: Some(path), rate: Some(rate) };
            anyhow::Ok(some(rates.map(rate).collect::<Vec<_>>()))
        };
        host.blkio_device_read_bps = rates("device-read-bps", &self.device_read_bps)?;
        host.blkio_device_read_iops = rates("device-read-iops", &self.device_read_iops)?;
        host.blkio_device_write_bps = rates("device-write-bps", &self.device_write_bps)?;
        host.blkio_device_write_iops = rates("device-write-iops", &self.device_write_iops)?;
        Ok(())
    }

    /// What Docker's command line does by itself, or what no engine takes any more.
    fn refuse(&self) -> anyhow::Result<()> {
        if self.disable_content_trust == Some(false) {
            bail!(
                "--disable-content-trust=false cannot be had: signatures of images are not \
                 verified; IMAGE@sha256:DIGEST names one that cannot be replaced"
            );
        }
        if self.kernel_memory.is_some() {
            bail!(
                "--kernel-memory cannot be had: control groups of version 2 have no limit of its \
                 own for it; --memory counts the kernel's memory too"
            );
        }
        if self.use_api_socket {
            bail!(
                "--use-api-socket cannot be had: the engine's socket is no container's, and a \
                 socket of the host does not lead into a machine"
            );
        }
        Ok(())
    }
}

/// `HOST[:CONTAINER][:PERMISSIONS]`.
fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let host = parts.next().map(str::to_owned);
    let rest: Vec<_> = parts.collect();
    let is_path = |part: &&&str| part.starts_with('/');
    let inside = rest.iter().find(is_path).map(|path| (*path).to_owned());
    let permissions = rest.iter().find(|part| !part.starts_with('/')).unwrap_or(&"rwm");
    DeviceMapping {
        path_in_container: inside.or_else(|| host.clone()),
        path_on_host: host,
        cgroup_permissions: Some((*permissions).to_owned()),
    }
}

/// `all`, a number, or what is to be told apart: all of them ask for graphics cards.
fn graphics(text: &str) -> DeviceRequest {
    DeviceRequest {
        count: Some(text.parse().unwrap_or(-1)),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        options: Some(HashMap::new()),
        ..DeviceRequest::default()
    }
}

/// `PATH:NUMBER`, where the number may be a size.
fn per_device(flag: &str, texts: &[String]) -> anyhow::Result<Vec<(String, i64)>> {
    let split = |text: &String| {
        let wrong = || format!("--{flag} {text}: expected DEVICE:NUMBER");
        let (path, number) = text.rsplit_once(':').with_context(wrong)?;
        Ok((path.to_owned(), units::size(number).with_context(wrong)?))
    };
    texts.iter().map(split).collect()
}
