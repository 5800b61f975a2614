//! `--volume` and `--mount`.

use std::path;

use anyhow::{Context, bail};
use bollard_stubs::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountTmpfsOptions,
    MountType, MountVolumeOptions,
};

use crate::units;

/// What `--volume` flags say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Volumes {
    /// `source:target[:options]`, sources being names or absolute paths.
    pub(crate) binds: Vec<String>,
    /// Targets of volumes without names.
    pub(crate) anonymous: Vec<String>,
}

/// Takes `--volume` flags apart.
pub(crate) fn volumes(flags: &[String]) -> anyhow::Result<Volumes> {
    let mut volumes = Volumes::default();
    for flag in flags {
        match flag.split_once(':') {
            None if flag.starts_with('/') => volumes.anonymous.push(flag.clone()),
            Some((source, rest)) if !source.is_empty() && rest.starts_with('/') => {
                volumes.binds.push(format!("{}:{rest}", source_of(source)?));
            }
            _ => {
                bail!("--volume {flag}: expected [SOURCE:]TARGET[:OPTIONS] with an absolute target")
            }
        }
    }
    Ok(volumes)
}

/// A name stays; a path becomes absolute.
fn source_of(source: &str) -> anyhow::Result<String> {
    if let Some(rest) = source.strip_prefix('~') {
        let home = std::env::var("HOME").context("~ is used, and HOME is not set")?;
        return Ok(format!("{home}{rest}"));
    }
    if source.starts_with('/') || !source.starts_with('.') {
        return Ok(source.to_owned());
    }
    let absolute = path::absolute(source).with_context(|| format!("{source} is no path"))?;
    Ok(absolute.display().to_string())
}

/// Takes a `--mount` flag apart.
pub(crate) fn mount(flag: &str) -> anyhow::Result<Mount> {
    let mut mount = Mount { typ: Some(MountType::VOLUME), ..Mount::default() };
    for field in flag.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, "true"));
        set(&mut mount, name, value).with_context(|| format!("--mount {flag}"))?;
    }
    if mount.target.is_none() {
        bail!("--mount {flag}: no target is given");
    }
    if mount.typ == Some(MountType::BIND) {
        let source = mount.source.take();
        let source = source.with_context(|| format!("--mount {flag}: no source is given"))?;
        let absolute = path::absolute(source_of(&source)?)?;
        mount.source = Some(absolute.display().to_string());
    }
    Ok(mount)
}

fn set(mount: &mut Mount, name: &str, value: &str) -> anyhow::Result<()> {
    let text = || Some(value.to_owned());
    match name {
        "type" => {
            mount.typ = Some(match value {
                "bind" => MountType::BIND,
                "volume" => MountType::VOLUME,
                "tmpfs" => MountType::TMPFS,
                other => bail!("type {other} is none of bind, volume and tmpfs"),
            });
        }
        "source" | "src" => mount.source = text(),
        "target" | "dst" | "destination" => mount.target = text(),
        "readonly" | "ro" => mount.read_only = Some(truth(value)?),
        "consistency" => mount.consistency = text(),
        "bind-propagation" => {
            bind(mount).propagation = Some(match value {
                "private" => Propagation::PRIVATE,
                "rprivate" => Propagation::RPRIVATE,
                "shared" => Propagation::SHARED,
                "rshared" => Propagation::RSHARED,
                "slave" => Propagation::SLAVE,
                "rslave" => Propagation::RSLAVE,
                other => bail!("{other} is no propagation"),
            });
        }
        "bind-recursive" => match value {
            "enabled" | "readonly" => {}
            "writable" => bind(mount).read_only_non_recursive = Some(true),
            "disabled" => bind(mount).non_recursive = Some(true),
            other => bail!("bind-recursive {other}: expected enabled, disabled, or readonly"),
        },
        "bind-create-src" => {
            bind(mount).create_mountpoint = Some(truth(value)?);
        }
        "volume-nocopy" => volume(mount).no_copy = Some(truth(value)?),
        "volume-subpath" => volume(mount).subpath = text(),
        "volume-label" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            let labels = volume(mount).labels.get_or_insert_default();
            labels.insert(name.to_owned(), value.to_owned());
        }
        "tmpfs-size" => tmpfs(mount).size_bytes = Some(units::size(value)?),
        "tmpfs-mode" => {
            let mode = i64::from_str_radix(value, 8);
            tmpfs(mount).mode = Some(mode.with_context(|| format!("{value} is no mode"))?);
        }
        other => bail!("{other} is not known here"),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut MountBindOptions {
    mount.bind_options.get_or_insert_with(MountBindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut MountVolumeOptions {
    mount.volume_options.get_or_insert_with(MountVolumeOptions::default)
}

fn tmpfs(mount: &mut Mount) -> &mut MountTmpfsOptions {
    mount.tmpfs_options.get_or_insert_with(MountTmpfsOptions::default)
}

fn truth(value: &str) -> anyhow::Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => bail!("{other} is neither true nor false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_names_folders_or_anonymous() {
        let flags = ["data:/srv:ro", "/etc:/host", "/var/lib"].map(ToOwned::to_owned);
        let wanted = Volumes {
            binds: vec!["data:/srv:ro".to_owned(), "/etc:/host".to_owned()],
            anonymous: vec!["/var/lib".to_owned()],
        };
        assert_eq!(volumes(&flags).unwrap(), wanted);
    }

    #[test]
    fn relative_folders_become_absolute() {
        let found = volumes(&["./x:/srv".to_owned()]).unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(found.binds, [format!("{}/x:/srv", here.display())]);
    }

    #[test]
    fn target_must_be_absolute() {
        for wrong in ["data", "data:srv", ":/srv"] {
            let error = volumes(&[wrong.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("--volume {wrong}")), "{error}");
        }
    }

    #[test]
    fn mount_has_its_fields() {
        let found = mount("type=tmpfs,dst=/run,tmpfs-size=1m,tmpfs-mode=1770,ro").unwrap();
        assert_eq!((found.typ, found.read_only), (Some(MountType::TMPFS), Some(true)));
        let options = found.tmpfs_options.unwrap();
        assert_eq!((options.size_bytes, options.mode), (Some(1 << 20), Some(0o1770)));
    }

    #[test]
    fn words_about_binds_reach_the_engine() {
        let options = |words: &str| mount(&format!("type=bind,src=/x,dst=/y,{words}")).unwrap();
        let asked =
            options("bind-recursive=disabled,bind-propagation=rshared").bind_options.unwrap();
        assert_eq!(
            (asked.non_recursive, asked.propagation),
            (Some(true), Some(Propagation::RSHARED))
        );
        assert_eq!(options("bind-recursive=enabled").bind_options, None);
        assert!(mount("type=bind,src=/x,dst=/y,bind-recursive=no").is_err());
    }

    #[test]
    fn mount_without_target_or_with_unknown_field_is_refused() {
        assert!(mount("type=volume,source=x").unwrap_err().to_string().contains("no target"));
        let error = format!("{:#}", mount("type=bind,source=/x,target=/y,colour=red").unwrap_err());
        assert!(error.contains("colour"), "{error}");
    }
}
