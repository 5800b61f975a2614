//! What Docker's bodies may ask for and a machine of its own cannot give: refused by the name of
//! Docker's option, with the reason and with what to do instead. Nothing that would change what a
//! container may do, or how it behaves, is passed over in silence.

use bollard_stubs::models::{
    EndpointSettings, HostConfig, HostConfigCgroupnsModeEnum as CgroupNamespace,
    HostConfigIsolationEnum as Isolation, MountBindOptionsPropagationEnum as Propagation,
};

use super::SpecError;
use crate::network::HOST;
use crate::system::RUNTIME;

const DEVICES: &str = "a container sees devices of its own machine, not the host's; --privileged \
                       gives it all of its machine's, and --volume files and folders of the host";
const GRAPHICS: &str = "cards of the host are not passed into machines; what needs one has to run \
                        on another engine";
const DISKS: &str = "a container's disks are its machine's own and are not shared out among \
                     containers; the service of the engine can be limited on the host \
                     (systemd's IOWeight= and the like)";
const REAL_TIME: &str = "control groups of version 2 have no such limit; --cpus, --cpu-shares and \
                         --cpuset-cpus share processors out";
const WINDOWS: &str = "it is for containers of Windows; --cpus limits processors";
const CONTROL_GROUPS: &str = "its control groups are in its own machine; --memory, --cpus and \
                              --pids-limit limit it there";

/// Refuses what of `host` cannot be had, for a container that is made or changed; what was made
/// once is read without this.
pub(in crate::container) fn refuse(host: &HostConfig) -> Result<(), SpecError> {
    devices(host)?;
    resources(host)?;
    network(text(&host.network_mode))?;
    binds(host)?;
    surroundings(host)
}

fn devices(host: &HostConfig) -> Result<(), SpecError> {
    not(some(&host.devices), "--device", DEVICES)?;
    not(some(&host.device_cgroup_rules), "--device-cgroup-rule", DEVICES)?;
    not(some(&host.device_requests), "--gpus", GRAPHICS)?;
    not(host.blkio_weight.unwrap_or_default() != 0, "--blkio-weight", DISKS)?;
    not(some(&host.blkio_weight_device), "--blkio-weight-device", DISKS)?;
    not(some(&host.blkio_device_read_bps), "--device-read-bps", DISKS)?;
    not(some(&host.blkio_device_write_bps), "--device-write-bps", DISKS)?;
    not(some(&host.blkio_device_read_iops), "--device-read-iops", DISKS)?;
    not(some(&host.blkio_device_write_iops), "--device-write-iops", DISKS)
}

fn resources(host: &HostConfig) -> Result<(), SpecError> {
    let number = |value: Option<i64>| value.unwrap_or_default() != 0;
    not(number(host.cpu_realtime_runtime), "--cpu-rt-runtime", REAL_TIME)?;
    not(number(host.cpu_realtime_period), "--cpu-rt-period", REAL_TIME)?;
    not(number(host.cpu_count), "--cpu-count", WINDOWS)?;
    not(number(host.cpu_percent), "--cpu-percent", WINDOWS)?;
    not(number(host.io_maximum_iops), "--io-maxiops", WINDOWS)?;
    not(number(host.io_maximum_bandwidth), "--io-maxbandwidth", WINDOWS)?;
    let nodes = host.cpuset_mems.as_deref().unwrap_or_default();
    not(!matches!(nodes, "" | "0"), "--cpuset-mems", "a machine has one node of memory, 0")
}

/// Takes out what control groups of version 2 do not have, as Docker does: a warning for each.
pub(in crate::container) fn discard(host: &mut HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |option, instead| {
        warnings.push(format!(
            "{option} is discarded: control groups of version 2 have no such setting. {instead}"
        ));
    };
    if host.oom_kill_disable.take().unwrap_or_default() {
        warn("--oom-kill-disable", "--oom-score-adj tells which process is to go.");
    }
    // -1 is Docker's word for what the kernel thinks best.
    if !matches!(host.memory_swappiness.take(), None | Some(-1)) {
        warn("--memory-swappiness", "--memory-swap as large as --memory does without swap.");
    }
    warnings
}

/// Folders of the host that would be shared more widely than was asked, or mounts that would stay
/// in the machine where the host was to see them. What the host mounts is seen in any case, so
/// that the other ways of propagation promise nothing that is not kept.
fn binds(host: &HostConfig) -> Result<(), SpecError> {
    let outward = "what a container mounts is mounted in its own machine, never on the host; the \
                   files below a folder are shared without it";
    for bind in host.binds.iter().flatten() {
        let mut options = bind.split(':').nth(2).unwrap_or_default().split(',');
        not(
            options.any(|it| matches!(it, "shared" | "rshared")),
            "bind-propagation shared",
            outward,
        )?;
    }
    for options in host.mounts.iter().flatten().filter_map(|mount| mount.bind_options.as_ref()) {
        let shared =
            matches!(options.propagation, Some(Propagation::SHARED | Propagation::RSHARED));
        not(shared, "bind-propagation shared", outward)?;
        let why = "a folder is shared with all that is mounted below it on the host; mount only \
                   those folders in it that are meant";
        not(options.non_recursive.unwrap_or_default(), "bind-recursive=disabled", why)?;
    }
    Ok(())
}

/// Groups, namespaces, drivers.
fn surroundings(host: &HostConfig) -> Result<(), SpecError> {
    not(!text(&host.cgroup_parent).is_empty(), "--cgroup-parent", CONTROL_GROUPS)?;
    let whole = host.cgroupns_mode == Some(CgroupNamespace::HOST);
    not(whole, "--cgroupns host", CONTROL_GROUPS)?;
    not(!text(&host.cgroup).is_empty(), "another container's control group", CONTROL_GROUPS)?;
    let isolated = matches!(host.isolation, Some(Isolation::PROCESS | Isolation::HYPERV));
    not(isolated, "--isolation", "every container has a machine of its own already")?;
    let driver = text(&host.volume_driver);
    let why = "volumes are folders of this host, of the driver \"local\"";
    not(!matches!(driver, "" | "local"), &format!("--volume-driver {driver}"), why)?;
    let runtime = text(&host.runtime);
    if !matches!(runtime, "" | RUNTIME) {
        return Err(SpecError::Invalid(format!(
            "unknown or invalid runtime name: {runtime}; the only one is {RUNTIME}"
        )));
    }
    Ok(())
}

/// Namespaces that would be shared with the host or with another container have no meaning
/// across the border of a machine.
pub(super) fn namespaces(host: &HostConfig) -> Result<(), SpecError> {
    let modes = [
        ("--pid", text(&host.pid_mode), ["", "private", "private"]),
        ("--ipc", text(&host.ipc_mode), ["", "private", "shareable"]),
        ("--uts", text(&host.uts_mode), ["", "private", "private"]),
        // Root in the container is not root on the host whatever is asked.
        ("--userns", text(&host.userns_mode), ["", "private", "host"]),
    ];
    for (option, mode, allowed) in modes {
        let why = match mode {
            "host" => "the host's is out of reach of a container's own machine",
            _ if mode.starts_with("container:") => {
                "another container has another machine; those of a pod share one (bulkhead pod, \
                 --share-ipc)"
            }
            _ => "each container has its own",
        };
        not(!allowed.contains(&mode), &format!("{option} {mode}"), why)?;
    }
    Ok(())
}

/// Refuses a network that a container cannot have alone.
fn network(mode: &str) -> Result<(), SpecError> {
    let option = format!("--network {mode}");
    let why = "its machine has cards of its own; --publish makes its ports the host's, and \
               --add-host NAME:host-gateway names the host to it";
    not(mode == HOST, &option, why)?;
    let why = "another container has another machine; those of a pod share their network \
               (bulkhead pod create)";
    not(mode.starts_with("container:"), &option, why)
}

/// Refuses what of a container's place on a network cannot be had.
pub(in crate::container) fn refuse_endpoint(endpoint: &EndpointSettings) -> Result<(), SpecError> {
    let ipam = endpoint.ipam_config.as_ref();
    let local = ipam.is_some_and(|ipam| some(&ipam.link_local_ips));
    let why = "a card has the link-local address that its kernel gives it; --ip and --ip6 choose \
               addresses of the network";
    not(local, "--link-local-ip", why)?;
    let options = endpoint.driver_opts.as_ref().is_some_and(|options| !options.is_empty());
    let why = "the drivers of networks have none for single containers; --sysctl sets parameters \
               of the kernel";
    not(options, "driver-opt of a network", why)?;
    let priority = endpoint.gw_priority.unwrap_or_default() != 0;
    let why = "the network that is named first by --network leads out";
    not(priority, "gw-priority of a network", why)
}

fn not(given: bool, option: &str, why: &'static str) -> Result<(), SpecError> {
    match given {
        true => Err(SpecError::Refused { option: option.to_owned(), why }),
        false => Ok(()),
    }
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> Option<String> {
        let host = serde_json::from_str(json).unwrap();
        refuse(&host).and_then(|()| namespaces(&host)).err().map(|error| error.to_string())
    }

    #[test]
    fn each_field_is_refused_by_its_option() {
        for (json, option) in [
            (r#"{"Devices":[{"PathOnHost":"/dev/kvm"}]}"#, "--device"),
            (r#"{"DeviceCgroupRules":["c 1:3 rwm"]}"#, "--device-cgroup-rule"),
            (r#"{"DeviceRequests":[{"Count":-1}]}"#, "--gpus"),
            (r#"{"BlkioWeight":300}"#, "--blkio-weight"),
            (r#"{"BlkioWeightDevice":[{"Path":"/dev/sda"}]}"#, "--blkio-weight-device"),
            (r#"{"BlkioDeviceReadBps":[{"Path":"/dev/sda"}]}"#, "--device-read-bps"),
            (r#"{"BlkioDeviceWriteBps":[{"Path":"/dev/sda"}]}"#, "--device-write-bps"),
            (r#"{"BlkioDeviceReadIOps":[{"Path":"/dev/sda"}]}"#, "--device-read-iops"),
            (r#"{"BlkioDeviceWriteIOps":[{"Path":"/dev/sda"}]}"#, "--device-write-iops"),
            (r#"{"CpuRealtimeRuntime":1}"#, "--cpu-rt-runtime"),
            (r#"{"CpuRealtimePeriod":1}"#, "--cpu-rt-period"),
            (r#"{"CpuCount":1}"#, "--cpu-count"),
            (r#"{"CpuPercent":1}"#, "--cpu-percent"),
            (r#"{"IOMaximumIOps":1}"#, "--io-maxiops"),
            (r#"{"IOMaximumBandwidth":1}"#, "--io-maxbandwidth"),
            (r#"{"CpusetMems":"0-1"}"#, "--cpuset-mems"),
            (r#"{"CgroupParent":"a.slice"}"#, "--cgroup-parent"),
            (r#"{"CgroupnsMode":"host"}"#, "--cgroupns host"),
            (r#"{"Cgroup":"container:x"}"#, "another container's control group"),
            (r#"{"Isolation":"hyperv"}"#, "--isolation"),
            (r#"{"VolumeDriver":"nfs"}"#, "--volume-driver nfs"),
            (r#"{"Binds":["/a:/b:ro,rshared"]}"#, "bind-propagation shared"),
            (r#"{"Mounts":[{"BindOptions":{"Propagation":"shared"}}]}"#, "bind-propagation shared"),
            (r#"{"Mounts":[{"BindOptions":{"NonRecursive":true}}]}"#, "bind-recursive=disabled"),
            (r#"{"PidMode":"host"}"#, "--pid host"),
            (r#"{"IpcMode":"container:x"}"#, "--ipc container:x"),
            (r#"{"UTSMode":"host"}"#, "--uts host"),
            (r#"{"UsernsMode":"keep-id"}"#, "--userns keep-id"),
        ] {
            let refusal = refusal(json).unwrap_or_default();
            assert!(refusal.starts_with(&format!("{option} cannot be had: ")), "{json}: {refusal}");
        }
        let runtime = refusal(r#"{"Runtime":"runc"}"#).unwrap();
        assert_eq!(runtime, "unknown or invalid runtime name: runc; the only one is bulkhead");
    }

    #[test]
    fn what_asks_for_nothing_is_taken() {
        for json in [
            r#"{"CpusetMems":"0","Isolation":""}"#,
            r#"{"CgroupnsMode":"private","Runtime":"bulkhead","VolumeDriver":"local","Devices":[]}"#,
            r#"{"Binds":["/a:/b:rslave,ro","/a:/b","v:/v"],"Mounts":[{"Type":"volume"}]}"#,
            r#"{"Mounts":[{"BindOptions":{"NonRecursive":false,"Propagation":"rslave"}}]}"#,
            r#"{"UsernsMode":"host","IpcMode":"shareable","Isolation":"default"}"#,
        ] {
            assert_eq!(refusal(json), None, "{json}");
        }
    }

    #[test]
    fn what_newer_control_groups_lack_is_discarded_with_a_warning() {
        let discarded = |json| {
            let mut host = serde_json::from_str(json).unwrap();
            let warnings = discard(&mut host);
            assert_eq!((host.oom_kill_disable, host.memory_swappiness), (None, None));
            warnings
        };
        let warnings = discarded(r#"{"OomKillDisable":true,"MemorySwappiness":0}"#);
        assert!(warnings[0].starts_with("--oom-kill-disable is discarded"), "{warnings:?}");
        assert!(warnings[1].starts_with("--memory-swappiness is discarded"), "{warnings:?}");
        assert!(discarded(r#"{"OomKillDisable":false,"MemorySwappiness":-1}"#).is_empty());
    }

    #[test]
    fn networks_of_others_are_refused_with_a_way_out() {
        let words = |mode| network(mode).unwrap_err().to_string();
        assert!(words("host").contains("--publish"));
        assert!(words("container:web").contains("bulkhead pod create"));
        network("bridge").unwrap();
    }

    #[test]
    fn places_on_networks_are_as_asked_or_refused() {
        let refusal = |json| refuse_endpoint(&serde_json::from_str(json).unwrap());
        refusal(r#"{"Aliases":["a"],"DriverOpts":{},"GwPriority":0,"IPAMConfig":{}}"#).unwrap();
        for json in [
            r#"{"IPAMConfig":{"LinkLocalIPs":["169.254.1.1"]}}"#,
            r#"{"DriverOpts":{"a":"b"}}"#,
            r#"{"GwPriority":1}"#,
        ] {
            refusal(json).unwrap_err();
        }
    }
}
