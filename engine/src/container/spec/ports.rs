//! Ports that a container publishes.

use std::net::IpAddr;

use bollard_stubs::models::{ContainerConfig, HostConfig, PortBinding};

use super::SpecError;

/// Transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of the container, `80/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerPort {
    /// The number.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl std::fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol.as_str())
    }
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// In the container.
    pub container: ContainerPort,
    /// Address of the host; none for all.
    pub host_address: Option<IpAddr>,
    /// First port of the host to try; 0 for any.
    pub first: u16,
    /// Last port to try: a range is one choice for one container port.
    pub last: u16,
}

/// `80`, `80/tcp`.
pub(super) fn parse_port(text: &str) -> Result<ContainerPort, SpecError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => return Err(SpecError::Unsupported("publishing SCTP ports".to_owned())),
        other => return Err(SpecError::Invalid(format!("Invalid proto: {other}"))),
    };
    let port = number.parse().ok().filter(|port| *port != 0);
    let port =
        port.ok_or_else(|| SpecError::Invalid(format!("invalid port specification: \"{text}\"")))?;
    Ok(ContainerPort { port, protocol })
}

/// The ports that are exposed. Ranges (`8000-8010/tcp`) come from old image builders.
pub(super) fn exposed(config: &ContainerConfig) -> Result<Vec<ContainerPort>, SpecError> {
    let mut ports = Vec::new();
    for text in config.exposed_ports.iter().flatten() {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let first = parse_port(&format!("{first}/{protocol}"))?;
        let last = parse_port(&format!("{last}/{protocol}"))?;
        ports.extend((first.port..=last.port).map(|port| ContainerPort { port, ..first }));
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// What is published: the bindings, and with `-P` whatever else is exposed.
pub(super) fn published(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<Published>, SpecError> {
    let mut all = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let container = parse_port(port)?;
        // One that says nothing is meant where there is none.
        let bindings = bindings.as_deref().filter(|bindings| !bindings.is_empty());
        for binding in bindings.unwrap_or(&[PortBinding::default()]) {
            let host_address = parse_address(binding.host_ip.as_deref().unwrap_or_default())?;
            let (first, last) = parse_range(binding.host_port.as_deref().unwrap_or_default())?;
            all.push(Published { container, host_address, first, last });
        }
    }
    if host.publish_all_ports.unwrap_or_default() {
        for container in exposed(config)? {
            if !all.iter().any(|port| port.container == container) {
                all.push(Published { container, host_address: None, first: 0, last: 0 });
            }
        }
    }
    all.sort_by_key(|port| (port.container, port.first));
    Ok(all)
}

fn parse_address(text: &str) -> Result<Option<IpAddr>, SpecError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => Err(SpecError::Invalid(format!("invalid IP address: {text}"))),
    }
}

fn parse_range(text: &str) -> Result<(u16, u16), SpecError> {
    let invalid = || SpecError::Invalid(format!("invalid port specification: \"{text}\""));
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) =
        (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
    if first > last { Err(invalid()) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(json: &str) -> HostConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn bindings_are_read() {
        let host = host(
            r#"{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"53/udp":[{}]}}"#,
        );
        let ports = published(&ContainerConfig::default(), &host).unwrap();
        let text: Vec<_> = ports.iter().map(|port| port.container.to_string()).collect();
        assert_eq!(text, ["53/udp", "80/tcp"]);
        assert_eq!((ports[0].first, ports[0].host_address), (0, None));
        assert_eq!((ports[1].first, ports[1].last), (8080, 8080));
        assert_eq!(ports[1].host_address, Some("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn port_without_a_binding_gets_any_of_the_host() {
        let host = host(r#"{"PortBindings":{"80/tcp":[],"81/tcp":null}}"#);
        let ports = published(&ContainerConfig::default(), &host).unwrap();
        let found: Vec<_> = ports.iter().map(|port| (port.container.port, port.first)).collect();
        assert_eq!(found, [(80, 0), (81, 0)]);
    }

    #[test]
    fn all_exposed_ports_are_published_when_asked() {
        let config = ContainerConfig {
            exposed_ports: Some(vec!["80/tcp".into(), "90-91/tcp".into()]),
            ..Default::default()
        };
        let ports = published(&config, &host(r#"{"PublishAllPorts":true}"#)).unwrap();
        assert_eq!(ports.iter().map(|port| port.container.port).collect::<Vec<_>>(), [80, 90, 91]);
    }

    #[test]
    fn wrong_ports_are_refused() {
        for binding in [
            r#"{"0/tcp":[{}]}"#,
            r#"{"80/foo":[{}]}"#,
            r#"{"80":[{"HostPort":"70000"}]}"#,
            r#"{"80":[{"HostPort":"9-8"}]}"#,
            r#"{"80":[{"HostIp":"here"}]}"#,
        ] {
            let host = host(&format!(r#"{{"PortBindings":{binding}}}"#));
            assert!(published(&ContainerConfig::default(), &host).is_err(), "{binding}");
        }
    }
}
