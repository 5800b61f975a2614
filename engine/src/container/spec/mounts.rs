//! File systems that a container is to have: `Binds`, `Mounts`, `Tmpfs` and the image's `Volumes`.

use std::collections::HashMap;

use bollard_stubs::models::{ContainerConfig, HostConfig, Mount, MountType};

use super::SpecError;

/// A file system asked for. Which volume, where none is named, is decided when the container is
/// created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRequest {
    /// Absolute path in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// What is to be there.
    pub source: MountSource,
}

/// Where a file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A folder or file of the host.
    Bind {
        /// Its absolute path.
        path: String,
        /// Make a folder where there is nothing (`-v` does, `--mount` does not).
        create: bool,
    },
    /// A volume.
    Volume {
        /// Its name; none for an anonymous one.
        name: Option<String>,
        /// Leave out the image's content.
        no_copy: bool,
        /// A folder of the volume to use instead of its root.
        subpath: String,
        /// Driver; empty for the default one.
        driver: String,
        /// Options of the driver.
        options: HashMap<String, String>,
        /// Labels, if it is made.
        labels: HashMap<String, String>,
    },
    /// Memory.
    Tmpfs {
        /// Options of mount(8).
        options: String,
    },
}

/// Everything asked for, one a target; later kinds do not replace earlier ones.
pub(super) fn read(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<MountRequest>, SpecError> {
    let mut all: Vec<MountRequest> = Vec::new();
    for bind in host.binds.iter().flatten() {
        add(&mut all, parse_bind(bind)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        add(&mut all, parse_mount(mount)?)?;
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        let source = MountSource::Tmpfs { options: tmpfs_options(options)? };
        add(&mut all, MountRequest { target: absolute(target)?, read_only: false, source })?;
    }
    for target in config.volumes.iter().flatten() {
        let target = absolute(target)?;
        if !all.iter().any(|mount| mount.target == target) {
            let source = anonymous();
            all.push(MountRequest { target, read_only: false, source });
        }
    }
    // Parents come before what is mounted in them.
    all.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(all)
}

fn add(all: &mut Vec<MountRequest>, mount: MountRequest) -> Result<(), SpecError> {
    if all.iter().any(|other| other.target == mount.target) {
        return Err(SpecError::Invalid(format!("Duplicate mount point: {}", mount.target)));
    }
    all.push(mount);
    Ok(())
}

fn anonymous() -> MountSource {
    MountSource::Volume {
        name: None,
        no_copy: false,
        subpath: String::new(),
        driver: String::new(),
        options: HashMap::new(),
        labels: HashMap::new(),
    }
}

/// An absolute path without `.`, `..`, doubled and trailing slashes. `/` itself is refused.
pub(super) fn absolute(path: &str) -> Result<String, SpecError> {
    if !path.starts_with('/') {
        let text = format!("invalid mount path: '{path}' mount path must be absolute");
        return Err(SpecError::Invalid(text));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() || path.contains('\0') {
        let text = format!("invalid specification: destination can't be '{path}'");
        return Err(SpecError::Invalid(text));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// `SOURCE:TARGET[:OPTIONS]` or `TARGET`.
fn parse_bind(text: &str) -> Result<MountRequest, SpecError> {
    let invalid = || SpecError::Invalid(format!("invalid volume specification: '{text}'"));
    let mut parts = text.split(':');
    let (source, target, options) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(target), None, ..) => (None, target, ""),
        (Some(source), Some(target), options, None) => {
            (Some(source), target, options.unwrap_or_default())
        }
        _ => return Err(invalid()),
    };
    let mut read_only = false;
    let mut no_copy = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "nocopy" => no_copy = true,
            // SELinux labels and propagation have no meaning across a machine's border.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "private" | "rprivate"
            | "shared" | "rshared" | "slave" | "rslave" => {}
            _ => return Err(invalid()),
        }
    }
    let source = match source {
        None => anonymous(),
        Some(path) if path.starts_with('/') => {
            MountSource::Bind { path: path.to_owned(), create: true }
        }
        Some(name) => {
            let mut source = anonymous();
            if let MountSource::Volume { name: slot, no_copy: copy, .. } = &mut source {
                *slot = Some(volume_name(name)?);
                *copy = no_copy;
            }
            source
        }
    };
    Ok(MountRequest { target: absolute(target)?, read_only, source })
}

fn volume_name(name: &str) -> Result<String, SpecError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(SpecError::Invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
         absolute path"
    )))
}

fn parse_mount(mount: &Mount) -> Result<MountRequest, SpecError> {
    let target = absolute(mount.target.as_deref().unwrap_or_default())?;
    let read_only = mount.read_only.unwrap_or_default();
    let given = mount.source.clone().unwrap_or_default();
    let source = match mount.typ.unwrap_or(MountType::VOLUME) {
        MountType::BIND => {
            if !given.starts_with('/') {
                let text = format!(
                    "invalid mount config for type \"bind\": invalid mount path: '{given}' mount path must be absolute"
                );
                return Err(SpecError::Invalid(text));
            }
            let options = mount.bind_options.as_ref();
            let create = options.and_then(|options| options.create_mountpoint).unwrap_or_default();
            MountSource::Bind { path: given, create }
        }
        MountType::VOLUME => {
            let options = mount.volume_options.clone().unwrap_or_default();
            let driver = options.driver_config.unwrap_or_default();
            MountSource::Volume {
                name: if given.is_empty() { None } else { Some(volume_name(&given)?) },
                no_copy: options.no_copy.unwrap_or_default(),
                subpath: options.subpath.unwrap_or_default(),
                driver: driver.name.unwrap_or_default(),
                options: driver.options.unwrap_or_default(),
                labels: options.labels.unwrap_or_default(),
            }
        }
        MountType::TMPFS => {
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mut words = Vec::new();
            if let Some(bytes) = options.size_bytes.filter(|bytes| *bytes > 0) {
                words.push(format!("size={bytes}"));
            }
            if let Some(mode) = options.mode.filter(|mode| *mode > 0) {
                words.push(format!("mode={mode:o}"));
            }
            words.extend(options.options.iter().flatten().map(|pair| pair.join("=")));
            MountSource::Tmpfs { options: tmpfs_options(&words.join(","))? }
        }
        other => return Err(SpecError::Unsupported(format!("mounts of type \"{other}\""))),
    };
    Ok(MountRequest { target, read_only, source })
}

/// Docker's defaults before what is given; the kernel refuses words it does not know.
fn tmpfs_options(given: &str) -> Result<String, SpecError> {
    if given.contains(char::is_control) {
        return Err(SpecError::Invalid(format!("invalid tmpfs option {given:?}")));
    }
    let defaults = "noexec,nosuid,nodev";
    Ok(if given.is_empty() { defaults.to_owned() } else { format!("{defaults},{given}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> MountRequest {
        parse_bind(text).unwrap()
    }

    #[test]
    fn a_path_before_the_colon_is_a_folder_of_the_host() {
        let mount = bind("/srv/www:/var//www/:ro");
        assert_eq!(mount.target, "/var/www");
        assert!(mount.read_only);
        assert_eq!(mount.source, MountSource::Bind { path: "/srv/www".into(), create: true });
    }

    #[test]
    fn a_word_before_the_colon_is_a_volume() {
        let MountSource::Volume { name, .. } = bind("data:/data").source else { panic!() };
        assert_eq!(name.as_deref(), Some("data"));
    }

    #[test]
    fn a_target_alone_gets_an_anonymous_volume() {
        assert_eq!(bind("/data").source, anonymous());
    }

    #[test]
    fn wrong_binds_are_refused() {
        for text in ["", "a:b", "/a:/", "/a:/b:bogus", "/a:/b:ro:x", "../x:/b", "/a:b", "/a:/b/.."]
        {
            assert!(parse_bind(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn one_target_twice_is_refused() {
        let binds = Some(vec!["a:/data".to_owned(), "b:/data/".to_owned()]);
        let host = HostConfig { binds, ..Default::default() };
        let error = read(&ContainerConfig::default(), &host).unwrap_err();
        assert_eq!(error.to_string(), "Duplicate mount point: /data");
    }

    #[test]
    fn an_image_s_volume_yields_to_a_mount_at_its_place() {
        let config = ContainerConfig { volumes: Some(vec!["/data".into()]), ..Default::default() };
        let host = HostConfig { binds: Some(vec!["mine:/data".into()]), ..Default::default() };
        assert_eq!(read(&config, &host).unwrap(), [bind("mine:/data")]);
    }

    #[test]
    fn a_tmpfs_has_its_size_and_mode_in_octal() {
        let mount: Mount = serde_json::from_str(
            r#"{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1024,"Mode":1023}}"#,
        )
        .unwrap();
        let options = "noexec,nosuid,nodev,size=1024,mode=1777".to_owned();
        assert_eq!(parse_mount(&mount).unwrap().source, MountSource::Tmpfs { options });
    }
}
