//! What Docker's documents hold of all that nobody asked for.
//!
//! What is not there is no different from its zero value to a program in Go, so little of it is
//! kept, and the types of documents leave it out. Programs in other languages look into fields
//! without a question.

use std::sync::LazyLock;

use serde_json::{Value, json};

static CONTAINER: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "ExecIDs": null,
        "Config": {
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false,
            "AttachStdout": false, "AttachStderr": false, "Tty": false, "OpenStdin": false,
            "StdinOnce": false, "Env": null, "Cmd": null, "Image": "", "Volumes": null,
            "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {},
        },
        "HostConfig": HOST.clone(),
    })
});

static HOST: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "Binds": null, "ContainerIDFile": "", "LogConfig": { "Type": "", "Config": {} },
        "NetworkMode": "", "PortBindings": {},
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 }, "AutoRemove": false,
        "VolumeDriver": "", "VolumesFrom": null, "ConsoleSize": [0, 0], "CapAdd": null,
        "CapDrop": null, "CgroupnsMode": "private", "Dns": null, "DnsOptions": null,
        "DnsSearch": null, "ExtraHosts": null, "GroupAdd": null, "IpcMode": "", "Cgroup": "",
        "Links": null, "OomScoreAdj": 0, "PidMode": "", "Privileged": false,
        "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "",
        "UsernsMode": "", "ShmSize": 0, "Isolation": "",
        "MaskedPaths": null, "ReadonlyPaths": null,
    })
});

static RESOURCES: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "CpuShares": 0, "Memory": 0,
        "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": null,
        "BlkioDeviceReadBps": null, "BlkioDeviceWriteBps": null, "BlkioDeviceReadIOps": null,
        "BlkioDeviceWriteIOps": null, "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": null,
        "DeviceCgroupRules": null, "DeviceRequests": null, "MemoryReservation": 0,
        "MemorySwap": 0, "MemorySwappiness": null, "OomKillDisable": null, "PidsLimit": null,
        "Ulimits": null, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    })
});

static ENDPOINT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "IPAMConfig": null, "Links": null, "Aliases": null, "DriverOpts": null, "GwPriority": 0,
        "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "MacAddress": "",
        "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
        "DNSNames": null,
    })
});

/// Completes a container as `inspect` shows it.
pub(super) fn in_container(document: &mut Value) {
    lay_under(document, &CONTAINER);
    if let Some(host) = document.get_mut("HostConfig") {
        lay_under(host, &RESOURCES);
    }
    in_endpoints(document);
}

/// Completes how a container is on its networks.
pub(super) fn in_endpoints(document: &mut Value) {
    let networks = document.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for endpoint in networks.into_iter().flat_map(|networks| networks.values_mut()) {
        lay_under(endpoint, &ENDPOINT);
    }
}

/// Completes a command as `inspect` shows it: without a code it has not ended.
pub(super) fn in_exec(document: &mut Value) {
    lay_under(document, &json!({ "ExitCode": null }));
}

/// Gives `document` those fields of `zeros` that it lacks.
pub(super) fn lay_under(document: &mut Value, zeros: &Value) {
    let (Some(fields), Some(zeros)) = (document.as_object_mut(), zeros.as_object()) else { return };
    for (name, zero) in zeros {
        match fields.get_mut(name) {
            Some(value) => lay_under(value, zero),
            None => drop(fields.insert(name.clone(), zero.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_not_comes() {
        let mut document = json!({
            "Config": { "Tty": true, "Labels": { "a": "b" } },
            "NetworkSettings": { "Networks": { "front": { "IPPrefixLen": 16 } } },
        });
        in_container(&mut document);
        assert_eq!(document["Config"]["Tty"], true);
        assert_eq!(document["Config"]["OpenStdin"], false);
        assert_eq!(document["Config"]["Labels"], json!({ "a": "b" }));
        assert_eq!(document["HostConfig"]["Privileged"], false);
        let endpoint = &document["NetworkSettings"]["Networks"]["front"];
        assert_eq!((&endpoint["IPPrefixLen"], &endpoint["IPAddress"]), (&json!(16), &json!("")));
        assert_eq!(document.get("ExecIDs"), Some(&Value::Null));
    }
}
