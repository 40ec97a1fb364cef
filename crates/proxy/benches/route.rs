//! What it costs a worker to find out where a request goes: identify it, and look the route up or make it.
//!
//! `cargo bench -p waypost`. 10,000 services, a rule for each.

#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up has to end")]

use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};

use divan::{Bencher, black_box};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Request};

use waypost::config::Config;
use waypost::explanation::offline;
use waypost::plan::Snapshot;
use waypost::request::headers::Context;
use waypost::request::route::Route;
use waypost::tls::Materials;
use waypost::worker::local_router::LocalRouter;
use waypost::worker::{Published, Shared, Worker};
use waypost_routing::{Generation, HealthRegistry};

fn main() {
    divan::main();
}

const SERVICES: u16 = 10_000;

fn config() -> String {
    let mut text = "[[namers]]\nkind = \"static\"\nprefix = \"lab\"\n[namers.services]\n".to_owned();
    (0..SERVICES).for_each(|n| writeln!(text, "service-{n} = [\"127.0.0.1:{}\"]", n + 1).expect("memory"));
    text.push_str("[[routers]]\ndtab = \"\"\"\n/svc => /#/lab ;\n");
    (0..SERVICES).for_each(|n| writeln!(text, "/svc/service-{n} => /#/lab/service-{n} ;").expect("memory"));
    text.push_str("\"\"\"\n[[routers.servers]]\nport = 0\n");
    text
}

fn router() -> Rc<LocalRouter> {
    let config = Config::parse("waypost.toml", &config(), Path::new("")).expect("a configuration").config;
    let router = Arc::new(offline(&config, config.routers.first().expect("a router")));
    let snapshot = Snapshot { generation: 1, config: Arc::new(config), routers: vec![Arc::clone(&router)] };
    let published = Published { snapshot: Arc::new(snapshot), servers: Vec::new(), draining: false };
    let health = Arc::new(HealthRegistry::new());
    let shared = Shared::new(Arc::new(Generation::new()), health, 1, published);
    LocalRouter::new(&Worker::new(0, Arc::new(shared)), &router, Materials::default(), None)
}

/// One of many requests after the other, so that no cache is too warm.
fn requests() -> impl FnMut() -> Parts {
    let mut n = 0;
    move || {
        n = (n + 7_919) % SERVICES;
        let request = Request::builder().header("host", format!("service-{n}")).body(()).expect("a request");
        request.into_parts().0
    }
}

/// Nothing is waited for here.
fn route(router: &Rc<LocalRouter>, parts: &mut Parts, context: &Context) -> Rc<Route> {
    let found = std::pin::pin!(router.route(parts, context)).poll(&mut Polling::from_waker(Waker::noop()));
    match found {
        Poll::Ready(Ok(route)) => route,
        Poll::Ready(Err(_)) | Poll::Pending => panic!("every service has a route"),
    }
}

#[divan::bench(sample_size = 1_000)]
fn known_name(bencher: Bencher<'_, '_>) {
    let (router, context) = (router(), Context::default());
    let mut all: Vec<Parts> = std::iter::repeat_with(requests()).take(SERVICES.into()).collect();
    all.iter_mut().for_each(|parts| drop(route(&router, parts, &context)));
    let hosts: Vec<HeaderValue> = all.iter().filter_map(|parts| parts.headers.get(HOST).cloned()).collect();
    let (mut parts, mut next) = (requests()(), 0);
    bencher.bench_local(|| {
        next = (next + 1) % hosts.len();
        // A head that was just read is warm.
        if let (Some(host), Some(name)) = (parts.headers.get_mut(HOST), hosts.get(next)) {
            host.clone_from(name);
        }
        route(&router, &mut parts, &context)
    });
}

/// The same one again and again, as a busy client asks for it.
#[divan::bench(sample_size = 1_000)]
fn known_name_that_is_warm(bencher: Bencher<'_, '_>) {
    let (router, context) = (router(), Context::default());
    let mut parts = requests()();
    bencher.bench_local(|| black_box(route(&router, &mut parts, &context)));
}

/// All of it: bind, look up the policies, make a client.
#[divan::bench(sample_count = 50, sample_size = 100)]
fn new_name(bencher: Bencher<'_, '_>) {
    let (router, context) = (router(), Context::default());
    bencher.with_inputs(requests()).bench_local_refs(|parts| black_box(route(&router, parts, &context)));
}
