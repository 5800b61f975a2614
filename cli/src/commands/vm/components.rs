//! `--disk path=/a.img,readonly`: devices written as lists of keys and values.

use std::str::FromStr;

use anyhow::{Context, bail};
use vm_spec::{
    BalloonSpec, CacheMode, Component, ComponentId, DiskEngine, DiskFileSpec, DiskFormat, DiskSpec,
    Mib, NetSpec, Slot, TapSpec, VmSpec, VsockSpec, VsockUnixSpec,
};

/// The keys and values of one option. What is not taken in the end is an error.
struct Keys<'a> {
    option: &'static str,
    text: &'a str,
    pairs: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Keys<'a> {
    fn new(option: &'static str, text: &'a str) -> anyhow::Result<Self> {
        let mut pairs: Vec<(&str, Option<&str>)> = Vec::new();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (part, None),
            };
            if pairs.iter().any(|(k, _)| *k == key) {
                bail!("{option} {text}: {key} is given twice");
            }
            pairs.push((key, value));
        }
        Ok(Self { option, text, pairs })
    }

    fn take(&mut self, key: &str) -> Option<Option<&'a str>> {
        let at = self.pairs.iter().position(|(k, _)| *k == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// The value of `key`, if it is there.
    fn value<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &mut self,
        key: &str,
    ) -> anyhow::Result<Option<T>> {
        let (option, text) = (self.option, self.text);
        match self.take(key) {
            None => Ok(None),
            Some(None) => bail!("{option} {text}: {key} needs a value"),
            Some(Some(value)) => {
                value.parse().map(Some).with_context(|| format!("{option} {text}: {key}={value}"))
            }
        }
    }

    fn required(&mut self, key: &str) -> anyhow::Result<String> {
        let value = self.value(key)?;
        value.with_context(|| format!("{} {}: {key}=… is missing", self.option, self.text))
    }

    /// Whether `key` is there: alone, or as `key=on` or `key=off`.
    fn flag(&mut self, key: &str) -> anyhow::Result<bool> {
        match self.take(key) {
            None | Some(Some("off" | "false")) => Ok(false),
            Some(None | Some("on" | "true")) => Ok(true),
            Some(Some(value)) => {
                bail!("{} {}: {key}={value}, expected on or off", self.option, self.text)
            }
        }
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> anyhow::Result<Option<T>> {
        let Some(value) = self.value::<String>(key)? else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        found.map(Some).with_context(|| {
            let names = names.join(" or ");
            format!("{} {}: {key}={value}, expected {names}", self.option, self.text)
        })
    }

    fn slot(&mut self) -> anyhow::Result<Option<Slot>> {
        let number = self.value::<u8>("slot")?;
        Ok(number.map(Slot::try_from).transpose()?)
    }

    fn finish(self) -> anyhow::Result<()> {
        match self.pairs.first() {
            Some((key, _)) => bail!("{} {}: unknown key {key}", self.option, self.text),
            None => Ok(()),
        }
    }
}

/// Adds a device and its backend under the ids `ID` and `ID-backend`.
fn add_pair(
    spec: &mut VmSpec,
    id: &str,
    make: impl FnOnce(ComponentId) -> (Component, Component),
) -> anyhow::Result<()> {
    let device = ComponentId::from_str(id)?;
    let backend = ComponentId::from_str(&format!("{id}_backend"))?;
    if spec.components.contains_key(&device) || spec.components.contains_key(&backend) {
        bail!("two devices are called {id}");
    }
    let (first, second) = make(backend.clone());
    spec.components.insert(device, first);
    spec.components.insert(backend, second);
    Ok(())
}

/// `--disk`.
pub(super) fn add_disk(spec: &mut VmSpec, number: usize, text: &str) -> anyhow::Result<()> {
    let mut keys = Keys::new("--disk", text)?;
    let path = keys.required("path")?;
    let id = keys.value("id")?.unwrap_or_else(|| format!("disk{number}"));
    let mut disk = DiskSpec::new(ComponentId::from_str(&id)?);
    disk.root = keys.flag("root")?;
    disk.read_only = keys.flag("readonly")?;
    disk.discard = keys.flag("discard")?;
    disk.serial = keys.value("serial")?;
    disk.slot = keys.slot()?;
    if let Some(queues) = keys.value("queues")? {
        disk.queues = queues;
    }
    if let Some(size) = keys.value("queue-size")? {
        disk.queue_size = size;
    }
    let caches = [("writeback", CacheMode::Writeback), ("unsafe", CacheMode::Unsafe)];
    // A person's disk is worth its flushes.
    disk.cache = keys.choice("cache", &caches)?.unwrap_or(CacheMode::Writeback);
    let format = keys.choice("format", &[("raw", DiskFormat::Raw)])?.unwrap_or_default();
    let engines = [("sync", DiskEngine::Sync), ("async", DiskEngine::Async)];
    let engine = keys.choice("engine", &engines)?.unwrap_or_default();
    keys.finish()?;
    add_pair(spec, &id, |backend| {
        disk.backend = backend;
        let file = DiskFileSpec { path: path.into(), format, engine };
        (Component::Disk(disk), Component::DiskFile(file))
    })
}

/// `--net`.
pub(super) fn add_net(spec: &mut VmSpec, number: usize, text: &str) -> anyhow::Result<()> {
    let mut keys = Keys::new("--net", text)?;
    let tap = keys.required("tap")?;
    let id = keys.value("id")?.unwrap_or_else(|| format!("net{number}"));
    let mut net = NetSpec::new(ComponentId::from_str(&id)?);
    net.mac = keys.value("mac")?;
    net.mtu = keys.value("mtu")?;
    net.slot = keys.slot()?;
    if let Some(pairs) = keys.value("queue-pairs")? {
        net.queue_pairs = pairs;
    }
    if let Some(size) = keys.value("queue-size")? {
        net.queue_size = size;
    }
    keys.finish()?;
    add_pair(spec, &id, |backend| {
        net.backend = backend;
        (Component::Net(net), Component::Tap(TapSpec { name: tap }))
    })
}

/// `--vsock`.
pub(super) fn add_vsock(spec: &mut VmSpec, text: &str) -> anyhow::Result<()> {
    let mut keys = Keys::new("--vsock", text)?;
    let cid = keys.value("cid")?.unwrap_or(3);
    let socket = keys.required("socket")?;
    let slot = keys.slot()?;
    keys.finish()?;
    add_pair(spec, "vsock", |backend| {
        let unix = VsockUnixSpec { path: socket.into() };
        (Component::Vsock(VsockSpec { backend, slot, cid }), Component::VsockUnix(unix))
    })
}

/// `--balloon`.
pub(super) fn add_balloon(spec: &mut VmSpec, text: &str) -> anyhow::Result<()> {
    let mut keys = Keys::new("--balloon", text)?;
    let mut balloon = BalloonSpec::default();
    if let Some(size) = keys.value::<String>("size")? {
        balloon.target = parse_size(&size)?;
    }
    balloon.deflate_on_oom = keys.flag("deflate-on-oom")?;
    balloon.free_page_reporting = keys.flag("reporting")?;
    if let Some(seconds) = keys.value("stats-interval")? {
        balloon.stats_interval_s = seconds;
    }
    balloon.slot = keys.slot()?;
    keys.finish()?;
    let id = ComponentId::from_str("balloon")?;
    if spec.components.insert(id, Component::Balloon(balloon)).is_some() {
        bail!("--balloon: the configuration file has a component called balloon");
    }
    Ok(())
}

/// `512M`, `2G`, `300` (MiB): a whole number of MiB.
pub(super) fn parse_size(text: &str) -> anyhow::Result<Mib> {
    let expected = || format!("{text:?} is not a size such as 512M or 2G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().with_context(expected)?;
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let mib = match unit.as_str() {
        "" | "m" | "mb" | "mib" => Some(number),
        "g" | "gb" | "gib" => number.checked_mul(1 << 10),
        "t" | "tb" | "tib" => number.checked_mul(1 << 20),
        "k" | "kb" | "kib" => number.is_multiple_of(1 << 10).then_some(number >> 10),
        _ => None,
    };
    mib.map(Mib).with_context(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> VmSpec {
        serde_json::from_str(r#"{"boot": {"kernel": "/k"}}"#).unwrap()
    }

    #[test]
    fn disk_option_becomes_a_device_and_its_backend() {
        let mut spec = empty();
        add_disk(&mut spec, 0, "path=/a.img,readonly,engine=async,serial=S1").unwrap();
        let Component::Disk(disk) = &spec.components[&"disk0".parse().unwrap()] else { panic!() };
        assert!(disk.read_only && !disk.root);
        assert_eq!(disk.serial.as_deref(), Some("S1"));
        let Component::DiskFile(file) = &spec.components[&disk.backend] else { panic!() };
        assert_eq!((file.path.to_str(), file.engine), (Some("/a.img"), DiskEngine::Async));
        vm_spec::Machine::try_from(spec).unwrap();
    }

    #[test]
    fn unknown_missing_and_repeated_keys_are_named() {
        let message = |text| add_disk(&mut empty(), 0, text).unwrap_err().to_string();
        assert_eq!(message("path=/a,colour=red"), "--disk path=/a,colour=red: unknown key colour");
        assert_eq!(message("readonly"), "--disk readonly: path=… is missing");
        assert_eq!(message("path=/a,path=/b"), "--disk path=/a,path=/b: path is given twice");
        assert_eq!(
            message("path=/a,cache=maybe"),
            "--disk path=/a,cache=maybe: cache=maybe, expected writeback or unsafe"
        );
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("512M").unwrap(), Mib(512));
        assert_eq!(parse_size("2g").unwrap(), Mib(2048));
        assert_eq!(parse_size("300").unwrap(), Mib(300));
        assert_eq!(parse_size("2048k").unwrap(), Mib(2));
        for bad in ["", "G", "-1", "1.5G", "12X", "1k", "99999999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
