//! The host's own name servers (resolv.conf(5)).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

/// More of them than anyone asks.
const MAX_SERVERS: usize = 3;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The file, read again whenever it has changed.
#[derive(Debug)]
pub(crate) struct ResolvConf {
    path: PathBuf,
    read: Option<SystemTime>,
    servers: Vec<IpAddr>,
}

impl ResolvConf {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: None, servers: Vec::new() }
    }

    /// The name servers in their order. Without a file or without any in it, the host's own: that
    /// is what the C library asks then.
    pub(crate) fn servers(&mut self) -> &[IpAddr] {
        let metadata = std::fs::metadata(&self.path).ok().filter(|file| file.len() <= MAX_FILE);
        let changed = metadata.and_then(|file| file.modified().ok());
        if changed.is_none() || changed != self.read {
            self.read = changed;
            let text = changed.and_then(|_| std::fs::read_to_string(&self.path).ok());
            self.servers = parse(&text.unwrap_or_default());
        }
        &self.servers
    }
}

fn parse(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A zone, as of `fe80::1%eth0`, names an interface: such servers are passed over.
        address.parse().ok()
    };
    let mut servers: Vec<IpAddr> = text.lines().filter_map(server).take(MAX_SERVERS).collect();
    if servers.is_empty() {
        servers.push(IpAddr::from([127, 0, 0, 1]));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_in_order_and_others_passed_over() {
        let text = "# nameserver 1.1.1.1\nsearch a b\nnameserver 10.0.0.1 \nnameserver\tfd00::1\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.2\nnameserver 10.0.0.3";
        let expected: [IpAddr; 3] =
            ["10.0.0.1", "fd00::1", "10.0.0.2"].map(|text| text.parse().unwrap());
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn changed_file_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut conf = ResolvConf::new(file.path().to_owned());
        assert_eq!(conf.servers(), [IpAddr::from([127, 0, 0, 1])]);
        std::fs::write(file.path(), "nameserver 10.9.8.7\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        file.as_file().set_modified(later).unwrap();
        assert_eq!(conf.servers(), [IpAddr::from([10, 9, 8, 7])]);
    }
}
