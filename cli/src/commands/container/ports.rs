//! `--publish` and `--expose`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use bollard_stubs::models::{PortBinding, PortMap};

/// A port cannot be published as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    #[error("--publish {0}: expected [[ADDRESS:]PORT:]CONTAINER-PORT[/PROTOCOL]")]
    Form(String),
    #[error("--publish {text}: {part:?} is no port or range of ports")]
    Port { text: String, part: String },
    #[error("--publish {text}: {part:?} is no protocol: expected tcp or udp")]
    Protocol { text: String, part: String },
    #[error("--publish {text}: {part:?} is no address")]
    Address { text: String, part: String },
    #[error("--publish {0}: the ranges have different lengths")]
    Ranges(String),
}

/// What `--publish` flags say: ports of the container and where each is found on the host.
pub(crate) fn bindings(flags: &[String]) -> Result<PortMap, PortError> {
    let mut map: PortMap = HashMap::new();
    for flag in flags {
        for (port, binding) in publish(flag)? {
            map.entry(port).or_default().get_or_insert_default().push(binding);
        }
    }
    Ok(map)
}

/// The ports that `--expose` names, as `80/tcp`.
pub(crate) fn exposed(flags: &[String]) -> Result<Vec<String>, PortError> {
    let mut ports = Vec::new();
    for flag in flags {
        let (range, protocol) = with_protocol(flag, flag)?;
        ports.extend(self::range(flag, range)?.map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

fn publish(text: &str) -> Result<Vec<(String, PortBinding)>, PortError> {
    let (rest, protocol) = with_protocol(text, text)?;
    let form = || PortError::Form(text.to_owned());
    let (address, host, container) = match rest.rsplit_once(':') {
        None => ("", "", rest),
        Some((before, container)) => match before.rsplit_once(':') {
            None => ("", before, container),
            Some((address, host)) => (address, host, container),
        },
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(PortError::Address { text: text.to_owned(), part: address.to_owned() });
    }
    if container.is_empty() {
        return Err(form());
    }
    let container = range(text, container)?;
    let hosts: Vec<String> = if host.is_empty() {
        container.clone().map(|_| String::new()).collect()
    } else {
        range(text, host)?.map(|port| port.to_string()).collect()
    };
    let binding =
        |host_port| PortBinding { host_ip: Some(address.to_owned()), host_port: Some(host_port) };
    // A range of host ports for one port of the container: any free one of them.
    if container.clone().count() == 1 && hosts.len() > 1 {
        let port = format!("{}/{protocol}", container.start());
        return Ok(vec![(port, binding(host.to_owned()))]);
    }
    if container.clone().count() != hosts.len() {
        return Err(PortError::Ranges(text.to_owned()));
    }
    let pairs = container.zip(hosts);
    Ok(pairs.map(|(port, host)| (format!("{port}/{protocol}"), binding(host))).collect())
}

fn with_protocol<'a>(text: &str, port: &'a str) -> Result<(&'a str, &'a str), PortError> {
    match port.rsplit_once('/') {
        None => Ok((port, "tcp")),
        Some((port, protocol @ ("tcp" | "udp"))) => Ok((port, protocol)),
        Some((_, part)) => {
            Err(PortError::Protocol { text: text.to_owned(), part: part.to_owned() })
        }
    }
}

fn range(text: &str, part: &str) -> Result<RangeInclusive<u16>, PortError> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let wrong = || PortError::Port { text: text.to_owned(), part: part.to_owned() };
    let first: u16 = first.parse().map_err(|_| wrong())?;
    let last: u16 = last.parse().map_err(|_| wrong())?;
    if first == 0 || last < first {
        return Err(wrong());
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String, String) {
        let mut all = publish(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        let (port, binding) = all.remove(0);
        (port, binding.host_ip.unwrap(), binding.host_port.unwrap())
    }

    fn strings(a: &str, b: &str, c: &str) -> (String, String, String) {
        (a.to_owned(), b.to_owned(), c.to_owned())
    }

    #[test]
    fn forms_of_docker_are_understood() {
        assert_eq!(one("80"), strings("80/tcp", "", ""));
        assert_eq!(one("8080:80"), strings("80/tcp", "", "8080"));
        assert_eq!(one("127.0.0.1:8080:80/udp"), strings("80/udp", "127.0.0.1", "8080"));
        assert_eq!(one("127.0.0.1::80"), strings("80/tcp", "127.0.0.1", ""));
        assert_eq!(one("[::1]:8080:80"), strings("80/tcp", "::1", "8080"));
        assert_eq!(one("8000-8010:80"), strings("80/tcp", "", "8000-8010"));
    }

    #[test]
    fn ranges_pair_up() {
        let all = publish("8000-8001:80-81").unwrap();
        let ports: Vec<_> = all.into_iter().map(|(p, b)| (p, b.host_port.unwrap())).collect();
        let wanted = [("80/tcp", "8000"), ("81/tcp", "8001")];
        assert_eq!(ports, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn nonsense_is_refused_with_the_flag() {
        for wrong in ["", "x", "0", "80/sctp", "1:2:3", "8000-8002:80-81", "70000", "9-8"] {
            let error = publish(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("--publish {wrong}")), "{error}");
        }
    }
}
