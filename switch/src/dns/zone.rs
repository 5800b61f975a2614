//! Names that the switch knows itself: those of a network's ports, and of the host.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::core::Core;
use crate::core::network::Network;
use crate::core::port::PortId;

/// Names of the host, by which guests reach it at the gateway's address.
const HOST: [&str; 2] = ["host.docker.internal", "host.bulkhead.internal"];

/// Seconds that an answer may be kept: a container may go at any time.
const TTL: u32 = 5;

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Others know.
    Forward,
    /// It is none, and gets no answer.
    Drop,
}

/// What the zone knows of a name.
enum Known {
    /// The name exists, with these records of the wanted type.
    Records(Vec<RData>),
    /// The name is in the zone's ranges and does not exist.
    Missing,
    /// The name is none of the zone's.
    Foreign,
}

/// Judges a message from a port to its name server. An answer is at most `longest` bytes, or what
/// the asker said that it takes, or it is cut short.
pub(crate) fn judge(core: &Core, port: PortId, message: &[u8], longest: usize) -> Verdict {
    let Some(network) = core.network_of(port) else { return Verdict::Drop };
    let Ok(request) = Message::from_vec(message) else { return malformed(message) };
    if request.metadata.message_type != MessageType::Query {
        return Verdict::Drop;
    }
    let (OpCode::Query, [query]) = (request.metadata.op_code, request.queries.as_slice()) else {
        return answer(&request, Err(ResponseCode::NotImp), longest);
    };
    if query.query_class() != DNSClass::IN {
        return outside(network, &request, longest);
    }
    match look_up(core, network, query) {
        Known::Records(records) => answer(&request, Ok(records), longest),
        Known::Missing => answer(&request, Err(ResponseCode::NXDomain), longest),
        Known::Foreign => outside(network, &request, longest),
    }
}

/// What an internal network's ports ask must not leave it, not even as a name.
fn outside(network: &Network, request: &Message, longest: usize) -> Verdict {
    match network.spec.internal {
        true => answer(request, Err(ResponseCode::NXDomain), longest),
        false => Verdict::Forward,
    }
}

fn look_up(core: &Core, network: &Network, query: &Query) -> Known {
    match query.query_type() {
        RecordType::PTR => reverse(core, network, query.name()),
        kind => forward(core, network, query.name(), kind),
    }
}

fn forward(core: &Core, network: &Network, name: &Name, kind: RecordType) -> Known {
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    let domain = network.spec.domain.as_deref().map(str::to_ascii_lowercase);
    let short = domain
        .as_deref()
        .and_then(|domain| text.strip_suffix(domain)?.strip_suffix('.'))
        .unwrap_or(text);
    let mut addresses: Vec<IpAddr> = Vec::new();
    if HOST.contains(&text) {
        addresses.extend(network.spec.subnets.iter().map(|subnet| subnet.gateway));
    }
    let mut known = !addresses.is_empty();
    for port in network.ports.iter().filter_map(|id| core.ports.get(id)) {
        let named =
            |name: &String| name.eq_ignore_ascii_case(short) || name.eq_ignore_ascii_case(text);
        if port.spec.names.iter().any(named) {
            known = true;
            addresses.extend(&port.spec.addresses);
        }
    }
    if !known {
        return Known::Foreign;
    }
    let record = |address: &IpAddr| match (*address, kind) {
        (IpAddr::V4(address), RecordType::A) => Some(RData::A(A(address))),
        (IpAddr::V6(address), RecordType::AAAA) => Some(RData::AAAA(AAAA(address))),
        _ => None,
    };
    Known::Records(addresses.iter().filter_map(record).collect())
}

fn reverse(core: &Core, network: &Network, name: &Name) -> Known {
    let Ok(range) = name.parse_arpa_name() else { return Known::Foreign };
    let address = range.addr();
    let whole = if address.is_ipv4() { 32 } else { 128 };
    if range.prefix_len() != whole || !network.contains(address) {
        return Known::Foreign;
    }
    let owner = network.by_address.get(&address).and_then(|id| core.ports.get(id));
    let Some(own) = owner.and_then(|port| port.spec.names.first()) else { return Known::Missing };
    let full = match &network.spec.domain {
        Some(domain) => format!("{own}.{domain}."),
        None => format!("{own}."),
    };
    match Name::from_ascii(full) {
        Ok(name) => Known::Records(vec![RData::PTR(PTR(name))]),
        Err(_) => Known::Missing,
    }
}

fn respond(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.response_code = code;
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.iter().cloned());
    if let Some(edns) = &request.edns {
        let mut own = edns.clone();
        own.options_mut().options.clear();
        response.set_edns(own);
    }
    response
}

fn answer(request: &Message, records: Result<Vec<RData>, ResponseCode>, longest: usize) -> Verdict {
    let code = records.as_ref().err().copied().unwrap_or(ResponseCode::NoError);
    let mut response = respond(request, code);
    response.metadata.authoritative = true;
    if let (Ok(mut records), Some(query)) = (records, request.queries.first()) {
        // The first gets most of the work: they take turns.
        if !records.is_empty() {
            let turn = usize::from(request.metadata.id) % records.len();
            records.rotate_left(turn);
        }
        let name = query.name();
        response.add_answers(
            records.into_iter().map(|data| Record::from_rdata(name.clone(), TTL, data)),
        );
    }
    let limit = longest.max(request.max_payload().into());
    match response.to_vec() {
        Ok(bytes) if bytes.len() <= limit => Verdict::Answer(bytes),
        Ok(_) => response.truncate().to_vec().map_or(Verdict::Drop, Verdict::Answer),
        Err(_) => failed(request),
    }
}

fn failed(request: &Message) -> Verdict {
    let response = respond(request, ResponseCode::ServFail);
    response.to_vec().map_or(Verdict::Drop, Verdict::Answer)
}

/// The answer to what could not be read: that, if there is an id to say it to.
fn malformed(message: &[u8]) -> Verdict {
    let Some([i0, i1, flags, ..]) = message.first_chunk::<12>() else { return Verdict::Drop };
    if flags & 0x80 != 0 {
        return Verdict::Drop;
    }
    let id = u16::from_be_bytes([*i0, *i1]);
    let response = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    response.to_vec().map_or(Verdict::Drop, Verdict::Answer)
}

/// The answer to a question that nobody answered.
pub(crate) fn no_answer(message: &[u8]) -> Option<Vec<u8>> {
    match failed(&Message::from_vec(message).ok()?) {
        Verdict::Answer(bytes) => Some(bytes),
        _ => None,
    }
}

/// Whether `answer` is one to `question`: the same id and the same names asked for.
pub(crate) fn is_answer(question: &[u8], answer: &[u8]) -> bool {
    let (Some(asked), Some(answered)) = (question.first_chunk::<12>(), answer.first_chunk::<12>())
    else {
        return false;
    };
    if asked[..2] != answered[..2] || answered[2] & 0x80 == 0 {
        return false;
    }
    let queries = |bytes: &[u8]| Message::from_vec(bytes).map(|message| message.queries);
    match (queries(question), queries(answer)) {
        // Refusals may leave the question out.
        (Ok(asked), Ok(answered)) => answered.is_empty() || asked == answered,
        _ => false,
    }
}
