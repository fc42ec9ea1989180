//! Writes a tiny MaxMind database: IPv4 networks and their coordinates.

use std::net::Ipv4Addr;

const SEPARATOR: usize = 16;

fn control(kind: u8, size: usize) -> Vec<u8> {
    assert!(size < 29);
    if kind < 8 { vec![kind << 5 | size as u8] } else { vec![size as u8, kind - 7] }
}

fn text(value: &str) -> Vec<u8> {
    [control(2, value.len()), value.as_bytes().to_vec()].concat()
}

fn number(kind: u8, value: u64) -> Vec<u8> {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [control(kind, bytes.len()), bytes].concat()
}

fn double(value: f64) -> Vec<u8> {
    [control(3, 8), value.to_be_bytes().to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries_bytes = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    control(7, entries.len()).into_iter().chain(entries_bytes).collect()
}

/// Returns a database of these networks: address, prefix length, latitude, longitude. None may contain another.
pub fn write(networks: &[(Ipv4Addr, u32, f64, f64)]) -> Vec<u8> {
    // A record points to a node, to a location in the data, or to nothing.
    #[derive(Clone, Copy)]
    enum To {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let (mut nodes, mut data) = (vec![[To::Nothing; 2]], Vec::new());
    for (address, length, latitude, longitude) in networks {
        let bits = u32::from(*address);
        let mut node = 0;
        for depth in 0..*length {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == *length {
                nodes[node][side] = To::Data(data.len());
                break;
            }
            node = match nodes[node][side] {
                To::Node(next) => next,
                _ => {
                    nodes.push([To::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = To::Node(next);
                    next
                }
            };
        }
        let place = map(&[("latitude", double(*latitude)), ("longitude", double(*longitude))]);
        data.extend(map(&[("location", place)]));
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            To::Nothing => count,
            To::Node(node) => *node,
            To::Data(offset) => count + SEPARATOR + offset,
        };
        file.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
    }
    file.extend([0; SEPARATOR]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", number(9, 1_767_225_600)),
        ("database_type", text("Littoral-Test-City")),
        ("description", map(&[("en", text("networks of a test"))])),
        ("ip_version", number(5, 4)),
        ("languages", [control(11, 1), text("en")].concat()),
        ("node_count", number(6, count as u64)),
        ("record_size", number(5, 24)),
    ]));
    file
}
