//! Pure functions from one set of addresses to another, equal where they do the same.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Addresses, Endpoint};
use crate::network::Network;

/// What is done to each endpoint of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mapping {
    /// Another port. What falls together is one endpoint with the sum of the weights, so that each host keeps its
    /// share.
    Port(u16),
    /// Only those with this IP address stay.
    Host(IpAddr),
    /// Only those of this machine stay: the loopback, and these addresses of its interfaces.
    Local(Arc<[IpAddr]>),
    /// Only those in this network stay.
    Network(Network),
}

impl Mapping {
    /// What it makes of `addresses`; what is not bound stays as it is. A filter that leaves nothing makes it
    /// [`Addresses::Neg`], as in linkerd.
    pub(super) fn apply(&self, addresses: &Arc<Addresses>) -> Arc<Addresses> {
        let Addresses::Bound(endpoints) = &**addresses else { return Arc::clone(addresses) };
        match self {
            Self::Port(port) => Arc::new(Addresses::Bound(at_port(endpoints, *port).into())),
            Self::Host(host) => filtered(addresses, endpoints, |ip| ip == *host),
            Self::Local(own) => filtered(addresses, endpoints, |ip| ip.is_loopback() || own.contains(&ip)),
            Self::Network(network) => filtered(addresses, endpoints, |ip| network.contains(ip)),
        }
    }
}

fn at_port(endpoints: &[Endpoint], port: u16) -> Vec<Endpoint> {
    let mut mapped: Vec<Endpoint> = Vec::with_capacity(endpoints.len());
    let mut places = HashMap::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let addr = SocketAddr::new(endpoint.addr.ip(), port);
        let place = *places.entry(addr).or_insert(mapped.len());
        match mapped.get_mut(place) {
            // A sum of great weights would not be finite.
            Some(known) => known.weight = (known.weight + endpoint.weight).min(f64::MAX),
            None => mapped.push(Endpoint { addr, weight: endpoint.weight }),
        }
    }
    mapped
}

fn filtered(addresses: &Arc<Addresses>, endpoints: &[Endpoint], stays: impl Fn(IpAddr) -> bool) -> Arc<Addresses> {
    let left: Vec<_> = endpoints.iter().filter(|endpoint| stays(endpoint.addr.ip().to_canonical())).cloned().collect();
    match left.len() {
        0 => Arc::new(Addresses::Neg),
        all if all == endpoints.len() => Arc::clone(addresses),
        _ => Arc::new(Addresses::Bound(left.into())),
    }
}
