//! A container's place on a network as Docker's API shows it.

use std::net::IpAddr;

use bollard_stubs::models::EndpointSettings;

use super::members::Joined;

/// What `inspect` shows of a running container's place; `asked` is what the user asked for.
#[must_use]
pub fn endpoint_settings(joined: &Joined, asked: &EndpointSettings) -> EndpointSettings {
    let Joined { network, attachment } = joined;
    let address = |ipv6: bool| attachment.addresses.iter().find(|a| a.is_ipv6() == ipv6);
    let text = |address: Option<&IpAddr>| Some(address.map(IpAddr::to_string).unwrap_or_default());
    let gateway = |ipv6| network.subnet(ipv6).map(|subnet| &subnet.gateway);
    let prefix = |ipv6| network.subnet(ipv6).map_or(0, |subnet| i64::from(subnet.subnet.prefix()));
    let mac = if network.has_cards() { attachment.mac.to_string() } else { String::new() };
    EndpointSettings {
        network_id: Some(network.id.clone()),
        endpoint_id: Some(attachment.endpoint.clone()),
        mac_address: Some(mac),
        gateway: text(gateway(false)),
        ip_address: text(address(false)),
        ip_prefix_len: Some(prefix(false)),
        ipv6_gateway: text(gateway(true)),
        global_ipv6_address: text(address(true)),
        global_ipv6_prefix_len: Some(prefix(true)),
        dns_names: Some(attachment.names.clone()),
        ..asked.clone()
    }
}
