//! What a container uses.

use std::collections::HashMap;

use agent_protocol::message::{
    ContainerMetrics, ContainerRef, GetMetrics, NetMetrics, Reply, Request,
};
use bollard_stubs::models::{
    ContainerBlkioStatEntry, ContainerBlkioStats, ContainerCpuStats, ContainerCpuUsage,
    ContainerMemoryStats, ContainerNetworkStats, ContainerPidsStats, ContainerStatsResponse,
    ContainerThrottlingData,
};
use time::OffsetDateTime;

use super::live::Container;
use super::{ContainerError, moment};
use crate::agent::{AgentError, at_once};
use crate::http::error::chain;

/// What was measured at a moment.
#[derive(Clone, Debug)]
pub struct Sample {
    read: OffsetDateTime,
    container: ContainerMetrics,
    nets: Vec<NetMetrics>,
}

impl Container {
    /// Measures now.
    pub async fn sample(&self) -> Result<Sample, ContainerError> {
        let agent = self.running()?.machine.agent();
        let failed = |error: AgentError| ContainerError::Machine(chain(&error));
        let id = ContainerRef { id: self.id.clone() };
        let reply = at_once(agent.request(Request::ContainerMetrics(id))).await.map_err(failed)?;
        let Reply::ContainerMetrics(container) = reply else {
            return Err(failed(AgentError::Unexpected));
        };
        let reply =
            at_once(agent.request(Request::Metrics(GetMetrics {}))).await.map_err(failed)?;
        let Reply::Metrics(machine) = reply else { return Err(failed(AgentError::Unexpected)) };
        Ok(Sample { read: moment::now(), container, nets: machine.nets })
    }

    /// Docker's document for `now`, with the processor's figures of `before`.
    #[must_use]
    pub fn stats(&self, before: Option<&Sample>, now: Option<&Sample>) -> ContainerStatsResponse {
        let never = OffsetDateTime::new_utc(
            time::Date::from_ordinal_date(1, 1).unwrap_or(time::Date::MIN),
            time::Time::MIDNIGHT,
        );
        let Some(now) = now else {
            // It does not run.
            return ContainerStatsResponse {
                id: Some(self.id.clone()),
                name: Some(format!("/{}", self.name())),
                read: Some(never),
                preread: Some(never),
                cpu_stats: Some(no_cpu()),
                precpu_stats: Some(no_cpu()),
                memory_stats: Some(ContainerMemoryStats::default()),
                pids_stats: Some(ContainerPidsStats::default()),
                ..ContainerStatsResponse::default()
            };
        };
        ContainerStatsResponse {
            id: Some(self.id.clone()),
            name: Some(format!("/{}", self.name())),
            os_type: Some("linux".to_owned()),
            read: Some(now.read),
            preread: Some(before.map_or(never, |before| before.read)),
            cpu_stats: Some(cpu(&now.container)),
            precpu_stats: Some(before.map_or_else(no_cpu, |before| cpu(&before.container))),
            memory_stats: Some(self.memory(&now.container)),
            pids_stats: Some(ContainerPidsStats {
                current: Some(now.container.pids),
                limit: Some(unlimited(now.container.pids_limit)),
            }),
            blkio_stats: Some(disks(&now.container)),
            networks: Some(networks(&now.nets)),
            num_procs: Some(0),
            ..ContainerStatsResponse::default()
        }
    }

    /// Without a limit of its own a container has the memory of its machine.
    fn memory(&self, metrics: &ContainerMetrics) -> ContainerMemoryStats {
        let home = self.pod().map_or_else(|| self.spec(), |pod| pod.spec());
        let machine = home.machine.memory_mib.saturating_mul(1 << 20);
        let limit = if metrics.memory_limit == 0 { machine } else { metrics.memory_limit };
        let stats = HashMap::from([("inactive_file".to_owned(), metrics.memory_inactive_file)]);
        ContainerMemoryStats {
            usage: Some(metrics.memory),
            max_usage: Some(metrics.memory_peak),
            stats: Some(stats),
            limit: Some(limit),
            failcnt: Some(metrics.oom_kills),
            ..ContainerMemoryStats::default()
        }
    }
}

fn unlimited(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// Where nothing was measured: what is not told of the machine says that there is no sense in
/// the difference.
fn no_cpu() -> ContainerCpuStats {
    let nothing = cpu(&ContainerMetrics::default());
    ContainerCpuStats { system_cpu_usage: None, online_cpus: None, ..nothing }
}

fn cpu(metrics: &ContainerMetrics) -> ContainerCpuStats {
    ContainerCpuStats {
        cpu_usage: Some(ContainerCpuUsage {
            total_usage: Some(metrics.cpu_ns),
            percpu_usage: None,
            usage_in_kernelmode: Some(metrics.cpu_system_ns),
            usage_in_usermode: Some(metrics.cpu_user_ns),
        }),
        system_cpu_usage: Some(metrics.machine_cpu_ns),
        online_cpus: Some(metrics.processors),
        throttling_data: Some(ContainerThrottlingData {
            periods: Some(metrics.periods),
            throttled_periods: Some(metrics.throttled_periods),
            throttled_time: Some(metrics.throttled_ns),
        }),
    }
}

/// Disks of a machine have no numbers that mean something outside of it.
fn disks(metrics: &ContainerMetrics) -> ContainerBlkioStats {
    let entries = |read, written| {
        let entry = |op: &str, value| ContainerBlkioStatEntry {
            major: Some(0),
            minor: Some(0),
            op: Some(op.to_owned()),
            value: Some(value),
        };
        Some(vec![entry("read", read), entry("write", written)])
    };
    ContainerBlkioStats {
        io_service_bytes_recursive: entries(metrics.read_bytes, metrics.written_bytes),
        io_serviced_recursive: entries(metrics.reads, metrics.writes),
        ..ContainerBlkioStats::default()
    }
}

fn networks(nets: &[NetMetrics]) -> HashMap<String, ContainerNetworkStats> {
    let outside = nets.iter().filter(|net| net.name != "lo");
    let document = |net: &NetMetrics| ContainerNetworkStats {
        rx_bytes: Some(net.received_bytes),
        rx_packets: Some(net.received_packets),
        rx_errors: Some(net.receive_errors),
        rx_dropped: Some(0),
        tx_bytes: Some(net.sent_bytes),
        tx_packets: Some(net.sent_packets),
        tx_errors: Some(net.send_errors),
        tx_dropped: Some(0),
        ..ContainerNetworkStats::default()
    };
    outside.map(|net| (net.name.clone(), document(net))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_zero() {
        let document = serde_json::json!(no_cpu());
        assert_eq!(document["cpu_usage"]["total_usage"], 0);
        assert_eq!(document["throttling_data"]["periods"], 0);
        assert_eq!(document.get("system_cpu_usage"), None);
    }

    #[test]
    fn the_loopback_is_no_network() {
        let net = |name: &str| NetMetrics { name: name.into(), ..NetMetrics::default() };
        let names: Vec<_> = networks(&[net("lo"), net("eth0")]).into_keys().collect();
        assert_eq!(names, ["eth0"]);
    }
}
