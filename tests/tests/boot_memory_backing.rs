//! What the host puts under a guest's memory, as its kernel tells of the monitor's process.

use std::fs;

use anyhow::{Context, ensure};
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::MemoryBacking;

/// Memory of the fixture's guest, in KiB.
const MEMORY_KIB: u64 = 256 << 10;

/// Boots with `backing` and fills a part of the memory.
fn boot(backing: MemoryBacking) -> anyhow::Result<RunningVm> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.backing(backing).boot()?;
    vm.exec("head -c 64m /dev/zero >/tmp/filler")?;
    Ok(vm)
}

/// The mapping of the guest's memory: its line of `/proc/PID/smaps` and what follows.
fn guest_memory(vm: &RunningVm) -> anyhow::Result<Mapping> {
    let text = fs::read_to_string(vm.process_folder().join("smaps"))?;
    let mut mappings: Vec<String> = Vec::new();
    for line in text.lines() {
        // Only a mapping's first line begins with a range of addresses.
        match mappings.last_mut() {
            Some(mapping) if line.starts_with(char::is_uppercase) => {
                mapping.push('\n');
                mapping.push_str(line);
            }
            _ => mappings.push(line.to_owned()),
        }
    }
    let mut mappings = mappings.into_iter().map(Mapping);
    let memory = mappings.find(|mapping| mapping.kib("Size").is_ok_and(|kib| kib >= MEMORY_KIB));
    memory.with_context(|| format!("no mapping has {MEMORY_KIB} KiB:\n{text}"))
}

struct Mapping(String);

impl Mapping {
    fn field(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {name} in:\n{}", self.0))?.trim())
    }

    fn kib(&self, name: &str) -> anyhow::Result<u64> {
        Ok(self.field(name)?.trim_end_matches(" kB").parse()?)
    }

    /// Access, offset, device, inode and path.
    fn head(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }
}

/// So many more huge pages in the host's pool; given back with this value. Needs root.
struct HugePages {
    before: u64,
}

const POOL: &str = "/proc/sys/vm/nr_hugepages";

impl HugePages {
    fn reserve(count: u64) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<u64> { Ok(fs::read_to_string(POOL)?.trim().parse()?) };
        let pages = Self { before: read()? };
        let wanted = pages.before + count;
        fs::write(POOL, wanted.to_string()).with_context(|| format!("write {POOL}"))?;
        ensure!(read()? == wanted, "the host has no {count} huge pages left");
        Ok(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // There is nothing that a test could do about it.
        let _ = fs::write(POOL, self.before.to_string());
    }
}

#[test]
fn hugetlb_memory_comes_from_the_pool_of_2_mib_pages() -> anyhow::Result<()> {
    let _pool = HugePages::reserve(MEMORY_KIB / 2048)?;
    let vm = boot(MemoryBacking::Hugetlb2M)?;
    let memory = guest_memory(&vm)?;
    assert_eq!(memory.kib("KernelPageSize")?, 2048);
    let used = memory.kib("Shared_Hugetlb")? + memory.kib("Private_Hugetlb")?;
    assert!(used >= 64 << 10, "{used} KiB are in use");
    Ok(())
}

#[test]
fn transparent_huge_pages_are_asked_for_and_given() -> anyhow::Result<()> {
    let mode = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")?;
    ensure!(!mode.contains("[never]"), "none here: {mode}");
    let vm = boot(MemoryBacking::TransparentHuge)?;
    let memory = guest_memory(&vm)?;
    let asked = memory.field("VmFlags")?.split(' ').any(|flag| flag == "hg");
    assert!(asked, "no advice: {}", memory.field("VmFlags")?);
    let huge = memory.kib("AnonHugePages")?;
    assert!(huge >= 32 << 10, "{huge} KiB are in huge pages");
    Ok(())
}

#[test]
fn memfd_memory_is_shared_with_whoever_has_the_file() -> anyhow::Result<()> {
    let vm = boot(MemoryBacking::Memfd)?;
    let memory = guest_memory(&vm)?;
    let head = memory.head();
    assert!(head.contains(" rw-s ") && head.contains("/memfd:guest-memory"), "{head}");
    let used = memory.kib("Rss")?;
    assert!(used >= 64 << 10, "{used} KiB are in use");
    Ok(())
}
