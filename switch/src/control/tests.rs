use super::*;

fn network() -> Network {
    Network {
        id: "n1".into(),
        subnets: vec![Subnet {
            subnet: "172.18.0.0/16".parse().unwrap(),
            gateway: "172.18.0.1".parse().unwrap(),
        }],
        internal: false,
        isolate_host: false,
        on_host: false,
        mtu: MAX_MTU,
        domain: None,
    }
}

#[test]
fn network_with_its_defaults_is_put_in_a_line() {
    let line = r#"{"do":"put-network","id":"n1","subnets":[{"subnet":"172.18.0.0/16","gateway":"172.18.0.1"}]}"#;
    let request: Request = serde_json::from_str(line).unwrap();
    assert_eq!(request, Request::PutNetwork(network()));
}

#[test]
fn unknown_field_is_refused_by_name() {
    let line = r#"{"do":"put-network","id":"n1","subnets":[],"colour":"red"}"#;
    let error = serde_json::from_str::<Request>(line).unwrap_err();
    assert!(error.to_string().contains("colour"), "{error}");
}

#[test]
fn request_survives_its_line() {
    let request = Request::PutPort(Port {
        port: "p".into(),
        network: None,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        addresses: vec!["172.18.0.2".parse().unwrap()],
        names: vec!["web".into()],
        dns: vec![],
    });
    let line = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
}

#[test]
fn fault_survives_its_line() {
    let fault = Fault { kind: FaultKind::InUse, message: "0.0.0.0:80 is in use".into() };
    let line = serde_json::to_string(&Response::Failed(fault.clone())).unwrap();
    assert_eq!(line, r#"{"failed":{"kind":"in-use","message":"0.0.0.0:80 is in use"}}"#);
    assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), Response::Failed(fault));
}
