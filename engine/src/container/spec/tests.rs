//! Whole bodies, as clients send them.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn read(config: &str, host: &str) -> Result<ContainerSpec, SpecError> {
    let config = serde_json::from_str(config).unwrap();
    let host = serde_json::from_str(host).unwrap();
    ContainerSpec::read(ID, &config, &host)
}

#[test]
fn a_bare_container_has_docker_s_defaults() {
    let spec = read(r#"{"Cmd":["true"]}"#, "{}").unwrap();
    assert_eq!(spec.hostname, "0123456789ab");
    assert_eq!(spec.process.argv, ["true"]);
    assert_eq!(spec.process.env.len(), 2);
    assert_eq!(spec.stop_signal, 15);
    assert_eq!(spec.stop_timeout, Some(Duration::from_secs(10)));
    assert_eq!(spec.restart, RestartPolicy::No);
    assert_eq!(spec.network, "bridge");
    assert_eq!(spec.masked_paths.len(), 11);
}

#[test]
fn a_privileged_container_has_no_masks_and_no_filter() {
    let spec = read("{}", r#"{"Privileged":true}"#).unwrap();
    assert_eq!(spec.masked_paths, [""; 0]);
    assert_eq!(spec.confinement.seccomp, "unconfined");
    assert_eq!(spec.confinement.capabilities.len(), 41);
}

#[test]
fn a_variable_without_a_value_takes_a_default_away() {
    let spec = read(r#"{"Env":["HOSTNAME","A=1"],"Tty":true}"#, "{}").unwrap();
    assert_eq!(spec.process.env[1..], ["TERM=xterm", "A=1"]);
}

#[test]
fn a_negative_time_to_stop_is_for_ever() {
    assert_eq!(read(r#"{"StopTimeout":-1}"#, "{}").unwrap().stop_timeout, None);
}

#[test]
fn the_body_of_docker_28_is_read() {
    let host = r#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},
        "NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
        "AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[24,80],"CapAdd":null,
        "CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,
        "GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"",
        "Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,
        "UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,
        "NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],
        "BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],
        "BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,
        "CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],
        "DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,
        "MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,
        "CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,
        "ReadonlyPaths":null}"#;
    let config = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,
        "AttachStdout":true,"AttachStderr":true,"Tty":false,"OpenStdin":false,"StdinOnce":false,
        "Env":null,"Cmd":["echo","hello"],"Image":"busybox","Volumes":{},"WorkingDir":"",
        "Entrypoint":null,"OnBuild":null,"Labels":{}}"#;
    refuse(&serde_json::from_str(host).unwrap()).unwrap();
    let spec = read(config, host).unwrap();
    assert!(spec.auto_remove);
    assert_eq!(spec.process.argv, ["echo", "hello"]);
    assert_eq!(spec.masked_paths.len(), 11, "null means the default");
}

#[test]
fn what_cannot_be_had_is_named() {
    for (host, words) in [
        (r#"{"PidMode":"host"}"#, "--pid host"),
        (r#"{"IpcMode":"container:x"}"#, "--ipc container:x"),
        (r#"{"LogConfig":{"Type":"syslog"}}"#, "syslog"),
    ] {
        let error = read("{}", host).unwrap_err();
        assert_eq!(error.status(), StatusCode::NOT_IMPLEMENTED, "{host}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for (config, host) in [
        (r#"{"Hostname":"a b"}"#, "{}"),
        (r#"{"WorkingDir":"here"}"#, "{}"),
        (r#"{"StopSignal":"SIGMOON"}"#, "{}"),
        (r#"{"Cmd":["a\u0000b"]}"#, "{}"),
        ("{}", r#"{"ShmSize":-1}"#),
        ("{}", r#"{"ExtraHosts":["name"]}"#),
        ("{}", r#"{"ExtraHosts":["name:here"]}"#),
        ("{}", r#"{"StorageOpt":{"size":"big"}}"#),
        ("{}", r#"{"VolumesFrom":["x:bogus"]}"#),
    ] {
        let error = read(config, host).unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{config} {host}");
    }
}

#[test]
fn the_host_s_gateway_and_addresses_in_brackets_are_hosts() {
    let host = r#"{"ExtraHosts":["host.docker.internal:host-gateway","six:[::1]"]}"#;
    let hosts = read("{}", host).unwrap().extra_hosts;
    assert_eq!(hosts[0].1, "host-gateway");
    assert_eq!(hosts[1], ("six".to_owned(), "::1".to_owned()));
}
