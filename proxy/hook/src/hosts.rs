//! Which hosts may be called, and which addresses never are.
//!
//! URLs are written by module authors, who may write resources in their namespaces; what a call can reach from where we
//! run is the platform's to say. Unless it says more, only services of the cluster are called.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Services of the cluster: where module back ends run.
pub const HOSTS_DEFAULT: &str = "*.svc,*.svc.cluster.local";

/// An entry of the list is not a host.
#[derive(Debug, thiserror::Error)]
#[error("is not a list of hosts such as crm.crm.svc, *.example.com, 10.0.0.7:8080")]
pub struct HostsError;

/// A list of hosts, each `name`, `*.suffix`, `*` or an address, with a port or without.
#[derive(Debug, Clone)]
pub struct AllowedHosts(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    pattern: Pattern,
    /// Any, when `None`.
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// Every name, but no address.
    AnyName,
    /// Names that end so, with the dot.
    Suffix(String),
    /// This name or address.
    Exact(Host),
}

impl AllowedHosts {
    /// Whether a hook's URL may be called.
    pub fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host() else {
            return false;
        };
        let port = url.port_or_known_default();
        let fits = |pattern: &Pattern| match (pattern, &host) {
            (Pattern::AnyName, Host::Domain(_)) => true,
            (Pattern::Suffix(suffix), Host::Domain(name)) => name.ends_with(suffix.as_str()),
            (Pattern::Exact(exact), host) => exact == &host.to_owned(),
            _ => false,
        };
        self.0
            .iter()
            .any(|e| (e.port.is_none() || e.port == port) && fits(&e.pattern))
    }
}

impl FromStr for AllowedHosts {
    type Err = HostsError;

    fn from_str(text: &str) -> Result<Self, HostsError> {
        let entries = text.split(',').map(str::trim).filter(|t| !t.is_empty());
        entries.map(parse_entry).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_entry(text: &str) -> Result<Entry, HostsError> {
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse().map_err(|_| HostsError)?))
        }
        _ => (text, None),
    };
    let name = |text: &str| match Host::parse(text) {
        Ok(host) => Ok(host),
        Err(_) => Err(HostsError),
    };
    let pattern = match host.strip_prefix('*') {
        Some("") => Pattern::AnyName,
        Some(suffix) => match name(suffix.strip_prefix('.').ok_or(HostsError)?)? {
            Host::Domain(domain) => Pattern::Suffix(format!(".{domain}")),
            _ => return Err(HostsError),
        },
        None => Pattern::Exact(name(host)?),
    };
    Ok(Entry { pattern, port })
}

/// Resolves names to addresses outside this machine and its link: a name must not lead to our own admin listener, or
/// to a cloud's metadata service. Who means such an address lists it as an address, which is not resolved.
pub(crate) struct Outward;

impl Resolve for Outward {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let outward: Vec<SocketAddr> = found.filter(|a| is_outward(a.ip())).collect();
            if outward.is_empty() {
                let message = "the name has no address that may be called";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into());
            }
            Ok(Box::new(outward.into_iter()) as Addrs)
        })
    }
}

fn is_outward(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            !(a.is_loopback()
                || a.is_unspecified()
                || a.is_link_local()
                || a.is_multicast()
                || a.is_broadcast()
                || a.octets()[0] == 0)
        }
        IpAddr::V6(a) => match embedded(a) {
            Some(inner) => is_outward(inner),
            None => {
                !(a.is_loopback()
                    || a.is_unspecified()
                    || a.is_unicast_link_local()
                    || a.is_multicast())
            }
        },
    }
}

/// An IPv4 address in one of the IPv6 forms that lead to it: mapped, or behind NAT64.
fn embedded(address: Ipv6Addr) -> Option<IpAddr> {
    let nat64 = [0x64, 0xff9b, 0, 0, 0, 0];
    let segments = address.segments();
    if segments[..6] == nat64 {
        let [.., a, b, c, d] = address.octets();
        return Some(IpAddr::from([a, b, c, d]));
    }
    address.to_ipv4_mapped().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_may_be_called() {
        let list: AllowedHosts = "crm.crm.svc, *.example.com:8443,127.0.0.1,[::1]:80"
            .parse()
            .unwrap();
        for (url, expected) in [
            ("http://crm.crm.svc/x", true),
            ("http://CRM.crm.svc:1234/x", true),
            ("http://evil.crm.crm.svc/", false),
            ("http://crm.crm.svc.evil.com/", false),
            ("https://a.example.com:8443/", true),
            ("https://a.example.com/", false),
            ("https://example.com:8443/", false),
            ("https://evilexample.com:8443/", false),
            ("http://127.0.0.1:17402/", true),
            ("http://0x7f.1/", true),
            ("http://127.0.0.2/", false),
            ("http://[::1]/", true),
            ("http://[::1]:81/", false),
        ] {
            assert_eq!(list.allow(&url.parse().unwrap()), expected, "{url}");
        }
        let any: AllowedHosts = "*".parse().unwrap();
        assert!(any.allow(&"http://whatever/".parse().unwrap()));
        for url in [
            "http://169.254.169.254/",
            "http://[::1]/",
            "http://2130706433/",
        ] {
            assert!(!any.allow(&url.parse().unwrap()), "{url}");
        }
        let cluster: AllowedHosts = HOSTS_DEFAULT.parse().unwrap();
        assert!(cluster.allow(&"http://crm.crm.svc:8080/".parse().unwrap()));
        assert!(!cluster.allow(&"http://example.com/".parse().unwrap()));
        let none: AllowedHosts = "".parse().unwrap();
        assert!(!none.allow(&"http://crm.crm.svc/".parse().unwrap()));
        for wrong in ["*x.com", "a b", "a:port", "*.10.0.0.1", "http://a"] {
            assert!(wrong.parse::<AllowedHosts>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_do_not_lead_inward() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("8.8.8.8", true),
            ("fd00::1", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("64:ff9b::a9fe:a9fe", false),
        ] {
            assert_eq!(is_outward(address.parse().unwrap()), expected, "{address}");
        }
    }
}
