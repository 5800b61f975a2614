//! The container as the agent is told of it.

use std::fmt::Write;

use agent_protocol::message::{
    ContainerFile, ContainerMount, CreateContainer, Exec, MountKind, Rootfs, Stdio, Terminal,
};

use super::links::Linked;
use super::names;
use super::record::{ContainerRecord, MountedSource};
use super::spec::ContainerSpec;
use crate::sandbox::Share;

/// Part of the serial number of the disk with the image's layers.
pub(super) const LAYERS: &str = "layers";
/// Part of the serial number of the disk with what the container writes.
pub(super) const WRITABLE: &str = "write";

/// The serial number of a container's disk, which no other in the machine has: at most 20 bytes.
pub(super) fn serial(id: &str, disk: &str) -> String {
    format!("{}-{disk}", names::short_id(id))
}

/// What the network contributes to a container's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkFiles {
    /// Its addresses, for its own host name.
    pub addresses: Vec<String>,
    /// Where names are resolved; none without a network.
    pub name_servers: Vec<String>,
    /// The address for `host-gateway`.
    pub gateway: Option<String>,
    /// Containers it is linked to.
    pub linked: Vec<Linked>,
}

/// A file system with the share of the host that it needs, if any.
pub(super) struct PlannedMount {
    pub(super) mount: ContainerMount,
    pub(super) share: Option<Share>,
}

/// The container's mounts, each share with a tag of its own.
pub(super) fn mounts(record: &ContainerRecord) -> Vec<PlannedMount> {
    let plan = |(number, mount): (usize, &super::record::MountRecord)| {
        let tag = format!("{}-mount{number}", names::short_id(&record.id));
        let (path, subpath, populate) = match &mount.source {
            MountedSource::Tmpfs { options } => {
                return PlannedMount { mount: tmpfs(&mount.target, options), share: None };
            }
            MountedSource::Bind { path } => {
                let path = std::path::PathBuf::from(path);
                // A file comes as a folder that holds it alone.
                let name = path.file_name().map(std::ffi::OsStr::to_owned).unwrap_or_default();
                let subpath = if path.is_dir() { Vec::new() } else { name.into_encoded_bytes() };
                (path, subpath, false)
            }
            MountedSource::Volume { folder, subpath, populate, .. } => {
                (folder.into(), subpath.clone().into_bytes(), *populate)
            }
        };
        let share = Share { tag: tag.clone(), path, read_only: mount.read_only };
        let options = if mount.read_only { "ro" } else { "rw" }.to_owned();
        let mount = ContainerMount {
            kind: MountKind::VirtioFs.into(),
            source: tag,
            subpath,
            target: mount.target.clone().into_bytes(),
            options,
            populate: populate && !mount.read_only,
        };
        PlannedMount { mount, share: Some(share) }
    };
    record.mounts.iter().enumerate().map(plan).collect()
}

fn tmpfs(target: &str, options: &str) -> ContainerMount {
    ContainerMount {
        kind: MountKind::Tmpfs.into(),
        source: String::new(),
        subpath: Vec::new(),
        target: target.to_owned().into_bytes(),
        options: options.to_owned(),
        populate: false,
    }
}

/// The whole container.
pub(super) fn create(
    id: &str,
    spec: &ContainerSpec,
    layers: usize,
    mounts: Vec<ContainerMount>,
    network: &NetworkFiles,
    console: Option<(u16, u16)>,
) -> CreateContainer {
    let bytes = |paths: &[String]| paths.iter().map(|path| path.clone().into_bytes()).collect();
    CreateContainer {
        id: id.to_owned(),
        rootfs: Some(Rootfs {
            layers_serial: serial(id, LAYERS),
            layers: (1..=u32::try_from(layers).unwrap_or(u32::MAX)).collect(),
            writable_serial: serial(id, WRITABLE),
            tmpfs_size: 0,
            read_only: spec.read_only,
        }),
        process: Some(process(spec, console)),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        mounts,
        resources: Some(spec.limits),
        files: files(spec, network),
        masked_paths: bytes(&spec.masked_paths),
        readonly_paths: bytes(&spec.readonly_paths),
        sysctls: spec.sysctls.clone(),
        init: spec.init,
        privileged: spec.privileged,
        shm_size: spec.shm_size,
        share_ipc: false,
        share_pid: false,
    }
}

fn process(spec: &ContainerSpec, console: Option<(u16, u16)>) -> Exec {
    let process = &spec.process;
    let bytes = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
    let (rows, columns) = console.unwrap_or((24, 80));
    let stdin = if process.open_stdin { Stdio::Stream } else { Stdio::Null };
    Exec {
        argv: bytes(&process.argv),
        env: bytes(&process.env),
        cwd: process.cwd.clone().into_bytes(),
        user: process.user.clone(),
        stdin: stdin.into(),
        stdout: Stdio::Stream.into(),
        stderr: Stdio::Stream.into(),
        terminal: process.tty.then(|| Terminal { rows: rows.into(), columns: columns.into() }),
        detach: true,
        container: String::new(),
        confinement: Some(Box::new(spec.confinement.clone())),
        inline_output: 0,
    }
}

/// `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`.
pub(super) fn files(spec: &ContainerSpec, network: &NetworkFiles) -> Vec<ContainerFile> {
    let file = |path: &str, content: String| ContainerFile {
        path: path.as_bytes().to_vec(),
        content: content.into_bytes(),
        mode: 0o644,
    };
    vec![
        file("/etc/hostname", format!("{}\n", spec.hostname)),
        file("/etc/hosts", hosts(spec, network)),
        file("/etc/resolv.conf", resolv_conf(spec, network)),
    ]
}

fn hosts(spec: &ContainerSpec, network: &NetworkFiles) -> String {
    let mut text = "127.0.0.1\tlocalhost\n\
        ::1\tlocalhost ip6-localhost ip6-loopback\n\
        fe00::\tip6-localnet\n\
        ff00::\tip6-mcastprefix\n\
        ff02::1\tip6-allnodes\n\
        ff02::2\tip6-allrouters\n"
        .to_owned();
    for (name, address) in &spec.extra_hosts {
        let gateway = network.gateway.as_deref().unwrap_or("127.0.0.1");
        let address = if address == "host-gateway" { gateway } else { address };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    for Linked { address, names } in &network.linked {
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    for address in &network.addresses {
        let name = &spec.hostname;
        let _ = if spec.domainname.is_empty() {
            writeln!(text, "{address}\t{name}")
        } else {
            writeln!(text, "{address}\t{name}.{} {name}", spec.domainname)
        };
    }
    text
}

fn resolv_conf(spec: &ContainerSpec, network: &NetworkFiles) -> String {
    let mut text = String::new();
    // Name servers of its own are asked by the network's resolver, which also knows the names of
    // other containers; without a network they stand here.
    let own = &spec.dns.servers;
    let servers = if network.name_servers.is_empty() { own } else { &network.name_servers };
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    let search: Vec<_> = spec.dns.search.iter().filter(|domain| *domain != ".").collect();
    if !search.is_empty() {
        let words: Vec<_> = search.iter().map(|domain| domain.as_str()).collect();
        let _ = writeln!(text, "search {}", words.join(" "));
    }
    if !spec.dns.options.is_empty() {
        let _ = writeln!(text, "options {}", spec.dns.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_containers_are_known_by_their_aliases() {
        let (config, host) = (Default::default(), Default::default());
        let spec = ContainerSpec::read("0123456789abcdef", &config, &host).unwrap();
        let names = vec!["store".to_owned(), "db".to_owned()];
        let linked = vec![Linked { address: [10, 0, 0, 7].into(), names }];
        let addresses = vec!["10.0.0.2".to_owned()];
        let text = hosts(&spec, &NetworkFiles { addresses, linked, ..NetworkFiles::default() });
        assert!(text.ends_with("10.0.0.7\tstore db\n10.0.0.2\t0123456789ab\n"), "{text}");
    }
}
