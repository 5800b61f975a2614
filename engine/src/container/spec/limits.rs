//! Limits of a container, and the machine that fits them.

use agent_protocol::message::Resources;
use bollard_stubs::models::HostConfig;

use super::SpecError;

/// Memory of a machine without a limit, MiB. It is sparse: what a guest does not use, it gives
/// back.
const DEFAULT_MEMORY_MIB: u64 = 1024;
/// What the guest's kernel and agent need besides the container's memory, MiB.
const OVERHEAD_MIB: u64 = 64;
const MIB: u64 = 1024 * 1024;
/// Least memory of a container, as Docker has it.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// How large a container's machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSize {
    /// MiB.
    pub memory_mib: u64,
    /// Virtual processors.
    pub cpus: u8,
}

/// Reads the limits for the control group in the guest.
pub(super) fn read(host: &HostConfig) -> Result<Resources, SpecError> {
    let memory = host.memory.unwrap_or_default();
    if memory != 0 && memory < LEAST_MEMORY {
        return Err(SpecError::Invalid("Minimum memory limit allowed is 6MB".to_owned()));
    }
    let reservation = host.memory_reservation.unwrap_or_default();
    if memory > 0 && reservation > memory {
        let text = "Minimum memory limit can not be less than memory reservation limit, see usage";
        return Err(SpecError::Invalid(text.to_owned()));
    }
    let (cpu_quota, cpu_period) = processor_time(host)?;
    Ok(Resources {
        memory: positive(memory, "Memory")?,
        swap: swap(memory, host.memory_swap.unwrap_or_default())?,
        memory_reservation: positive(reservation, "MemoryReservation")?,
        cpu_quota,
        cpu_period,
        cpu_weight: weight(host.cpu_shares.unwrap_or_default()),
        // Docker's -1 is no limit, too.
        pids: u64::try_from(host.pids_limit.unwrap_or_default()).unwrap_or(0),
    })
}

/// The machine for these limits: `--memory` and what the guest itself needs, and as many
/// processors as `--cpus`, rounded up. Without those, 1 GiB and half of the host's processors.
pub(super) fn machine(limits: &Resources, cpuset: &str) -> MachineSize {
    let host = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = match limits.cpu_quota.checked_div(limits.cpu_period) {
        _ if !cpuset.is_empty() => set_size(cpuset).unwrap_or(host),
        Some(whole) if limits.cpu_quota > 0 => {
            let part = u64::from(whole * limits.cpu_period < limits.cpu_quota);
            usize::try_from(whole + part).unwrap_or(host)
        }
        _ => host.div_ceil(2),
    };
    let cpus = u8::try_from(wanted.clamp(1, host)).unwrap_or(u8::MAX);
    let memory_mib = match limits.memory {
        0 => DEFAULT_MEMORY_MIB.max(limits.memory_reservation.div_ceil(MIB)),
        bytes => bytes.div_ceil(MIB).saturating_add(OVERHEAD_MIB + bytes.div_ceil(MIB) / 16),
    };
    MachineSize { memory_mib, cpus }
}

/// How many processors `0-2,4` names.
fn set_size(set: &str) -> Option<usize> {
    let mut count = 0_usize;
    for part in set.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

fn positive(value: i64, field: &str) -> Result<u64, SpecError> {
    u64::try_from(value).map_err(|_| SpecError::Invalid(format!("invalid {field}: {value}")))
}

/// Docker counts memory in its limit of swap; 0 allows as much again, -1 any amount.
fn swap(memory: i64, both: i64) -> Result<u64, SpecError> {
    match (memory, both) {
        (_, 0 | -1) => Ok(0),
        (0, _) => Err(SpecError::Invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
                .to_owned(),
        )),
        (memory, both) if both < memory => Err(SpecError::Invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage".to_owned(),
        )),
        (memory, both) => positive(both - memory, "MemorySwap"),
    }
}

/// Quota and period, microseconds.
fn processor_time(host: &HostConfig) -> Result<(u64, u64), SpecError> {
    let nano = positive(host.nano_cpus.unwrap_or_default(), "NanoCPUs")?;
    let quota = host.cpu_quota.unwrap_or_default().max(0);
    let period = positive(host.cpu_period.unwrap_or_default(), "CPUPeriod")?;
    if nano > 0 {
        if quota > 0 || period > 0 {
            let text = "Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set.";
            return Err(SpecError::Invalid(text.to_owned()));
        }
        let host_cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let most = u64::try_from(host_cpus).unwrap_or(u64::MAX).saturating_mul(1_000_000_000);
        if nano > most {
            return Err(SpecError::Invalid(format!(
                "range of CPUs is from 0.01 to {host_cpus}.00, as there are only {host_cpus} CPUs available"
            )));
        }
        return Ok(((nano / 10_000).max(1000), 100_000));
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        let text =
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";
        return Err(SpecError::Invalid(text.to_owned()));
    }
    if quota != 0 && quota < 1000 {
        let text = "CPU cfs quota can not be less than 1ms (i.e. 1000)";
        return Err(SpecError::Invalid(text.to_owned()));
    }
    let quota = positive(quota, "CPUQuota")?;
    Ok(if quota == 0 { (0, period) } else { (quota, if period == 0 { 100_000 } else { period }) })
}

/// Shares (2 to 262,144) as a weight of cgroup v2 (1 to 10,000), by the mapping that runtimes use.
fn weight(shares: i64) -> u64 {
    match u64::try_from(shares) {
        Err(_) | Ok(0) => 0,
        Ok(shares) => 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(json: &str) -> Result<Resources, SpecError> {
        read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn half_a_processor_is_half_of_each_period() {
        let limits = limits(r#"{"NanoCpus":500000000}"#).unwrap();
        assert_eq!((limits.cpu_quota, limits.cpu_period), (50_000, 100_000));
        assert_eq!(machine(&limits, "").cpus, 1);
    }

    #[test]
    fn the_machine_is_larger_than_the_container() {
        let limits = limits(r#"{"Memory":268435456}"#).unwrap();
        assert_eq!(limits.memory, 256 * MIB);
        assert_eq!(machine(&limits, "").memory_mib, 256 + 64 + 16);
    }

    #[test]
    fn swap_is_counted_without_memory() {
        let limits = limits(r#"{"Memory":67108864,"MemorySwap":100663296}"#).unwrap();
        assert_eq!(limits.swap, 32 * MIB);
    }

    #[test]
    fn shares_become_weights_at_both_ends() {
        assert_eq!((weight(0), weight(2), weight(262_144)), (0, 1, 10_000));
    }

    #[test]
    fn sets_of_processors_are_counted() {
        assert_eq!(set_size("0-2,4"), Some(4));
        assert_eq!(set_size("2-1"), None);
    }

    #[test]
    fn contradictions_are_refused() {
        for json in [
            r#"{"Memory":1048576}"#,
            r#"{"Memory":67108864,"MemorySwap":1}"#,
            r#"{"MemorySwap":67108864}"#,
            r#"{"NanoCpus":1000000000,"CpuQuota":5000}"#,
            r#"{"CpuPeriod":10}"#,
            r#"{"NanoCpus":1000000000000000}"#,
        ] {
            assert!(limits(json).is_err(), "{json}");
        }
    }
}
