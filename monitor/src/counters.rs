//! All counters of the machine, as neutral metrics.

use std::borrow::Cow;
use std::sync::Arc;

use api::metrics::{Histogram, MetricFamily, Value};
use devices::metrics::{Counter, HistogramSnapshot, QueueMetrics};
use vmm::board::{DeviceSet, QueueCounters};
use vmm::machine::Phase;

use crate::logger;
use crate::monitor::{Monitor, Running};
use crate::operate::lock;

type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// Everything that is counted now.
pub(crate) fn collect(monitor: &Monitor) -> Vec<MetricFamily> {
    let mut families = vec![
        one("bulkhead_log_lines_missed_total", "Lines of the log that were lost", &logger::MISSED),
        gauge("bulkhead_pause_microseconds", "Time that the last pause took", monitor.pause_us),
        gauge("bulkhead_resume_microseconds", "Time that the last resume took", monitor.resume_us),
    ];
    if let Some(startup) = monitor.startup {
        families.extend([
            gauge(
                "bulkhead_process_startup_microseconds",
                "Time until clients were served",
                startup.wall_us,
            ),
            gauge(
                "bulkhead_process_startup_cpu_microseconds",
                "Processor time until clients were served",
                startup.cpu_us,
            ),
        ]);
    }
    let mmds = &monitor.metadata.metrics;
    families.extend([
        one("bulkhead_mmds_rx_total", "Frames to the metadata service", &mmds.rx_frames),
        one("bulkhead_mmds_rx_accepted_total", "Requests to it", &mmds.requests),
        one("bulkhead_mmds_missing_tokens_total", "Requests without token", &mmds.rx_no_token),
        one("bulkhead_mmds_invalid_tokens_total", "Wrong tokens", &mmds.rx_invalid_token),
        one("bulkhead_mmds_tx_total", "Frames from the metadata service", &mmds.tx_frames),
    ]);
    if let Some(running) = &monitor.running {
        families.push(phases(running));
        families.push(exits(running));
        families.extend(queues(&running.devices.queues));
        families.extend(disks(&running.devices));
        families.extend(shares(&running.devices));
        families.extend(nets(&running.devices));
        families.extend(others(&running.devices));
    }
    families
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> MetricFamily {
    MetricFamily::gauge(name, help).with(Labels::new(), value)
}

fn one(name: &'static str, help: &'static str, counter: &Counter) -> MetricFamily {
    MetricFamily::counter(name, help).with(Labels::new(), counter.get())
}

fn phases(running: &Running) -> MetricFamily {
    let family = MetricFamily::gauge(
        "bulkhead_boot_phase_seconds",
        "Time from the start of the monitor to each phase of the boot",
    );
    Phase::ALL.into_iter().fold(family, |family, phase| match running.phases.get(phase) {
        Some(time) => {
            family.with(vec![("phase", phase.name().into())], Value::Float(time.as_secs_f64()))
        }
        None => family,
    })
}

fn exits(running: &Running) -> MetricFamily {
    let mut family =
        MetricFamily::counter("bulkhead_vcpu_exits_total", "Exits to user space by reason");
    for (index, exits) in running.exits.iter().enumerate() {
        for (reason, count) in exits.by_reason() {
            // The names of Firecracker's metrics.
            let reason = match reason {
                "port_in" => "io_in",
                "port_out" => "io_out",
                other => other,
            };
            let labels = vec![("vcpu", index.to_string().into()), ("reason", reason.into())];
            family = family.with(labels, count);
        }
    }
    family
}

type QueueCounter = (&'static str, &'static str, fn(&QueueMetrics) -> &Counter);

const QUEUE_COUNTERS: [QueueCounter; 9] = [
    ("bulkhead_queue_kicks_total", "Notifications from the driver", |m| &m.kicks),
    ("bulkhead_queue_interrupts_total", "Interrupts to the driver", |m| &m.interrupts),
    (
        "bulkhead_queue_interrupts_suppressed_total",
        "Interrupts that the driver did not want",
        |m| &m.interrupts_suppressed,
    ),
    ("bulkhead_queue_requests_total", "Descriptor chains served", |m| &m.requests),
    ("bulkhead_queue_malformed_total", "Descriptor chains that break the rules", |m| &m.malformed),
    ("bulkhead_queue_errors_total", "Requests that failed", |m| &m.errors),
    ("bulkhead_queue_from_guest_bytes_total", "Bytes read from the guest", |m| &m.bytes_from_guest),
    ("bulkhead_queue_to_guest_bytes_total", "Bytes written to the guest", |m| &m.bytes_to_guest),
    ("bulkhead_queue_throttled_total", "Times that a limit made the queue wait", |m| &m.throttled),
];

fn queues(queues: &[QueueCounters]) -> Vec<MetricFamily> {
    let labels = |queue: &QueueCounters| -> Labels {
        vec![
            ("device", queue.device.to_string().into()),
            ("kind", queue.kind.into()),
            ("queue", queue.queue.to_string().into()),
        ]
    };
    let mut families: Vec<_> = QUEUE_COUNTERS
        .iter()
        .map(|(name, help, counter)| {
            queues.iter().fold(MetricFamily::counter(name, help), |family, queue| {
                family.with(labels(queue), counter(&queue.metrics).get())
            })
        })
        .collect();
    let latency = MetricFamily::histogram(
        "bulkhead_queue_latency_seconds",
        "Time from a request's being taken to its completion",
    );
    families.push(queues.iter().fold(latency, |family, queue| {
        family.with(labels(queue), histogram(&queue.metrics.latency.snapshot()))
    }));
    families
}

fn histogram(snapshot: &HistogramSnapshot) -> Histogram {
    const MICROSECOND: f64 = 1e-6;
    let mut sum = 0;
    let buckets = snapshot
        .buckets
        .iter()
        .filter_map(|(bound, count)| {
            sum += count;
            bound.map(|bound| (bound as f64 * MICROSECOND, sum))
        })
        .collect();
    Histogram { buckets, sum: snapshot.sum_us as f64 * MICROSECOND, count: snapshot.count }
}

/// A family with a sample for each device.
fn by_device<'a, M: 'a>(
    name: &'static str,
    help: &'static str,
    devices: &'a [(String, M)],
    value: impl Fn(&M) -> u64,
) -> MetricFamily {
    devices.iter().fold(MetricFamily::counter(name, help), |family, (id, metrics)| {
        family.with(vec![("device", id.clone().into())], value(metrics))
    })
}

fn disks(set: &DeviceSet) -> Vec<MetricFamily> {
    let all: Vec<_> = set
        .disks
        .iter()
        .map(|(id, disk)| (id.to_string(), Arc::clone(lock(disk).metrics())))
        .collect();
    vec![
        by_device("bulkhead_block_reads_total", "Reads", &all, |m| m.reads.get()),
        by_device("bulkhead_block_writes_total", "Writes", &all, |m| m.writes.get()),
        by_device("bulkhead_block_flushes_total", "Flushes", &all, |m| m.flushes.get()),
        by_device("bulkhead_block_read_bytes_total", "Bytes read", &all, |m| m.read_bytes.get()),
        by_device("bulkhead_block_write_bytes_total", "Bytes written", &all, |m| {
            m.write_bytes.get()
        }),
        by_device("bulkhead_block_errors_total", "Requests that failed", &all, |m| m.failed.get()),
        by_device(
            "bulkhead_block_invalid_requests_total",
            "Requests that make no sense",
            &all,
            |m| m.invalid.get(),
        ),
        by_device("bulkhead_block_throttled_total", "Waits for a limit", &all, |m| {
            m.throttled.get()
        }),
        sum_of_queues(set, "bulkhead_block_kicks_total", "Notifications", "block", |m| &m.kicks),
    ]
}

fn shares(set: &DeviceSet) -> Vec<MetricFamily> {
    let all: Vec<_> = set
        .shares
        .iter()
        .map(|(id, share)| (id.to_string(), Arc::clone(lock(share).metrics())))
        .collect();
    let mut latency = MetricFamily::histogram(
        "bulkhead_fs_latency_seconds",
        "Time that requests took, by operation",
    );
    let mut failed =
        MetricFamily::counter("bulkhead_fs_failures_total", "Requests that failed, by operation");
    for (id, metrics) in &all {
        for (opcode, operation) in metrics.operations() {
            let snapshot = operation.latency.snapshot();
            if snapshot.count == 0 {
                continue; // Most operations are rare, and a histogram is long.
            }
            let labels: Labels =
                vec![("device", id.clone().into()), ("operation", opcode.name().into())];
            latency = latency.with(labels.clone(), histogram(&snapshot));
            failed = failed.with(labels, operation.failed.get());
        }
    }
    vec![
        latency,
        failed,
        by_device("bulkhead_fs_read_bytes_total", "Bytes read from files", &all, |m| {
            m.read_bytes.get()
        }),
        by_device("bulkhead_fs_written_bytes_total", "Bytes written to files", &all, |m| {
            m.written_bytes.get()
        }),
        by_device(
            "bulkhead_fs_malformed_total",
            "Requests without room for an answer",
            &all,
            |m| m.malformed.get(),
        ),
    ]
}

fn nets(set: &DeviceSet) -> Vec<MetricFamily> {
    let all: Vec<_> = set
        .nets
        .iter()
        .map(|(id, net)| (id.to_string(), Arc::clone(lock(net).metrics())))
        .collect();
    vec![
        by_device("bulkhead_net_rx_packets_total", "Frames to the guest", &all, |m| {
            m.rx_frames.get()
        }),
        by_device("bulkhead_net_tx_packets_total", "Frames from the guest", &all, |m| {
            m.tx_frames.get()
        }),
        by_device("bulkhead_net_rx_errors_total", "Frames that could not be read", &all, |m| {
            m.rx_errors.get()
        }),
        by_device("bulkhead_net_tx_errors_total", "Frames that could not be sent", &all, |m| {
            m.tx_dropped.get()
        }),
        by_device("bulkhead_net_tx_malformed_total", "Frames that make no sense", &all, |m| {
            m.tx_malformed.get()
        }),
        sum_of_queues(set, "bulkhead_net_rx_bytes_total", "Bytes to the guest", "net", |m| {
            &m.bytes_to_guest
        }),
        sum_of_queues(set, "bulkhead_net_tx_bytes_total", "Bytes from the guest", "net", |m| {
            &m.bytes_from_guest
        }),
    ]
}

/// A family with one sample for each device of `kind`: the sum over its queues.
fn sum_of_queues(
    set: &DeviceSet,
    name: &'static str,
    help: &'static str,
    kind: &str,
    counter: fn(&QueueMetrics) -> &Counter,
) -> MetricFamily {
    let mut sums: Vec<(String, u64)> = Vec::new();
    for queue in set.queues.iter().filter(|queue| queue.kind == kind) {
        let (id, count) = (queue.device.to_string(), counter(&queue.metrics).get());
        match sums.last_mut() {
            Some((last, sum)) if *last == id => *sum += count,
            _ => sums.push((id, count)),
        }
    }
    by_device(name, help, &sums, |sum| *sum)
}

fn others(set: &DeviceSet) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    if let Some(serial) = &set.serial {
        let metrics = serial.metrics();
        families.push(one("bulkhead_serial_write_bytes_total", "Bytes printed", &metrics.written));
        families.push(one("bulkhead_serial_read_bytes_total", "Bytes typed", &metrics.read));
        families.push(one("bulkhead_serial_dropped_bytes_total", "Bytes lost", &metrics.lost));
    }
    if let Some(balloon) = &set.balloon {
        let metrics = Arc::clone(lock(balloon).metrics());
        families.push(one("bulkhead_balloon_inflates_total", "Inflations", &metrics.inflates));
        families.push(one("bulkhead_balloon_deflates_total", "Deflations", &metrics.deflates));
        families.push(one(
            "bulkhead_balloon_stats_updates_total",
            "Statistics received",
            &metrics.stats_updates,
        ));
    }
    families.push(sum_of_queues(set, "bulkhead_entropy_bytes_total", "Entropy", "entropy", |m| {
        &m.bytes_to_guest
    }));
    families.push(sum_of_queues(
        set,
        "bulkhead_entropy_requests_total",
        "Requests for entropy",
        "entropy",
        |m| &m.requests,
    ));
    families
}
