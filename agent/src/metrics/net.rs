//! Network interfaces, from `/proc/net/dev`.

use agent_protocol::message::NetMetrics;

use super::column;

/// Reads the lines `eth0: bytes packets errs drop …`: eight columns received, eight sent.
pub(super) fn parse(dev: &str) -> Vec<NetMetrics> {
    dev.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let columns: Vec<&str> = rest.split_ascii_whitespace().collect();
            Some(NetMetrics {
                name: name.trim().to_owned(),
                received_bytes: column(&columns, 0),
                received_packets: column(&columns, 1),
                receive_errors: column(&columns, 2).saturating_add(column(&columns, 3)),
                sent_bytes: column(&columns, 8),
                sent_packets: column(&columns, 9),
                send_errors: column(&columns, 10).saturating_add(column(&columns, 11)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headings_are_no_interfaces() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n\
                   \x20 eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let expected = NetMetrics {
            name: "eth0".into(),
            received_bytes: 1,
            received_packets: 2,
            receive_errors: 7,
            sent_bytes: 9,
            sent_packets: 10,
            send_errors: 23,
        };
        assert_eq!(parse(dev), [expected]);
    }
}
