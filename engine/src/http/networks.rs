//! `/networks`.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{
    ConfigReference, EndpointResource, Ipam, IpamConfig, NetworkCreateRequest,
    NetworkCreateResponse, NetworkInspect, NetworkPruneResponse,
};

use super::{ApiError, ApiResult, Filters, JsonBody, Query, Shared};
use crate::network::{Neighbour, Network, Request, Subnet, SubnetRequest};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
}

/// As Docker shows it; the list leaves the containers out.
fn document(network: Network, neighbours: Option<Vec<Neighbour>>) -> NetworkInspect {
    let containers = neighbours.map(|all| {
        all.into_iter().map(|one| (one.container.clone(), resource(&network, &one))).collect()
    });
    NetworkInspect {
        enable_ipv4: Some(network.subnet(false).is_some()),
        enable_ipv6: Some(network.ipv6),
        ipam: Some(Ipam {
            driver: Some("default".to_owned()),
            config: Some(network.subnets.iter().map(config).collect()),
            options: Some(network.ipam_options),
        }),
        name: Some(network.name),
        id: Some(network.id),
        created: Some(network.created),
        scope: Some("local".to_owned()),
        driver: Some(network.driver),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        ingress: Some(false),
        config_from: Some(ConfigReference { network: Some(String::new()) }),
        config_only: Some(false),
        options: Some(network.options),
        labels: Some(network.labels),
        peers: None,
        containers,
        services: None,
        status: None,
    }
}

fn config(subnet: &Subnet) -> IpamConfig {
    let reserved = subnet.reserved.iter();
    let reserved: HashMap<_, _> =
        reserved.map(|(name, address)| (name.clone(), address.to_string())).collect();
    IpamConfig {
        subnet: Some(subnet.subnet.to_string()),
        ip_range: subnet.pool.map(|pool| pool.to_string()),
        gateway: Some(subnet.gateway.to_string()),
        auxiliary_addresses: Some(reserved).filter(|reserved| !reserved.is_empty()),
    }
}

fn resource(network: &Network, neighbour: &Neighbour) -> EndpointResource {
    let address = |ipv6| {
        let mut addresses = neighbour.attachment.addresses.iter();
        let address = addresses.find(|address| address.is_ipv6() == ipv6)?;
        Some(format!("{address}/{}", network.subnet(ipv6)?.subnet.prefix()))
    };
    EndpointResource {
        name: Some(neighbour.name.clone()),
        endpoint_id: Some(neighbour.attachment.endpoint.clone()),
        mac_address: Some(neighbour.attachment.mac.to_string()),
        ipv4_address: Some(address(false).unwrap_or_default()),
        ipv6_address: Some(address(true).unwrap_or_default()),
    }
}

async fn create(
    State(engine): State<Shared>,
    JsonBody(body): JsonBody<NetworkCreateRequest>,
) -> ApiResult<(StatusCode, Json<NetworkCreateResponse>)> {
    let network = engine.networks.create(request(body)?).await?;
    let answer = NetworkCreateResponse { id: network.id, warning: String::new() };
    Ok((StatusCode::CREATED, Json(answer)))
}

fn request(body: NetworkCreateRequest) -> ApiResult<Request> {
    let unsupported = |what: &str| {
        Err(ApiError::unsupported(format!("{what} networks are not supported by this engine")))
    };
    if body.config_only.unwrap_or_default()
        || body.config_from.is_some_and(|c| c.network.is_some_and(|n| !n.is_empty()))
    {
        return unsupported("configuration-only");
    }
    if body.ingress.unwrap_or_default() {
        return unsupported("ingress");
    }
    if !matches!(body.scope.as_deref(), None | Some("" | "local")) {
        return unsupported("swarm-scoped");
    }
    if body.enable_ipv4 == Some(false) {
        return unsupported("IPv6-only");
    }
    let ipam = body.ipam.unwrap_or_default();
    if !matches!(ipam.driver.as_deref(), None | Some("" | "default")) {
        let driver = ipam.driver.unwrap_or_default();
        return Err(ApiError::not_found(format!("could not find IPAM driver {driver}")));
    }
    let subnets = ipam.config.into_iter().flatten().map(|config| SubnetRequest {
        subnet: config.subnet.unwrap_or_default(),
        pool: config.ip_range.unwrap_or_default(),
        gateway: config.gateway.unwrap_or_default(),
        reserved: config.auxiliary_addresses.unwrap_or_default(),
    });
    Ok(Request {
        name: body.name,
        driver: body.driver.unwrap_or_default(),
        subnets: subnets.collect(),
        ipv6: body.enable_ipv6.unwrap_or_default(),
        internal: body.internal.unwrap_or_default(),
        attachable: body.attachable.unwrap_or_default(),
        options: body.options.unwrap_or_default(),
        ipam_options: ipam.options.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    })
}

async fn list(State(engine): State<Shared>, query: Query) -> ApiResult<Json<Vec<NetworkInspect>>> {
    let filters = query.filters(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let dangling = filters.flag("dangling")?;
    check_type(&filters)?;
    let mut all = Vec::new();
    for network in engine.networks.list().await {
        let used = !engine.networks.neighbours(&network.id).await.is_empty();
        // Those that come with the engine are never in the way.
        let dangles = !used && !network.predefined();
        if dangling.is_none_or(|dangling| dangling == dangles) && passes(&filters, &network) {
            all.push(document(network, None));
        }
    }
    Ok(Json(all))
}

fn check_type(filters: &Filters) -> ApiResult<()> {
    match filters.values("type").find(|wanted| !matches!(*wanted, "custom" | "builtin")) {
        Some(wanted) => Err(ApiError::invalid(format!("invalid filter: 'type'='{wanted}'"))),
        None => Ok(()),
    }
}

fn passes(filters: &Filters, network: &Network) -> bool {
    filters.exact("driver", &network.driver)
        && filters.exact("scope", "local")
        && filters.exact("type", if network.predefined() { "builtin" } else { "custom" })
        && filters.any("id", |wanted| network.id.starts_with(wanted))
        && filters.patterns("name").fit(&network.name)
        && filters.labels("label", &network.labels)
}

async fn inspect(
    State(engine): State<Shared>,
    Path(text): Path<String>,
    query: Query,
) -> ApiResult<Json<NetworkInspect>> {
    if query.text("scope").is_some_and(|scope| scope != "local") {
        return Err(ApiError::not_found(format!("network {text} not found")));
    }
    let network = engine.networks.find(&text).await?;
    let neighbours = engine.networks.neighbours(&network.id).await;
    Ok(Json(document(network, Some(neighbours))))
}

async fn remove(State(engine): State<Shared>, Path(text): Path<String>) -> ApiResult<StatusCode> {
    engine.networks.remove(&text).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn prune(
    State(engine): State<Shared>,
    query: Query,
) -> ApiResult<Json<NetworkPruneResponse>> {
    let filters = query.filters(&["label", "label!", "until"])?;
    let until = filters.until()?;
    let chosen = |network: &Network| {
        until.is_none_or(|until| network.created <= until)
            && filters.labels_for_prune(&network.labels)
    };
    let removed = engine.networks.prune(chosen).await?;
    Ok(Json(NetworkPruneResponse { networks_deleted: Some(removed) }))
}
