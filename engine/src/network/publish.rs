//! Ports of the host that lead to containers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use switch::client::ClientError;
use switch::control::{self, FaultKind, Protocol, PublicationName, Response};

use super::model::{Attachment, Member, Publication};
use super::state::{State, port, publication_id, put_publication};
use super::{Inner, KernelError, NetworkError, Service};

/// A port that is to lead to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRequest {
    /// In the container.
    pub container_port: u16,
    /// What comes through.
    pub protocol: Protocol,
    /// At the host; none for all of its addresses.
    pub host_address: Option<IpAddr>,
    /// The first port of the host to try; 0 for any that is free.
    pub first: u16,
    /// The last to try.
    pub last: u16,
}

impl Service {
    /// Lets ports of the host lead to the container `id`, besides those that do already. Where none
    /// of its networks leads outside, nothing is published.
    ///
    /// # Errors
    ///
    /// A port is in use, or the switch fails. None of these ports is published then.
    pub async fn publish(
        &self,
        id: &str,
        requests: &[PortRequest],
    ) -> Result<Vec<Publication>, NetworkError> {
        let mut state = self.0.state.lock().await;
        let Some(before) = state.members.get(id).cloned() else { return Ok(Vec::new()) };
        let Some(way_in) = state.way_in(&before).cloned() else { return Ok(Vec::new()) };
        let mut member = before.clone();
        for request in requests {
            let published = self.0.publish_one(&state, id, &member, &way_in, *request).await;
            match published {
                Ok(publications) => member.publications.extend(publications),
                Err(error) => {
                    self.0.withdraw(&state, id, &member, before.publications.len()).await;
                    return Err(error);
                }
            }
        }
        let published =
            member.publications.get(before.publications.len()..).unwrap_or_default().to_vec();
        // The switch is told first, as it is the one who knows which port is free. If the engine
        // ends in between, what it published ends with the container's port.
        if let Err(error) = self.0.remember(&mut state, id, member.clone()).await {
            self.0.withdraw(&state, id, &member, before.publications.len()).await;
            return Err(error);
        }
        if let Err(error) = self.0.settle(&state, &member.name).await {
            self.0.recall(&mut state, id, Some(before)).await;
            self.0.follow(&state, &member.name).await;
            return Err(error);
        }
        Ok(published)
    }

    /// Ends all that a container publishes.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn unpublish(&self, id: &str) -> Result<(), NetworkError> {
        let mut state = self.0.state.lock().await;
        let Some(before) = state.members.get(id).cloned() else { return Ok(()) };
        let member = Member { publications: Vec::new(), ..before.clone() };
        self.0.remember(&mut state, id, member).await?;
        self.0.withdraw(&state, id, &before, 0).await;
        Ok(())
    }

    /// What a container publishes.
    pub async fn published(&self, id: &str) -> Vec<Publication> {
        let state = self.0.state.lock().await;
        state.members.get(id).map(|member| member.publications.clone()).unwrap_or_default()
    }
}

impl Inner {
    /// On all addresses means both families, with one number.
    async fn publish_one(
        &self,
        state: &State,
        id: &str,
        member: &Member,
        way_in: &Attachment,
        request: PortRequest,
    ) -> Result<Vec<Publication>, NetworkError> {
        let number = member.publications.len();
        let address = request.host_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let name = &member.name;
        for host_port in request.first..=request.last {
            let wanted = Publication {
                container_port: request.container_port,
                protocol: request.protocol,
                host_address: address,
                host_port,
            };
            let mut done = match self.listen(state, name, id, number, way_in, wanted).await {
                Err(error) if is_taken(&error) => continue,
                done => vec![done?],
            };
            if request.host_address.is_some() {
                return Ok(done);
            }
            let (address, host_port) = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), done[0].host_port);
            let wanted = Publication { host_address: address, host_port, ..wanted };
            match self.listen(state, name, id, number + 1, way_in, wanted).await {
                Ok(publication) => done.push(publication),
                // A host without IPv6, or one whose IPv4 addresses are served by IPv6 sockets.
                Err(error) => log::debug!("{}", crate::http::error::chain(&error)),
            }
            return Ok(done);
        }
        Err(NetworkError::PortInUse { container: name.clone(), address, port: request.last })
    }

    async fn listen(
        &self,
        state: &State,
        name: &str,
        id: &str,
        number: usize,
        way_in: &Attachment,
        wanted: Publication,
    ) -> Result<Publication, NetworkError> {
        if state.on_kernel_bridge(way_in) {
            let reserved = self.kernel.reserve(&wanted, &way_in.addresses).await;
            let subject = || name.to_owned();
            return match reserved {
                Ok(host_port) => Ok(Publication { host_port, ..wanted }),
                Err(source) => Err(NetworkError::Kernel { subject: subject(), source }),
            };
        }
        let port = &port(id, way_in.slot);
        let publish = control::Request::Publish(put_publication(id, number, port, wanted));
        let responses = self.wire.tell(name, || state.everything(), vec![publish]).await?;
        match responses.first() {
            Some(Response::Published(published)) => {
                Ok(Publication { host_port: published.host_port, ..wanted })
            }
            other => Err(NetworkError::Switch {
                subject: name.to_owned(),
                source: ClientError::Answer(format!("{other:?}")),
            }),
        }
    }

    /// Ends the publications of `member` from `first` on.
    async fn withdraw(&self, state: &State, id: &str, member: &Member, first: usize) {
        let numbers = first..member.publications.len();
        let requests = numbers
            .map(|number| PublicationName { id: publication_id(id, number) })
            .map(control::Request::Unpublish)
            .collect();
        self.tell_or_log(state, &member.name, requests).await;
        self.follow(state, &member.name).await;
    }
}

fn is_taken(error: &NetworkError) -> bool {
    match error {
        NetworkError::Switch { source, .. } => {
            source.fault().is_some_and(|fault| fault.kind == FaultKind::InUse)
        }
        NetworkError::Kernel { source: KernelError::Port { source, .. }, .. } => {
            source.kind() == io::ErrorKind::AddrInUse
        }
        _ => false,
    }
}
