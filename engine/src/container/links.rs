//! Names for other containers, as `--link` gives them: lines of `/etc/hosts`.

use std::net::IpAddr;

use super::ContainerError;
use super::live::Container;
use crate::network::Joined;

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    pub(super) address: IpAddr,
    /// The alias first.
    pub(super) names: Vec<String>,
}

/// A wish to know a container by another name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    container: String,
    alias: String,
    /// On the networks that it was given for Docker resolves it when asked; else the container
    /// must run first.
    required: bool,
}

impl Link {
    /// Reads `CONTAINER[:ALIAS]`; clients that restart old containers say `/CONTAINER:/OWN/ALIAS`.
    fn read(text: &str, required: bool) -> Self {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        Self { container: last(container), alias: last(alias), required }
    }
}

impl Container {
    /// The containers that it is linked to, on the networks `joined` that it shares with them.
    /// `starting` where those must run that were linked by `--link` alone, unless it is on none:
    /// only its files are wanted then.
    pub(super) async fn linked(
        &self,
        joined: &[Joined],
        starting: bool,
    ) -> Result<Vec<Linked>, ContainerError> {
        let strict = starting && !joined.is_empty();
        let mut all = Vec::new();
        for Link { container, alias, required } in self.links() {
            let Ok(other) = self.ground.find(&container) else {
                if required && strict {
                    let text = format!("could not get container for {container}");
                    return Err(ContainerError::Invalid(text));
                }
                continue;
            };
            let mut names = vec![alias.clone(), other.spec().hostname.clone(), other.name()];
            names.dedup();
            let mut found = false;
            for theirs in self.ground.networks.joined(&other.id).await {
                if joined.iter().any(|ours| ours.network.id == theirs.network.id) {
                    found = true;
                    let line =
                        |address: &IpAddr| Linked { address: *address, names: names.clone() };
                    all.extend(theirs.attachment.addresses.iter().map(line));
                }
            }
            if !found && required && strict {
                let (theirs, ours) = (other.name(), self.name());
                let text =
                    format!("Cannot link to a non running container: /{theirs} AS /{ours}/{alias}");
                return Err(ContainerError::Conflict(text));
            }
        }
        Ok(all)
    }

    fn links(&self) -> Vec<Link> {
        self.with_record(|record| {
            let own = record.host_config.links.iter().flatten();
            let own = own.map(|text| Link::read(text, true));
            let networks = record.endpoints.values().flat_map(|it| it.links.iter().flatten());
            own.chain(networks.map(|text| Link::read(text, false))).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_container_and_an_alias() {
        let link = |container: &str, alias: &str| Link {
            container: container.to_owned(),
            alias: alias.to_owned(),
            required: true,
        };
        assert_eq!(Link::read("db", true), link("db", "db"));
        assert_eq!(Link::read("db:store", true), link("db", "store"));
        assert_eq!(Link::read("/db:/web/store", true), link("db", "store"));
    }
}
