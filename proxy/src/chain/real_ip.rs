//! Who really connects: the peer, or what a trusted proxy in front of us says.

use std::{net::IpAddr, str::FromStr};

use http::HeaderMap;

/// A network in CIDR notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// A text that is no [`Cidr`].
#[derive(Debug, thiserror::Error)]
#[error("not a network in CIDR notation")]
pub struct CidrError;

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = text.split_once('/').ok_or(CidrError)?;
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let bits: u8 = bits.parse().map_err(|_| CidrError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            Err(CidrError)
        } else {
            Ok(Self { address, bits })
        }
    }
}

impl Cidr {
    /// Whether the address lies in the network. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The right-most address of `X-Forwarded-For` that is not itself a trusted proxy, when the peer is one; else the
/// peer. What is left of a malformed entry is not believed.
pub fn real_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(peer) {
        return peer;
    }
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    let mut nearest = peer;
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Ok(ip) = entry.trim().parse::<IpAddr>() else {
            return nearest;
        };
        nearest = ip.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let check = |peer: &str, forwarded: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = real_ip(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(
                found,
                expected.parse::<IpAddr>().unwrap(),
                "{peer} {forwarded:?}"
            );
        };
        check("192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check("10.1.2.3", &["198.51.100.7"], "198.51.100.7");
        check(
            "10.1.2.3",
            &["203.0.113.9, 198.51.100.7, 10.9.9.9"],
            "198.51.100.7",
        );
        check("10.1.2.3", &["203.0.113.9", "198.51.100.7"], "198.51.100.7");
        check("10.1.2.3", &["203.0.113.9, evil, 10.9.9.9"], "10.9.9.9");
        check("10.1.2.3", &[], "10.1.2.3");
        check("::ffff:10.1.2.3", &["198.51.100.7"], "198.51.100.7");
        check("fd00::1", &["2001:db8::1"], "2001:db8::1");
    }

    #[test]
    fn a_network_has_an_address_and_bits() {
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "x/8",
            "::/129",
            "10.0.0.0/-1",
            "",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
    }
}
