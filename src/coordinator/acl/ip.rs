//! The `ip` scheme: addresses and networks, `10.0.0.0/8`, `fd00::/16`.

use std::net::{IpAddr, Ipv6Addr};

/// Whether an id names an address or a network.
pub(super) fn is_valid(id: &[u8]) -> bool {
    network(id).is_some()
}

/// Whether `id`, an address, lies in the network that `expression` names.
pub(super) fn matches(id: &[u8], expression: &[u8]) -> bool {
    let (Some(IpAddr::V4(address)), Some((IpAddr::V4(network), bits))) =
        (address(id), network(expression))
    else {
        let (Some(IpAddr::V6(address)), Some((IpAddr::V6(network), bits))) =
            (address(id), network(expression))
        else {
            return false;
        };
        return bits == 0 || (address.to_bits() ^ network.to_bits()) >> (128 - bits) == 0;
    };
    bits == 0 || (address.to_bits() ^ network.to_bits()) >> (32 - bits) == 0
}

/// An address and how many of its leading bits count.
fn network(expression: &[u8]) -> Option<(IpAddr, u32)> {
    let slash = expression.iter().position(|&byte| byte == b'/');
    let address = address(&expression[..slash.unwrap_or(expression.len())])?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match slash {
        None => all,
        Some(slash) => std::str::from_utf8(&expression[slash + 1..])
            .ok()?
            .parse()
            .ok()
            .filter(|&bits| bits <= all)?,
    };
    Some((address, bits))
}

/// Java's server takes parts with leading zeros as decimal, which Rust's parser refuses.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let mut parts = text.split('.').map(|part| part.parse::<u8>().ok());
    let octets = [
        parts.next()??,
        parts.next()??,
        parts.next()??,
        parts.next()??,
    ];
    parts.next().is_none().then(|| IpAddr::from(octets))
}
