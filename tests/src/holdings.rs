//! What an engine and the programs that it started hold of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::engine::TestEngine;
use crate::leftovers::{descriptors_of, files_below, processes_of};

/// Descriptors of a kind, threads and files of volumes that may be there for a moment: a connection
/// that is about to be closed, a thread that waits for work. What leaks does so in each of many
/// rounds.
const PASSING: usize = 8;

/// How much more memory a process may have: caches and what allocators keep.
const MEMORY: u64 = 16 << 20;

/// How much more the engine's files may take of the disk.
const DISK: u64 = 4 << 20;

/// Everything at one moment.
#[derive(Debug)]
pub struct Holdings {
    /// Below the engine's folders.
    files: BTreeSet<PathBuf>,
    /// Volumes that were removed and whose files go in the background.
    leaving: usize,
    /// What those take of the disk, in bytes.
    disk: u64,
    /// Names of its programs and how many there are, the engine itself among them. Those that have
    /// ended and were not reaped are told apart.
    programs: BTreeMap<String, usize>,
    /// Of each of these programs, by what they lead to.
    descriptors: BTreeMap<(String, String), usize>,
    threads: BTreeMap<String, usize>,
    /// Resident, in bytes.
    memory: BTreeMap<String, u64>,
    /// Sockets with names, mounts and loop devices of the engine's folders.
    kernel: BTreeSet<String>,
    /// Taps and bridges, and whatever else of the kind there is in this network namespace.
    links: BTreeSet<String>,
}

impl Holdings {
    /// What there is now.
    ///
    /// # Errors
    ///
    /// The engine does not run.
    pub fn of(engine: &TestEngine) -> anyhow::Result<Self> {
        let mut files: BTreeSet<_> = files_below(&engine.state())?
            .union(&files_below(&engine.runtime())?)
            .cloned()
            .collect();
        let found = files.len();
        files.retain(|file| !file.to_string_lossy().contains("/volumes/.removed-"));
        let mut all = Self {
            leaving: found - files.len(),
            disk: files.iter().map(|file| allocated(file)).sum(),
            files,
            programs: BTreeMap::new(),
            descriptors: BTreeMap::new(),
            threads: BTreeMap::new(),
            memory: BTreeMap::new(),
            kernel: kernel_objects(engine.folder())?,
            links: BTreeSet::new(),
        };
        for (pid, program) in programs(engine)? {
            *all.programs.entry(program.clone()).or_default() += 1;
            // One that has just ended has nothing any more.
            for target in descriptors_of(pid).unwrap_or_default() {
                *all.descriptors.entry((program.clone(), kind(&target))).or_default() += 1;
            }
            let number = |field| status(pid, field).unwrap_or_default();
            *all.threads.entry(program.clone()).or_default() +=
                usize::try_from(number("Threads:"))?;
            *all.memory.entry(program).or_default() += number("VmRSS:") << 10;
        }
        Ok(all)
    }

    /// And the links of this network namespace, if nobody else makes any in it.
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub fn and_links(self) -> anyhow::Result<Self> {
        Ok(Self { links: links()?, ..self })
    }

    /// Fails with what there is more than there was `before`.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn are_no_more_than(&self, before: &Self) -> anyhow::Result<()> {
        let new: Vec<_> = self.files.difference(&before.files).collect();
        ensure!(new.is_empty(), "files are left: {new:#?}");
        ensure!(self.leaving <= PASSING, "{} files of removed volumes are left", self.leaving);
        let new: Vec<_> = self.kernel.difference(&before.kernel).collect();
        ensure!(new.is_empty(), "the kernel still has {new:#?}");
        let new: Vec<_> = self.links.difference(&before.links).collect();
        ensure!(new.is_empty(), "links are left: {new:?}");
        ensure!(self.programs == before.programs, "{:?}, not {:?}", self.programs, before.programs);
        for (kind, count) in &self.descriptors {
            let was = before.descriptors.get(kind).copied().unwrap_or_default();
            ensure!(*count <= was + PASSING, "{kind:?}: {count} descriptors, {was} before");
        }
        for (program, count) in &self.threads {
            let was = before.threads.get(program).copied().unwrap_or_default();
            ensure!(*count <= was + PASSING, "{program}: {count} threads, {was} before");
        }
        for (program, bytes) in &self.memory {
            let was = before.memory.get(program).copied().unwrap_or_default();
            ensure!(*bytes <= was + MEMORY, "{program}: {bytes} bytes, {was} before");
        }
        let (is, was) = (self.disk, before.disk);
        ensure!(is <= was + DISK, "its files take {is} bytes, and {was} before");
        Ok(())
    }
}

/// The engine, its children and whatever else was started for its folders.
fn programs(engine: &TestEngine) -> anyhow::Result<BTreeMap<i32, String>> {
    let engine_pid = engine.pid()?;
    let mut found = BTreeMap::from([(engine_pid, "engine".to_owned())]);
    for line in processes_of(&engine.runtime())? {
        let mut words = line.split(' ');
        let pid = words.next().context("no number")?.parse()?;
        let program = Path::new(words.next().unwrap_or_default());
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.entry(pid).or_insert(name);
    }
    for entry in fs::read_dir("/proc")? {
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        // NUMBER (NAME) STATE PARENT …: the name may have anything in it.
        let (Some((pid, rest)), Some((_, after))) = (stat.split_once(" ("), stat.rsplit_once(") "))
        else {
            continue;
        };
        let mut fields = after.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent.and_then(|parent| parent.parse().ok()) != Some(engine_pid) {
            continue;
        }
        let name = rest.split(')').next().unwrap_or_default();
        let name = if state == Some("Z") { format!("{name}, not reaped") } else { name.to_owned() };
        found.entry(pid.parse()?).or_insert(name);
    }
    Ok(found)
}

/// A number of a process's status.
fn status(pid: i32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a descriptor leads to, without what is another for each.
fn kind(target: &Path) -> String {
    let text = target.to_string_lossy();
    match text.split_once(":[") {
        Some((kind, number)) if number.starts_with(|c: char| c.is_ascii_digit()) => kind.to_owned(),
        _ => text.into_owned(),
    }
}

fn allocated(file: &Path) -> u64 {
    fs::symlink_metadata(file).map_or(0, |metadata| metadata.blocks() * 512)
}

/// Lines of the kernel's tables with `folder` in them: named sockets, mounts, loop devices.
fn kernel_objects(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let folder = folder.to_str().context("the path is no text")?;
    let mut found = BTreeSet::new();
    for table in ["/proc/net/unix", "/proc/self/mountinfo"] {
        let text = fs::read_to_string(table)?;
        // The path is the last word of the one, and each line of the other is one mount.
        let lines = text.lines().filter_map(|line| line.find(folder).map(|at| &line[at..]));
        found.extend(lines.map(|line| format!("{table}: {line}")));
    }
    for device in fs::read_dir("/sys/block").into_iter().flatten() {
        let file = device?.path().join("loop/backing_file");
        let backing = fs::read_to_string(&file).unwrap_or_default();
        if backing.contains(folder) {
            found.insert(format!("{}: {backing}", file.display()));
        }
    }
    Ok(found)
}

fn links() -> anyhow::Result<BTreeSet<String>> {
    let table = fs::read_to_string("/proc/self/net/dev")?;
    let names = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    Ok(names.collect())
}
