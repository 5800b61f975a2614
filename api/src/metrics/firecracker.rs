//! Lines of Firecracker's metrics file: one JSON object for each flush.
//!
//! The object has groups of fields (`vcpu`, `block`, …); a kind of device has a group with the sums
//! and one more for each device (`block_rootfs`). Counters are written as what they grew by since
//! the line before, as Firecracker does, gauges as they are.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Number, Value as Json};

use super::{MetricFamily, MetricKind, Sample, Value};

/// The label that names the device of a sample.
const DEVICE: &str = "device";

/// Where a family goes.
struct Field {
    group: &'static str,
    name: &'static str,
    family: &'static str,
    /// The label that a sample must have to go there.
    label: Option<(&'static str, &'static str)>,
}

const fn field(group: &'static str, name: &'static str, family: &'static str) -> Field {
    Field { group, name, family, label: None }
}

const fn exit(name: &'static str, reason: &'static str) -> Field {
    let label = Some(("reason", reason));
    Field { group: "vcpu", name, family: "bulkhead_vcpu_exits_total", label }
}

/// All fields. Each line has every one of them, with 0 where nothing was measured.
const FIELDS: &[Field] = &[
    field("api_server", "process_startup_time_us", "bulkhead_process_startup_microseconds"),
    field("api_server", "process_startup_time_cpu_us", "bulkhead_process_startup_cpu_microseconds"),
    field("balloon", "inflate_count", "bulkhead_balloon_inflates_total"),
    field("balloon", "deflate_count", "bulkhead_balloon_deflates_total"),
    field("balloon", "stats_updates_count", "bulkhead_balloon_stats_updates_total"),
    field("block", "read_bytes", "bulkhead_block_read_bytes_total"),
    field("block", "write_bytes", "bulkhead_block_write_bytes_total"),
    field("block", "read_count", "bulkhead_block_reads_total"),
    field("block", "write_count", "bulkhead_block_writes_total"),
    field("block", "flush_count", "bulkhead_block_flushes_total"),
    field("block", "execute_fails", "bulkhead_block_errors_total"),
    field("block", "invalid_reqs_count", "bulkhead_block_invalid_requests_total"),
    field("block", "queue_event_count", "bulkhead_block_kicks_total"),
    field("block", "rate_limiter_throttled_events", "bulkhead_block_throttled_total"),
    field("entropy", "entropy_bytes", "bulkhead_entropy_bytes_total"),
    field("entropy", "entropy_event_count", "bulkhead_entropy_requests_total"),
    field("latencies_us", "pause_vm", "bulkhead_pause_microseconds"),
    field("latencies_us", "resume_vm", "bulkhead_resume_microseconds"),
    field("logger", "missed_log_count", "bulkhead_log_lines_missed_total"),
    field("mmds", "rx_accepted", "bulkhead_mmds_rx_accepted_total"),
    field("mmds", "rx_count", "bulkhead_mmds_rx_total"),
    field("mmds", "rx_invalid_token", "bulkhead_mmds_invalid_tokens_total"),
    field("mmds", "rx_no_token", "bulkhead_mmds_missing_tokens_total"),
    field("mmds", "tx_count", "bulkhead_mmds_tx_total"),
    field("net", "rx_bytes_count", "bulkhead_net_rx_bytes_total"),
    field("net", "rx_packets_count", "bulkhead_net_rx_packets_total"),
    field("net", "rx_fails", "bulkhead_net_rx_errors_total"),
    field("net", "rx_rate_limiter_throttled", "bulkhead_net_rx_throttled_total"),
    field("net", "tx_bytes_count", "bulkhead_net_tx_bytes_total"),
    field("net", "tx_packets_count", "bulkhead_net_tx_packets_total"),
    field("net", "tx_fails", "bulkhead_net_tx_errors_total"),
    field("net", "tx_malformed_frames", "bulkhead_net_tx_malformed_total"),
    field("net", "tx_rate_limiter_throttled", "bulkhead_net_tx_throttled_total"),
    field("seccomp", "num_faults", "bulkhead_seccomp_faults_total"),
    field("uart", "write_count", "bulkhead_serial_write_bytes_total"),
    field("uart", "read_count", "bulkhead_serial_read_bytes_total"),
    field("uart", "rate_limiter_dropped_bytes", "bulkhead_serial_dropped_bytes_total"),
    exit("exit_io_in", "io_in"),
    exit("exit_io_out", "io_out"),
    exit("exit_mmio_read", "mmio_read"),
    exit("exit_mmio_write", "mmio_write"),
    field("vcpu", "failures", "bulkhead_vcpu_failures_total"),
    field("vmm", "panic_count", "bulkhead_guest_panics_total"),
    field("vsock", "rx_bytes_count", "bulkhead_vsock_rx_bytes_total"),
    field("vsock", "rx_packets_count", "bulkhead_vsock_rx_packets_total"),
    field("vsock", "tx_bytes_count", "bulkhead_vsock_tx_bytes_total"),
    field("vsock", "tx_packets_count", "bulkhead_vsock_tx_packets_total"),
    field("vsock", "conns_added", "bulkhead_vsock_connections_total"),
];

/// Makes the lines, and knows the counters of the line before.
#[derive(Debug, Default)]
pub struct LineWriter {
    id: Option<String>,
    properties: Option<BTreeMap<String, String>>,
    last: HashMap<(String, &'static str), u64>,
}

impl LineWriter {
    /// Lines that also have the machine's id and further text, where given.
    pub fn new(id: Option<String>, properties: Option<BTreeMap<String, String>>) -> Self {
        Self { id, properties, last: HashMap::new() }
    }

    /// The next line, with its line feed. `now_ms` is the time in milliseconds since 1970, UTC.
    pub fn line(&mut self, families: &[MetricFamily], now_ms: u64) -> String {
        let mut line = Map::new();
        line.insert("utc_timestamp_ms".into(), now_ms.into());
        if let Some(id) = &self.id {
            line.insert("id".into(), id.as_str().into());
        }
        if let Some(properties) = &self.properties {
            let text = properties.iter().map(|(k, v)| (k.clone(), v.as_str().into()));
            line.insert("properties".into(), Json::Object(text.collect()));
        }
        for field in FIELDS {
            add(&mut line, field.group.to_owned(), field.name, Number::from(0u8));
            let family = families.iter().find(|family| family.name == field.family);
            if let Some(family) = family {
                self.add_field(&mut line, field, family);
            }
        }
        let mut text = Json::Object(line).to_string();
        text.push('\n');
        text
    }

    /// Adds the sum over all samples, and the sum for each device.
    fn add_field(&mut self, line: &mut Map<String, Json>, field: &Field, family: &MetricFamily) {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for sample in family.samples.iter().filter(|sample| field.takes(sample)) {
            let value = match sample.value {
                Value::Integer(value) => value,
                // Neither is in a family of the table.
                Value::Float(_) | Value::Histogram(_) => continue,
            };
            let mut sum = |group: String| {
                let sum = sums.entry(group).or_default();
                *sum = sum.saturating_add(value);
            };
            sum(field.group.to_owned());
            if let Some((_, device)) = sample.labels.iter().find(|(label, _)| *label == DEVICE) {
                sum(format!("{}_{device}", field.group));
            }
        }
        for (group, now) in sums {
            let value = match family.kind {
                MetricKind::Counter => {
                    let last = self.last.insert((group.clone(), field.name), now).unwrap_or(0);
                    now.saturating_sub(last)
                }
                MetricKind::Gauge | MetricKind::Histogram => now,
            };
            add(line, group, field.name, value.into());
        }
    }
}

impl Field {
    fn takes(&self, sample: &Sample) -> bool {
        self.label.is_none_or(|(name, value)| {
            sample.labels.iter().any(|(label, v)| *label == name && v == value)
        })
    }
}

/// Sets a field of a group, making the group where there is none.
fn add(line: &mut Map<String, Json>, group: String, name: &str, value: Number) {
    let group = line.entry(group).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(fields) = group {
        fields.insert(name.to_owned(), Json::Number(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(bytes: u64) -> MetricFamily {
        MetricFamily::counter("bulkhead_block_read_bytes_total", "")
            .with(vec![(DEVICE, "rootfs".into())], bytes)
            .with(vec![(DEVICE, "data".into())], 1)
    }

    fn line(writer: &mut LineWriter, family: MetricFamily) -> Json {
        let text = writer.line(&[family], 5);
        assert_eq!(text.matches('\n').count(), 1);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn devices_have_groups_of_their_own_and_a_sum() {
        let line = line(&mut LineWriter::default(), reads(10));
        assert_eq!(line["block"]["read_bytes"], 11);
        assert_eq!(line["block_rootfs"]["read_bytes"], 10);
        assert_eq!(line["block_data"]["read_bytes"], 1);
        assert_eq!(line["utc_timestamp_ms"], 5);
    }

    #[test]
    fn counters_are_written_as_what_they_grew_by() {
        let mut writer = LineWriter::default();
        line(&mut writer, reads(10));
        let second = line(&mut writer, reads(17));
        assert_eq!(second["block"]["read_bytes"], 7);
        assert_eq!(second["block_rootfs"]["read_bytes"], 7);
        assert_eq!(second["block_data"]["read_bytes"], 0);
    }

    #[test]
    fn gauges_are_written_as_they_are() {
        let mut writer = LineWriter::default();
        let gauge = || MetricFamily::gauge("bulkhead_pause_microseconds", "").with(vec![], 9);
        line(&mut writer, gauge());
        assert_eq!(line(&mut writer, gauge())["latencies_us"]["pause_vm"], 9);
    }

    #[test]
    fn exits_are_told_apart_by_reason_and_summed_over_vcpus() {
        let exits = MetricFamily::counter("bulkhead_vcpu_exits_total", "")
            .with(vec![("vcpu", "0".into()), ("reason", "io_in".into())], 3)
            .with(vec![("vcpu", "1".into()), ("reason", "io_in".into())], 4)
            .with(vec![("vcpu", "0".into()), ("reason", "io_out".into())], 5);
        let line = line(&mut LineWriter::default(), exits);
        assert_eq!(line["vcpu"]["exit_io_in"], 7);
        assert_eq!(line["vcpu"]["exit_io_out"], 5);
        assert_eq!(line["vcpu"]["exit_mmio_read"], 0);
    }

    #[test]
    fn id_and_properties_are_in_each_line_if_wanted() {
        let properties = BTreeMap::from([("team".to_owned(), "x".to_owned())]);
        let mut writer = LineWriter::new(Some("vm1".into()), Some(properties));
        let line = line(&mut writer, reads(0));
        assert_eq!(line["id"], "vm1");
        assert_eq!(line["properties"]["team"], "x");
    }
}
