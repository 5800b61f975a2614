//! The machine that the engine runs on.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What does not change while it is up.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) kernel: String,
    pub(super) system: String,
    pub(super) system_version: String,
    pub(super) processors: usize,
    /// Bytes.
    pub(super) memory: u64,
}

impl Host {
    pub(super) fn look() -> Self {
        let uname = rustix::system::uname();
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let info = rustix::system::sysinfo();
        Self {
            name: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            system: field(&release, "PRETTY_NAME").unwrap_or("Linux").to_owned(),
            system_version: field(&release, "VERSION_ID").unwrap_or_default().to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory: info.totalram.saturating_mul(u64::from(info.mem_unit)),
        }
    }
}

/// A value of os-release(5).
fn field<'a>(release: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = release.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']))
}

/// The time, as the API writes it.
pub(super) fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_os_release_lose_their_quotes() {
        let release = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=12\n";
        assert_eq!(field(release, "PRETTY_NAME"), Some("Debian GNU/Linux 12"));
        assert_eq!(field(release, "VERSION_ID"), Some("12"));
        assert_eq!(field(release, "VERSION"), None);
    }
}
