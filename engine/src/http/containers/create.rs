//! `POST /containers/create`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bollard_stubs::models::{ContainerCreateBody, ContainerCreateResponse};
use serde_json::{Map, Value};

use super::super::{ApiError, ApiResult, ApiVersion, JsonBody, Query, Shared, body, images};
use crate::network::{HOST, NONE};

pub(super) async fn create(
    State(engine): State<Shared>,
    version: ApiVersion,
    query: Query,
    JsonBody(mut document): JsonBody<Value>,
) -> ApiResult<(StatusCode, Json<ContainerCreateResponse>)> {
    let warning = match document.as_object_mut() {
        Some(document) => {
            fill_endpoints(document);
            move_mac(document, version)?
        }
        None => None,
    };
    let body: ContainerCreateBody = body::typed(document)?;
    // Older clients send it for the pull before.
    if let Some(platform) = query.text("platform").filter(|_| version >= ApiVersion::new(41)) {
        images::check_platform(&engine, body.image.as_deref().unwrap_or_default(), platform)?;
    }
    let created = engine.containers.create(query.text("name"), query.text("pod"), body).await?;
    let (id, mut warnings) = (created.container.id.clone(), created.warnings);
    warnings.extend(warning);
    Ok((StatusCode::CREATED, Json(ContainerCreateResponse { id, warnings })))
}

fn object<'a>(
    fields: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    fields.get_mut(name)?.as_object_mut()
}

/// Who wants nothing special on a network may say so by `null`.
fn fill_endpoints(document: &mut Map<String, Value>) {
    let endpoints =
        object(document, "NetworkingConfig").and_then(|config| object(config, "EndpointsConfig"));
    for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values_mut()) {
        if endpoint.is_null() {
            *endpoint = Map::new().into();
        }
    }
}

/// A container had one address once; since 1.44 it is of how it is on a network. What is to be
/// told of it.
fn move_mac(document: &mut Map<String, Value>, version: ApiVersion) -> ApiResult<Option<String>> {
    let old = version < ApiVersion::new(44);
    let mac = document.remove("MacAddress");
    let mac = mac.filter(|mac| !mac.is_null() && mac.as_str() != Some(""));
    let Some(mac) = mac else {
        if old {
            drop_macs(document);
        }
        return Ok(None);
    };
    if version >= ApiVersion::new(52) {
        return Err(ApiError::invalid(
            "container-wide MAC address no longer supported; use endpoint-specific MAC address \
             instead",
        ));
    }
    let mode = object(document, "HostConfig").and_then(|host| host.get("NetworkMode"));
    let mode = match mode.and_then(Value::as_str) {
        None | Some("" | "default") => "bridge".to_owned(),
        Some(mode) => mode.to_owned(),
    };
    let has_card = mode != NONE && mode != HOST && !mode.starts_with("container:");
    if has_card {
        give_mac(document, &mode, old, mac)?;
    } else if old {
        return Err(ApiError::invalid("conflicting options: mac-address and the network mode"));
    }
    Ok((!old).then(|| {
        "The container-wide MacAddress field is now deprecated. It should be specified in \
         EndpointsConfig instead."
            .to_owned()
    }))
}

fn drop_macs(document: &mut Map<String, Value>) {
    let endpoints =
        object(document, "NetworkingConfig").and_then(|config| object(config, "EndpointsConfig"));
    for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values_mut()) {
        endpoint.as_object_mut().map(|endpoint| endpoint.remove("MacAddress"));
    }
}

fn give_mac(document: &mut Map<String, Value>, mode: &str, old: bool, mac: Value) -> ApiResult<()> {
    let networks = entry(document, "NetworkingConfig");
    let endpoints = networks.and_then(|networks| entry(networks, "EndpointsConfig"));
    let Some(endpoints) = endpoints else {
        // It is refused for what it is.
        return Ok(());
    };
    let known = |name: &str| endpoints.contains_key(name).then(|| name.to_owned());
    let name = match known(mode).or_else(|| known("default").filter(|_| mode == "bridge")) {
        Some(name) => name,
        None if endpoints.is_empty() => mode.to_owned(),
        None => match endpoints.keys().next().filter(|_| old) {
            Some(only) => only.clone(),
            None => {
                return Err(ApiError::invalid(
                    "HostConfig.NetworkMode must match the identity of a network in \
                     NetworkSettings.Networks",
                ));
            }
        },
    };
    let Some(endpoint) = entry(endpoints, &name) else { return Ok(()) };
    let own = endpoint.get("MacAddress").and_then(Value::as_str).unwrap_or_default();
    if !old && !own.is_empty() && Some(own) != mac.as_str() {
        return Err(ApiError::invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the \
             main network, or be left empty",
        ));
    }
    endpoint.insert("MacAddress".to_owned(), mac);
    Ok(())
}

/// The object of this name, made where there is none.
fn entry<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let value = fields.entry(name).or_insert_with(|| Map::new().into());
    if value.is_null() {
        *value = Map::new().into();
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn moved(mut document: Value, minor: u16) -> ApiResult<Value> {
        move_mac(document.as_object_mut().unwrap(), ApiVersion::new(minor))?;
        Ok(document)
    }

    #[test]
    fn address_of_the_container_becomes_one_of_its_network() {
        let on_bridge = moved(json!({ "MacAddress": "02::1" }), 43).unwrap();
        let endpoints = json!({ "bridge": { "MacAddress": "02::1" } });
        assert_eq!(on_bridge, json!({ "NetworkingConfig": { "EndpointsConfig": endpoints } }));
        let body = json!({
            "MacAddress": "02::1",
            "HostConfig": { "NetworkMode": "front" },
            "NetworkingConfig": { "EndpointsConfig": { "front": { "Aliases": ["a"] } } },
        });
        let moved = moved(body, 44).unwrap();
        let endpoint = &moved["NetworkingConfig"]["EndpointsConfig"]["front"];
        assert_eq!(endpoint, &json!({ "Aliases": ["a"], "MacAddress": "02::1" }));
    }

    #[test]
    fn address_without_a_network_for_it_is_refused() {
        let elsewhere = json!({
            "MacAddress": "02::1",
            "NetworkingConfig": { "EndpointsConfig": { "front": {} } },
        });
        let other = json!({
            "MacAddress": "02::1",
            "NetworkingConfig": { "EndpointsConfig": { "bridge": { "MacAddress": "02::2" } } },
        });
        let none = json!({ "MacAddress": "02::1", "HostConfig": { "NetworkMode": "none" } });
        for (body, minor) in
            [(elsewhere, 44), (other, 44), (none, 43), (json!({ "MacAddress": "02::1" }), 52)]
        {
            assert!(moved(body.clone(), minor).is_err(), "{minor}: {body}");
        }
    }

    #[test]
    fn null_is_no_address_and_no_wish() {
        assert_eq!(moved(json!({ "MacAddress": null }), 53).unwrap(), json!({}));
        let mut body = json!({ "NetworkingConfig": { "EndpointsConfig": { "front": null } } });
        fill_endpoints(body.as_object_mut().unwrap());
        assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["front"], json!({}));
    }
}
