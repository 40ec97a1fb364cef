//! `[[routers]]`: servers, identifiers, dtab and policies under one label.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::{Dtab, Identifiers, Path, Place, Span};
use waypost_routing::Transformer;

use super::Set;
use super::client::ClientPolicies;
use super::defaults;
use super::dtab::Rules;
use super::identifier;
use super::kinds::{Kind, Kinds};
use super::lint::{self, Bounds, Known, Lead, Listener, Open, Requests, Served, Shape};
use super::namer::NamerOrigin;
use super::raw::{Reader, Section};
use super::server::ServerConfig;
use super::service::ServicePolicies;
use super::transformer;
use crate::tls::Materials;

/// One router.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Unique among the routers. Default `http`.
    pub label: Arc<str>,
    /// How a request gets its logical path. Default: `header.token` under `/svc`.
    pub identifiers: Identifiers,
    /// Where each of them stands.
    pub identifiers_from: Vec<Place>,
    /// The rules, from `dtab` or from the content of `dtab_file`. Default: none.
    pub dtab: Dtab,
    /// The file that `dtab` was read from, to be watched.
    pub dtab_file: Option<PathBuf>,
    /// What becomes of all that is bound, in this order. Default: nothing.
    pub transformers: Vec<Transformer>,
    /// What a fallback is for. Default: names that are negative.
    pub fallback: Set<Fallback>,
    /// How long a request waits for a first answer of discovery. Default 10 s.
    pub binding_timeout: Duration,
    /// At least one.
    pub servers: Vec<ServerConfig>,
    /// What holds for logical paths.
    pub service: ServicePolicies,
    /// What holds for bound paths.
    pub client: ClientPolicies,
    /// What explanations call the namers; in the order of [`Config::namers`](super::Config::namers).
    pub namers: Arc<[NamerOrigin]>,
    /// The section's place.
    pub from: Place,
}

/// When the next alternative of a dtab is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// Where a name is negative; one that is bound is an answer, whoever is there (as linkerd).
    Name,
    /// Also where a bound name has no endpoints, or all of them are ejected.
    Endpoints,
}

impl Fallback {
    /// As in the file.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Endpoints => "endpoints",
        }
    }
}

/// What all routers share.
pub(super) struct Shared<'a> {
    pub(super) served: &'a Served,
    pub(super) namers: Arc<[NamerOrigin]>,
    pub(super) materials: &'a mut Materials,
    pub(super) seen: &'a mut Seen,
    pub(super) listeners: &'a mut Vec<Listener>,
}

/// What there may be only one of in a file.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// With its section; `None`: the admin's, which nobody wrote.
    listeners: Vec<(IpAddr, u16, Option<Span>)>,
    labels: Vec<(String, Span)>,
}

impl Seen {
    /// Reports an address that is already listened on. `0.0.0.0` holds all IPv4 addresses, `::` all there are.
    pub(super) fn listener(&mut self, ip: IpAddr, port: u16, span: Span, reader: &mut Reader<'_>) {
        let taken = self
            .listeners
            .iter()
            .find(|(other, other_port, _)| *other_port == port && port != 0 && overlap(*other, ip));
        if let Some((other, _, first)) = taken {
            let (other, address) = (SocketAddr::new(*other, port), SocketAddr::new(ip, port));
            let hint = match first {
                Some(first) => format!("{other} is listened on from {}", reader.place(first.start)),
                None => format!("the admin listens on {other}; give it another `port` in [admin]"),
            };
            reader.error_hint("address-twice", span, format!("{address} is listened on twice"), hint);
        }
        self.listeners.push((ip, port, Some(span)));
    }

    /// Notes the admin's address where the file says nothing about it.
    pub(super) fn default_listener(&mut self, ip: IpAddr, port: u16) {
        self.listeners.push((ip, port, None));
    }

    fn label(&mut self, label: &str, span: Span, reader: &mut Reader<'_>) {
        if let Some((_, first)) = self.labels.iter().find(|(other, _)| other == label) {
            let hint =
                format!("the first one is at {}; the default is `{}`", reader.place(first.start), defaults::LABEL);
            reader.error_hint("label-twice", span, format!("two routers have the label `{label}`"), hint);
        }
        self.labels.push((label.to_owned(), span));
    }
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let holds = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V4(wide) => wide.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(wide) => wide.is_unspecified(),
    };
    one == other || holds(one, other) || holds(other, one)
}

impl RouterConfig {
    /// One `[[routers]]`, with what is known of its rules; nothing where something is wrong that no default stands for.
    pub(super) fn read(
        mut section: Section<'_>,
        shared: &mut Shared<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<(Self, Known)> {
        let from = reader.place(section.span().start);
        let label = section.take("label");
        let label_span = label.as_ref().map_or_else(|| section.span(), |item| item.value);
        let label = label.map_or(Some(defaults::LABEL), |item| item.label(reader));
        label.iter().for_each(|label| shared.seen.label(label, label_span, reader));
        let dst_prefix = match section.take("dst_prefix") {
            Some(item) => item.name_path(reader),
            None => Path::parse(defaults::DST_PREFIX).ok(),
        };
        let (list, identifiers_from) =
            identifier::read(section.take("identifier").as_ref(), reader).into_iter().unzip();
        let rules = rules(&mut section, reader);
        let transformers = transformer::read(section.take("transformers").as_ref(), reader);
        let fallback = section
            .take("fallback")
            .and_then(|item| FALLBACKS.named_by(&item, reader).map(|fallback| reader.set(&item, fallback)))
            .unwrap_or(Set::default_of(Fallback::Name));
        let binding_timeout = section.duration("binding_timeout", defaults::BINDING_TIMEOUT, reader);
        let servers = servers(&mut section, shared, reader);
        let identifiers = Identifiers { dst_prefix: dst_prefix.clone().unwrap_or_default(), list };
        let logical = Shape::logical(&identifiers);
        let open = servers.iter().map(ServerConfig::is_open).find(|open| *open == Open::Yes).unwrap_or(Open::No);
        let requests = Requests { logical: &logical, overrides: open, fallback: fallback.value };
        let rules_known = rules.as_ref().map(|rules| lint::rules(rules, shared.served, requests, reader));
        let known = rules_known.unwrap_or_default();
        let service = ServicePolicies::read(section.take("service").as_ref(), &logical, reader);
        let client = section.take("client");
        let lead = Lead::of(transformers.as_deref().unwrap_or_default());
        let bounds = Bounds::new(shared.served, &known, open, lead);
        let client = ClientPolicies::read(client.as_ref(), &bounds, shared.materials, reader);
        section.finish(reader);
        let rules = rules?;
        dst_prefix?;
        let router = Self {
            label: label?.into(),
            identifiers,
            identifiers_from,
            dtab: rules.dtab,
            dtab_file: rules.file,
            transformers: transformers?,
            fallback,
            binding_timeout,
            servers,
            service,
            client,
            namers: Arc::clone(&shared.namers),
            from,
        };
        Some((router, known))
    }
}

/// `dtab` or `dtab_file`; no rules if there is neither.
fn rules(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Rules> {
    let (in_string, in_file) = (section.take("dtab"), section.take("dtab_file"));
    match (in_string, in_file) {
        (None, None) => Some(Rules::default()),
        (Some(_), Some(item)) => {
            let hint = "keep the one that is meant; rules of both would have an order that nobody sees";
            reader.error_hint("two-dtabs", item.key, "`dtab` and `dtab_file` exclude each other", hint);
            None
        }
        (Some(item), None) => Rules::in_string(&item, reader),
        (None, Some(item)) => Rules::in_file(&item, reader),
    }
}

fn servers(section: &mut Section<'_>, shared: &mut Shared<'_>, reader: &mut Reader<'_>) -> Vec<ServerConfig> {
    let sections = section.take("servers").map(|item| item.sections(reader)).unwrap_or_default();
    if sections.is_empty() {
        let hint = "add [[routers.servers]] with a `port`";
        reader.error_hint("no-server", section.span(), "a router without a server is never asked", hint);
    }
    let mut servers = Vec::with_capacity(sections.len());
    for section in sections {
        let span = section.span();
        if let Some((server, listener)) = ServerConfig::read(section, shared.materials, reader) {
            shared.seen.listener(server.ip, server.port, span, reader);
            shared.listeners.push(listener);
            servers.push(server);
        }
    }
    servers
}

const FALLBACKS: Kinds<Fallback> = Kinds {
    of: "fallback",
    known: &[
        Kind::new(Fallback::Name.kind(), &[], Fallback::Name),
        Kind::new(Fallback::Endpoints.kind(), &[], Fallback::Endpoints),
    ],
    not_yet: &[],
};
