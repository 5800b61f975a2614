//! Documents as clients of older versions of the API know them: with what was dropped since, and
//! without what came later. Handlers make those of the newest version.

use serde_json::{Map, Value, json};

use super::ApiVersion;
use super::zero_values::lay_under;

/// A container as `inspect` shows it; `mac` is the address that was asked for on its first network.
pub(super) fn container(document: &mut Value, version: ApiVersion, mac: Option<String>) {
    if version < ApiVersion::new(45) {
        give_short_ids(document);
    }
    if version < ApiVersion::new(52) {
        give_addresses(document);
        if let (Some(mac), Some(config)) = (mac, fields(document, "/Config")) {
            config.insert("MacAddress".to_owned(), mac.into());
        }
    }
}

/// A container of the list.
pub(super) fn listed_container(document: &mut Value, version: ApiVersion) {
    if version < ApiVersion::new(46)
        && let Some(host) = fields(document, "/HostConfig")
    {
        host.remove("Annotations");
    }
    if version < ApiVersion::new(52)
        && let Some(document) = document.as_object_mut()
    {
        document.remove("Health");
    }
}

/// An image as `inspect` shows it.
pub(super) fn image(document: &mut Value, version: ApiVersion) {
    if version < ApiVersion::new(52) {
        let texts = json!({ "Parent": "", "Comment": "", "DockerVersion": "", "Author": "" });
        lay_under(document, &texts);
        let config = json!({
            "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null,
            "User": "", "Volumes": null, "WorkingDir": "",
        });
        lay_under(document, &json!({ "Config": config }));
    }
    if version < ApiVersion::new(50) {
        let config = json!({
            "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Domainname": "",
            "Hostname": "", "Image": "", "OpenStdin": false, "StdinOnce": false, "Tty": false,
        });
        lay_under(document, &json!({ "Config": config }));
    }
    // Gone since 1.45, but docker-compose 1.29 still looks here for the image's volumes, and speaks
    // the newest version where its library for Docker is a new one.
    let of_container = json!({ "Container": "", "ContainerConfig": document["Config"] });
    lay_under(document, &of_container);
    if version < ApiVersion::new(44) {
        give_virtual_size(document);
    }
}

/// An image of the list.
pub(super) fn listed_image(document: &mut Value, version: ApiVersion) {
    if version < ApiVersion::new(44) {
        give_virtual_size(document);
    }
    let empty = |names: &Value| names.as_array().is_none_or(Vec::is_empty);
    let nameless = empty(&document["RepoTags"]) && empty(&document["RepoDigests"]);
    if version < ApiVersion::new(43) && nameless {
        document["RepoTags"] = json!(["<none>:<none>"]);
        document["RepoDigests"] = json!(["<none>@<none>"]);
    }
}

fn fields<'a>(document: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    document.pointer_mut(pointer)?.as_object_mut()
}

/// Size once was what one layer has, and this all of them.
fn give_virtual_size(document: &mut Value) {
    let size = json!({ "VirtualSize": document["Size"] });
    lay_under(document, &size);
}

/// Among its names on a network was its short id, by which docker-compose knows that it need not
/// put the container there anew.
fn give_short_ids(document: &mut Value) {
    let short: String = document["Id"].as_str().unwrap_or_default().chars().take(12).collect();
    let own = [Value::from(short), document["Config"]["Hostname"].clone()];
    for (name, endpoint) in fields(document, "/NetworkSettings/Networks").into_iter().flatten() {
        if matches!(name.as_str(), "bridge" | "none" | "host" | "default") {
            continue;
        }
        let mut names = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
        for name in &own {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        endpoint["Aliases"] = names.into();
    }
}

/// A container was on one network once, and its addresses were its own.
fn give_addresses(document: &mut Value) {
    let zeros = json!({
        "EndpointID": "", "Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
        "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "MacAddress": "",
    });
    let mut addresses = zeros.clone();
    let bridge = document.pointer("/NetworkSettings/Networks/bridge");
    for (name, value) in addresses.as_object_mut().into_iter().flatten() {
        if let Some(its) = bridge.and_then(|bridge| bridge.get(name)) {
            value.clone_from(its);
        }
    }
    lay_under(document, &json!({ "NetworkSettings": addresses }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_networks() -> Value {
        json!({
            "Id": "0123456789abcdef",
            "Config": { "Hostname": "web" },
            "NetworkSettings": { "Networks": {
                "bridge": { "IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Aliases": null },
                "front": { "IPAddress": "10.0.0.2", "Aliases": ["web"] },
            } },
        })
    }

    #[test]
    fn addresses_of_the_bridge_were_the_container_s_own() {
        let mut document = on_networks();
        container(&mut document, ApiVersion::new(51), Some("02:00:00:00:00:01".to_owned()));
        assert_eq!(document["NetworkSettings"]["IPAddress"], "172.17.0.2");
        assert_eq!(document["NetworkSettings"]["IPPrefixLen"], 16);
        assert_eq!(document["NetworkSettings"]["IPv6Gateway"], "");
        assert_eq!(document["Config"]["MacAddress"], "02:00:00:00:00:01");
        let mut document = on_networks();
        container(&mut document, ApiVersion::new(52), Some("02:00:00:00:00:01".to_owned()));
        assert_eq!(document, on_networks());
    }

    #[test]
    fn short_ids_were_aliases_on_networks_of_the_user() {
        let mut document = on_networks();
        container(&mut document, ApiVersion::new(44), None);
        let networks = &document["NetworkSettings"]["Networks"];
        assert_eq!(networks["front"]["Aliases"], json!(["web", "0123456789ab"]));
        assert_eq!(networks["bridge"]["Aliases"], Value::Null);
    }

    #[test]
    fn images_had_the_configuration_of_the_container_that_made_them() {
        let new = json!({ "Size": 7, "Config": { "Volumes": { "/data": {} } } });
        let mut document = new.clone();
        image(&mut document, ApiVersion::new(43));
        assert_eq!(document["ContainerConfig"]["Volumes"], json!({ "/data": {} }));
        assert_eq!((&document["VirtualSize"], &document["Parent"]), (&json!(7), &json!("")));
        let mut document = new.clone();
        image(&mut document, ApiVersion::new(52));
        assert_eq!(document["ContainerConfig"], new["Config"]);
        assert_eq!((document.get("VirtualSize"), document.get("Parent")), (None, None));
    }

    #[test]
    fn images_without_a_name_had_one_in_lists() {
        let new = json!({ "Size": 7, "RepoTags": [], "RepoDigests": [] });
        let mut document = new.clone();
        listed_image(&mut document, ApiVersion::new(42));
        assert_eq!(document["RepoTags"], json!(["<none>:<none>"]));
        let mut document = new.clone();
        listed_image(&mut document, ApiVersion::new(44));
        assert_eq!(document, new);
    }

    #[test]
    fn health_came_into_lists_late() {
        let new = json!({ "Health": { "Status": "healthy" }, "HostConfig": {} });
        let mut document = new.clone();
        listed_container(&mut document, ApiVersion::new(51));
        assert_eq!(document.get("Health"), None);
    }
}
