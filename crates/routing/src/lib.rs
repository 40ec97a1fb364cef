//! waypost-routing: from a logical path to live endpoints.
//!
//! Naming says what a path may mean; this crate finds out what it means now, and keeps it true:
//!
//! * [`bind`] (`binding.rs`) joins a dtab, overrides and a [`NamerSet`] into a [`Decision`], together with the
//!   [`Dependencies`] that tell when it has to be made again;
//! * namers (`namer.rs`) find names and publish their endpoints as [`AddressSet`]s;
//! * [`Transformer`]s (`transform.rs`) bind otherwise what was bound: at another port, on this machine only, ...;
//! * a [`Balancer`] picks one endpoint of a set, [`Health`] says which are out;
//! * a [`TlsRule`] turns a bound path into the identity that the endpoint must prove ([`ClientTls`]).
//!
//! Control tasks write, workers read: every state here is replaced whole and read without waiting. Of HTTP and TLS
//! libraries this crate knows nothing. Read `binding.rs` first, then `namer.rs`.

mod accrual;
mod address;
mod balance;
mod binding;
mod decision;
mod dependencies;
mod dtab_cell;
mod generation;
mod health;
mod identity;
mod namer;
mod network;
mod occupancy;
mod transform;
mod watch;

#[cfg(test)]
mod eventually;

pub use self::accrual::{AccrualPolicy, Health};
pub use self::address::{AddressSet, Addresses, Cause, Endpoint};
pub use self::balance::{Balancer, BalancerKind, Ewma, Load};
pub use self::binding::{Binding, Manner, bind, delegate};
pub use self::decision::{Choice, Decision, Leaf, Outcome};
pub use self::dependencies::Dependencies;
pub use self::dtab_cell::DtabCell;
pub use self::generation::Generation;
pub use self::health::HealthRegistry;
pub use self::identity::{
    BadPeerName, ClientTls, NameRule, NoIdentity, PeerName, PeerNameError, TlsRule, TlsSettings, TlsVersion, Unmatched,
};
#[doc(hidden)]
pub use self::namer::endpoints_in;
pub use self::namer::{DnsConfig, NamerConfig, NamerKind, NamerSet, Problem};
pub use self::network::{Network, NetworkError};
pub use self::occupancy::{Occupancy, Occupants};
pub use self::transform::{Transformer, TransformerKind, transform, transform_delegation};
pub use self::watch::{Changes, DirectoryWatch, directories_of};
