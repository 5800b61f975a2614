//! Subnets of a network, and which range and which gateway belong to which of them: to the one that
//! they lie in, as Docker's command has it.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::bail;
use serde_json::{Value, json};

/// The configurations that the engine is asked for.
pub(super) fn chosen(
    subnets: &[String],
    ranges: &[String],
    gateways: &[String],
    reserved: &HashMap<String, String>,
) -> anyhow::Result<Vec<Value>> {
    if subnets.len() < ranges.len().max(gateways.len()) {
        bail!("every ip-range or gateway must have a corresponding subnet");
    }
    for (index, subnet) in subnets.iter().enumerate() {
        let mut before = subnets.iter().take(index);
        if before.any(|other| lies_in(other, subnet) || lies_in(subnet, other)) {
            bail!("multiple overlapping subnet configuration is not supported");
        }
    }
    let mut pools: Vec<_> = subnets.iter().map(|subnet| json!({ "Subnet": subnet })).collect();
    for range in ranges {
        set(&mut pools, "IPRange", ("range", "ranges", "on"), range)?;
    }
    for gateway in gateways {
        set(&mut pools, "Gateway", ("gateway", "gateways", "for"), gateway)?;
    }
    for (name, address) in reserved {
        let Some(pool) = pools.iter_mut().find(|pool| belongs(address, pool)) else {
            bail!("no matching subnet for aux-address {address}");
        };
        pool["AuxiliaryAddresses"][name] = json!(address);
    }
    Ok(pools)
}

/// Gives the subnet that `value` lies in its only one.
fn set(
    pools: &mut [Value],
    field: &str,
    (one, more, of): (&str, &str, &str),
    value: &str,
) -> anyhow::Result<()> {
    let Some(pool) = pools.iter_mut().find(|pool| belongs(value, pool)) else {
        bail!("no matching subnet for {one} {value}");
    };
    if let Some(before) = pool[field].as_str() {
        let subnet = crate::rows::text(&pool["Subnet"]);
        bail!(
            "cannot configure multiple {more} ({value}, {before}) {of} the same subnet ({subnet})"
        );
    }
    pool[field] = json!(value);
    Ok(())
}

fn belongs(value: &str, pool: &Value) -> bool {
    lies_in(value, pool["Subnet"].as_str().unwrap_or_default())
}

/// Whether a subnet's or an address's first address lies in `subnet`. What is neither does not;
/// the engine says what is wrong with it.
fn lies_in(inner: &str, subnet: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    let (first, _) = inner.split_once('/').unwrap_or((inner, ""));
    let Some((outer, prefix)) = subnet.split_once('/') else { return false };
    let (Some(first), Some(outer), Ok(prefix)) = (address(first), address(outer), prefix.parse())
    else {
        return false;
    };
    match (first, outer) {
        (IpAddr::V4(first), IpAddr::V4(outer)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or_default();
            first.to_bits() & mask == outer.to_bits() & mask
        }
        (IpAddr::V6(first), IpAddr::V6(outer)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or_default();
            first.to_bits() & mask == outer.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(flags: &str) -> Result<Vec<Value>, String> {
        let values = |name: &str| -> Vec<String> {
            let words = flags.split_whitespace().filter_map(|word| word.split_once('='));
            words.filter(|(flag, _)| *flag == name).map(|(_, value)| value.to_owned()).collect()
        };
        let reserved = values("aux").into_iter().map(|address| ("a".to_owned(), address)).collect();
        chosen(&values("subnet"), &values("range"), &values("gateway"), &reserved)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn gateways_and_ranges_go_to_the_subnets_that_they_lie_in() {
        let both = "subnet=10.0.0.0/24 subnet=fd00::/64 gateway=fd00::1 gateway=10.0.0.3 \
                    range=10.0.0.16/28 aux=10.0.0.9";
        let expected = [
            json!({ "Subnet": "10.0.0.0/24", "Gateway": "10.0.0.3", "IPRange": "10.0.0.16/28",
                    "AuxiliaryAddresses": { "a": "10.0.0.9" } }),
            json!({ "Subnet": "fd00::/64", "Gateway": "fd00::1" }),
        ];
        assert_eq!(pools(both).unwrap(), expected);
        assert_eq!(pools("").unwrap(), [json!(null); 0]);
        assert_eq!(pools("subnet=0.0.0.0/0 gateway=1.2.3.4").unwrap().len(), 1);
        assert_eq!(pools("subnet=nonsense").unwrap(), [json!({ "Subnet": "nonsense" })]);
    }

    #[test]
    fn what_has_no_subnet_is_refused_in_dockers_words() {
        let alone = "every ip-range or gateway must have a corresponding subnet";
        for (flags, words) in [
            ("gateway=10.0.0.1", alone),
            ("gateway=fd00::1", alone),
            ("range=10.0.0.0/28", alone),
            ("subnet=10.0.0.0/24 gateway=10.0.0.1 gateway=10.0.0.2", alone),
            ("subnet=10.0.0.0/24 gateway=10.1.0.1", "no matching subnet for gateway 10.1.0.1"),
            ("subnet=10.0.0.0/24 gateway=fd00::1", "no matching subnet for gateway fd00::1"),
            ("subnet=10.0.0.0/24 gateway=foo", "no matching subnet for gateway foo"),
            ("subnet=10.0.0.0/24 range=10.1.0.0/28", "no matching subnet for range 10.1.0.0/28"),
            ("aux=10.1.0.1", "no matching subnet for aux-address 10.1.0.1"),
            (
                "subnet=10.0.0.0/24 subnet=10.1.0.0/24 gateway=10.0.0.1 gateway=10.0.0.2",
                "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet \
                 (10.0.0.0/24)",
            ),
            (
                "subnet=10.0.0.0/24 subnet=10.0.0.128/28",
                "multiple overlapping subnet configuration is not supported",
            ),
        ] {
            assert_eq!(pools(flags).unwrap_err(), words, "{flags}");
        }
    }
}
