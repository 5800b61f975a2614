//! What is asked of a network, checked.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use switch::address::Cidr;
use switch::control::{MAX_MTU, MIN_MTU};
use time::OffsetDateTime;

use super::model::{BRIDGE, HOST, KERNEL_BRIDGE, NONE, Network, Subnet};
use super::range::Range;
use super::{NetworkError, pools};
use crate::container::names;

/// The driver's option for the longest packet.
const MTU: &str = "com.docker.network.driver.mtu";

/// Bytes of a packet on a bridge of the kernel: what leaves the host is no longer as a rule, and
/// cards let the kernel cut what is.
const ETHERNET_MTU: u16 = 1_500;

/// A network to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// `bridge`, `user`, or empty for the default.
    pub driver: String,
    /// Subnets that were chosen; one is made for each family that needs one.
    pub subnets: Vec<SubnetRequest>,
    /// With IPv6.
    pub ipv6: bool,
    /// No way out.
    pub internal: bool,
    /// For `inspect`.
    pub attachable: bool,
    /// Options of the driver.
    pub options: HashMap<String, String>,
    /// Options of the address manager.
    pub ipam_options: HashMap<String, String>,
    /// Labels.
    pub labels: HashMap<String, String>,
}

/// A subnet that was chosen, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubnetRequest {
    /// All of it; empty for one that is made.
    pub subnet: String,
    /// Where containers' addresses are taken from; may be empty.
    pub pool: String,
    /// The switch's address; may be empty.
    pub gateway: String,
    /// Names and addresses that are kept free.
    pub reserved: HashMap<String, String>,
}

impl Request {
    /// Makes the network. `taken` are the ranges of others.
    pub(super) fn into_network(self, taken: &[Range]) -> Result<Network, NetworkError> {
        check_name(&self.name)?;
        match self.driver.as_str() {
            "" | "default" | BRIDGE | "user" | KERNEL_BRIDGE => {}
            "host" | "null" => {
                let text = format!("only one instance of \"{}\" network is allowed", self.driver);
                return Err(NetworkError::Invalid(text));
            }
            "overlay" | "macvlan" | "ipvlan" => {
                let text = format!("the network driver {} is not supported", self.driver);
                return Err(NetworkError::Unsupported(text));
            }
            other => {
                let text = format!("could not find plugin {other} in v1 plugin registry");
                return Err(NetworkError::NotFound(text));
            }
        }
        let driver = match self.driver.as_str() {
            chosen @ ("user" | KERNEL_BRIDGE) => chosen,
            _ => BRIDGE,
        };
        let mtu = mtu(&self.options, if driver == KERNEL_BRIDGE { ETHERNET_MTU } else { MAX_MTU })?;
        let subnets = subnets(&self.subnets, self.ipv6, taken)?;
        Ok(Network {
            id: names::new_id().map_err(|error| NetworkError::Id(error.to_string()))?,
            name: self.name,
            driver: driver.to_owned(),
            subnets,
            internal: self.internal,
            attachable: self.attachable,
            ipv6: self.ipv6,
            mtu,
            options: self.options,
            ipam_options: self.ipam_options,
            labels: self.labels,
            created: OffsetDateTime::now_utc(),
        })
    }
}

fn check_name(name: &str) -> Result<(), NetworkError> {
    if matches!(name, BRIDGE | NONE | HOST | "default") {
        return Err(NetworkError::Predefined(name.to_owned()));
    }
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if begins && name.len() <= 255 && name.chars().all(fits) {
        return Ok(());
    }
    Err(NetworkError::Invalid(format!(
        "invalid network name \"{name}\": only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed"
    )))
}

fn mtu(options: &HashMap<String, String>, default: u16) -> Result<u16, NetworkError> {
    let Some(text) = options.get(MTU) else { return Ok(default) };
    // 0 is Docker's word for the default.
    let mtu = text.parse().ok().map(|mtu| if mtu == 0 { default } else { mtu });
    mtu.filter(|mtu| (MIN_MTU..=MAX_MTU).contains(mtu)).ok_or_else(|| {
        NetworkError::Invalid(format!("invalid {MTU} \"{text}\": {MIN_MTU} to {MAX_MTU} bytes"))
    })
}

fn subnets(
    chosen: &[SubnetRequest],
    ipv6: bool,
    others: &[Range],
) -> Result<Vec<Subnet>, NetworkError> {
    let mut subnets: Vec<Subnet> = Vec::new();
    for request in chosen.iter().filter(|request| **request != SubnetRequest::default()) {
        let subnet = choose(request)?;
        let range = Range::of(subnet.subnet);
        if others.iter().any(|other| other.overlaps(range)) {
            return Err(NetworkError::Overlap);
        }
        let is_same =
            |other: &&Subnet| other.subnet.address().is_ipv6() == subnet.subnet.address().is_ipv6();
        if subnets.iter().any(|other| is_same(&other)) {
            let text = "more than one subnet of a family of addresses in a network";
            return Err(NetworkError::Unsupported(text.to_owned()));
        }
        if subnet.subnet.address().is_ipv6() && !ipv6 {
            let text = "an IPv6 subnet needs IPv6 to be enabled (--ipv6)";
            return Err(NetworkError::Invalid(text.to_owned()));
        }
        subnets.push(subnet);
    }
    let has = |subnets: &[Subnet], ipv6| {
        subnets.iter().any(|subnet| subnet.subnet.address().is_ipv6() == ipv6)
    };
    if !has(&subnets, false) {
        let taken = [others, &pools::of_the_host()].concat();
        let made = pools::ipv4(&taken).or_else(|| pools::ipv4(others));
        subnets.insert(0, made_up(made.ok_or(NetworkError::NoPool)?)?);
    }
    if ipv6 && !has(&subnets, true) {
        subnets.push(made_up(pools::ipv6(others).ok_or(NetworkError::NoPool)?)?);
    }
    Ok(subnets)
}

/// The network `bridge`, with a subnet that has nothing in common with `taken`.
pub(super) fn bridge(taken: &[Range]) -> Result<Network, NetworkError> {
    let request = Request { name: "x".to_owned(), ..Request::default() };
    let mut network = request.into_network(taken)?;
    BRIDGE.clone_into(&mut network.name);
    let option = |name: &str| format!("com.docker.network.bridge.{name}");
    network.options = HashMap::from([
        (option("default_bridge"), "true".to_owned()),
        (option("enable_icc"), "true".to_owned()),
        (option("enable_ip_masquerade"), "true".to_owned()),
        (option("host_binding_ipv4"), "0.0.0.0".to_owned()),
        (MTU.to_owned(), network.mtu.to_string()),
    ]);
    Ok(network)
}

/// The network `none`.
pub(super) fn none() -> Result<Network, NetworkError> {
    Ok(Network {
        id: names::new_id().map_err(|error| NetworkError::Id(error.to_string()))?,
        name: NONE.to_owned(),
        driver: "null".to_owned(),
        subnets: Vec::new(),
        internal: false,
        attachable: false,
        ipv6: false,
        mtu: MAX_MTU,
        options: HashMap::new(),
        ipam_options: HashMap::new(),
        labels: HashMap::new(),
        created: OffsetDateTime::now_utc(),
    })
}

fn made_up(subnet: Cidr) -> Result<Subnet, NetworkError> {
    let gateway = Range::of(subnet).nth(1).ok_or(NetworkError::NoPool)?;
    Ok(Subnet { subnet, gateway, pool: None, reserved: BTreeMap::new(), chosen: false })
}

fn choose(request: &SubnetRequest) -> Result<Subnet, NetworkError> {
    let invalid = |what: &str, text: &str| {
        NetworkError::Invalid(format!("invalid network config: invalid {what} {text}"))
    };
    let parse = |what: &str, text: &str| text.parse::<Cidr>().map_err(|_| invalid(what, text));
    if request.subnet.is_empty() {
        // There is nothing that a gateway or a range could be part of. Docker's words.
        let text = "invalid network config:\ninvalid subnet : invalid CIDR block notation";
        return Err(NetworkError::Invalid(text.to_owned()));
    }
    let given = parse("subnet", &request.subnet)?;
    let range = Range::of(given);
    let subnet = Cidr::new(range.first(), given.prefix());
    let subnet = subnet.filter(|_| range.length() >= 3);
    let subnet = subnet.ok_or_else(|| invalid("subnet", &request.subnet))?;
    let inside = |what: &str, text: &str| {
        let address: Option<IpAddr> = text.parse().ok();
        let address = address.filter(|address| subnet.contains(*address));
        address.ok_or_else(|| invalid(what, text))
    };
    let gateway = match request.gateway.as_str() {
        "" => range.nth(1).ok_or(NetworkError::NoPool)?,
        text => inside("gateway", text)?,
    };
    let pool = match request.pool.as_str() {
        "" => None,
        text => {
            let pool = parse("ip-range", text)?;
            Some(pool)
                .filter(|pool| range.holds(Range::of(*pool)))
                .map_or_else(|| Err(invalid("ip-range", text)), |pool| Ok(Some(pool)))?
        }
    };
    let reserved = request.reserved.iter();
    let reserved = reserved
        .map(|(name, text)| Ok((name.clone(), inside("auxiliary address", text)?)))
        .collect::<Result<_, NetworkError>>()?;
    Ok(Subnet { subnet, gateway, pool, reserved, chosen: true })
}
