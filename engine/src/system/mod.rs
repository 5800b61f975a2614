//! What the engine says of itself and of its host: `version` and `info`.

mod host;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_stubs::models::{
    IndexInfo, LocalNodeState, PluginsInfo, RegistryServiceConfig, Runtime, SwarmInfo, SystemInfo,
    SystemInfoCgroupDriverEnum, SystemInfoCgroupVersionEnum, SystemVersion,
    SystemVersionComponents, SystemVersionPlatform,
};

use self::host::Host;
use crate::http::ApiVersion;

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The only runtime, as `docker info` names it.
pub const RUNTIME: &str = "bulkhead";

/// How many containers and images there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Containers that run and are not paused.
    pub running: usize,
    /// Paused containers.
    pub paused: usize,
    /// All others: created, exited, dead.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// Clients that follow events.
    pub listeners: usize,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    /// Of this engine, the same as long as its state lives.
    id: String,
    root: PathBuf,
    rootless: bool,
    insecure: Vec<String>,
    host: Host,
}

impl Service {
    /// For an engine with its state in `root` that calls itself `id`. `rootless` where it does
    /// not run as root; the `insecure` registries are spoken to in plain HTTP.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        root: impl Into<PathBuf>,
        rootless: bool,
        insecure: Vec<String>,
    ) -> Self {
        let host = Host::look();
        Self(Arc::new(Identity { id: id.into(), root: root.into(), rootless, insecure, host }))
    }

    /// The answer to `/version`.
    #[must_use]
    pub fn version(&self, newest: ApiVersion, oldest: ApiVersion) -> SystemVersion {
        let host = &self.0.host;
        let details = HashMap::from([
            ("ApiVersion".to_owned(), newest.to_string()),
            ("MinAPIVersion".to_owned(), oldest.to_string()),
            ("Os".to_owned(), "linux".to_owned()),
            ("Arch".to_owned(), ARCHITECTURE.to_owned()),
            ("KernelVersion".to_owned(), host.kernel.clone()),
            ("Experimental".to_owned(), "false".to_owned()),
        ]);
        let component = SystemVersionComponents {
            name: "Engine".to_owned(),
            version: VERSION.to_owned(),
            details: Some(details),
        };
        SystemVersion {
            platform: Some(SystemVersionPlatform { name: "Bulkhead".to_owned() }),
            components: Some(vec![component]),
            version: Some(VERSION.to_owned()),
            api_version: Some(newest.to_string()),
            min_api_version: Some(oldest.to_string()),
            git_commit: Some(String::new()),
            go_version: Some(String::new()),
            os: Some("linux".to_owned()),
            arch: Some(ARCHITECTURE.to_owned()),
            kernel_version: Some(host.kernel.clone()),
            experimental: Some(false),
            build_time: Some(String::new()),
        }
    }

    /// The answer to `/info`.
    #[must_use]
    pub fn info(&self, counts: Counts) -> SystemInfo {
        let number = |count: usize| i64::try_from(count).ok();
        let Counts { running, paused, stopped, images, listeners } = counts;
        SystemInfo {
            containers: number(running + paused + stopped),
            containers_running: number(running),
            containers_paused: number(paused),
            containers_stopped: number(stopped),
            images: number(images),
            n_events_listener: number(listeners),
            system_time: Some(host::now()),
            ..self.constant_info()
        }
    }

    /// The part that does not change while the engine runs.
    fn constant_info(&self) -> SystemInfo {
        let Identity { id, root, rootless, insecure, host } = &*self.0;
        let mut security = vec!["name=seccomp,profile=builtin".to_owned()];
        security.extend(rootless.then(|| "name=rootless".to_owned()));
        security.push("name=cgroupns".to_owned());
        let yes = Some(true);
        SystemInfo {
            id: Some(id.clone()),
            name: Some(host.name.clone()),
            driver: Some("erofs".to_owned()),
            driver_status: Some(vec![vec!["Writable".to_owned(), "ext4".to_owned()]]),
            docker_root_dir: Some(root.display().to_string()),
            plugins: Some(plugins()),
            memory_limit: yes,
            swap_limit: yes,
            cpu_cfs_period: yes,
            cpu_cfs_quota: yes,
            cpu_shares: yes,
            cpu_set: Some(false),
            pids_limit: yes,
            oom_kill_disable: Some(false),
            ipv4_forwarding: yes,
            debug: Some(false),
            logging_driver: Some("json-file".to_owned()),
            cgroup_driver: Some(SystemInfoCgroupDriverEnum::CGROUPFS),
            cgroup_version: Some(SystemInfoCgroupVersionEnum::_2),
            kernel_version: Some(host.kernel.clone()),
            operating_system: Some(host.system.clone()),
            os_version: Some(host.system_version.clone()),
            os_type: Some("linux".to_owned()),
            architecture: Some("x86_64".to_owned()),
            ncpu: i64::try_from(host.processors).ok(),
            mem_total: i64::try_from(host.memory).ok(),
            index_server_address: Some("https://index.docker.io/v1/".to_owned()),
            registry_config: Some(RegistryServiceConfig {
                insecure_registry_cidrs: Some(vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()]),
                index_configs: Some(insecure.iter().map(|name| in_plain(name)).collect()),
                mirrors: Some(Vec::new()),
            }),
            labels: Some(Vec::new()),
            experimental_build: Some(false),
            server_version: Some(VERSION.to_owned()),
            runtimes: Some(HashMap::from([(RUNTIME.to_owned(), Runtime::default())])),
            default_runtime: Some(RUNTIME.to_owned()),
            swarm: Some(SwarmInfo {
                local_node_state: Some(LocalNodeState::INACTIVE),
                ..SwarmInfo::default()
            }),
            live_restore_enabled: yes,
            init_binary: Some("bulkhead-agent".to_owned()),
            security_options: Some(security),
            warnings: Some(Vec::new()),
            ..SystemInfo::default()
        }
    }
}

/// As Docker names it in versions and images.
pub const ARCHITECTURE: &str = "amd64";

fn plugins() -> PluginsInfo {
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    PluginsInfo {
        volume: names(&["local"]),
        network: names(&["bridge", "kernel-bridge", "none", "user"]),
        authorization: None,
        log: names(&["json-file", "local", "none"]),
    }
}

/// A registry that is spoken to in plain HTTP, as `docker info` lists it.
fn in_plain(registry: &str) -> (String, IndexInfo) {
    let info = IndexInfo {
        name: Some(registry.to_owned()),
        mirrors: Some(Vec::new()),
        secure: Some(false),
        official: Some(false),
    };
    (registry.to_owned(), info)
}
