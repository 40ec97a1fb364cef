//! How the entries of a policy merge, and where each value says it is from.

use std::time::Duration;

use waypost::config::{Classifier, ContextFrom, Overrides, Protocol};
use waypost_routing::{AccrualPolicy, BalancerKind, ClientTls};

use super::{loaded, name, router};

const STATIC: &str = "[[namers]]\nkind = \"static\"\nprefix = \"lab\"\nservices = { users-v1 = [], web-v2 = [] }\n";

#[test]
fn later_entries_win_key_by_key_and_places_say_who_won() {
    let config = loaded(&router(
        "[routers.service]
total_timeout = \"10s\"
classifier = \"http.retryable_read_5xx\"
[[routers.service.configs]]
prefix = \"/svc/users\"
total_timeout = \"1s\" # waypost: allow(overridden-policy) so it is seen which one wins
[[routers.service.configs]]
prefix = \"/svc/{any}\"
total_timeout = \"none\"
",
    ));
    let service = &config.routers[0].service;

    for (path, time_out, from) in [
        ("/svc/users", None, "waypost.toml:12:1"),
        ("/svc/web/x", None, "waypost.toml:12:1"),
        ("/svc", Some(Duration::from_secs(10)), "waypost.toml:5:1"),
    ] {
        let policy = service.for_path(&name(path));
        assert_eq!((policy.total_timeout.value, policy.total_timeout.from.to_string()), (time_out, from.to_owned()));
        assert_eq!(policy.classifier.value, Classifier::RetryableRead5xx);
        assert_eq!(policy.retries.from.to_string(), "default");
    }
}

#[test]
fn tables_are_replaced_whole() {
    let config = loaded(&router(
        "[routers.client]
pool = { max_connections = 7, max_waiters = 3 }
[routers.service]
retries = { max_attempts = 9, backoff = { min = \"5ms\" } }
[[routers.client.configs]]
prefix = \"/$/inet\"
pool = { max_waiters = 4 }
accrual = \"none\"
balancer = \"roundRobin\"
[[routers.service.configs]]
prefix = \"/svc\"
retries = { budget = { ratio = 0 } }
",
    ));
    let client = config.routers[0].client.for_bound(&name("/$/inet/127.1/80"));
    let service = config.routers[0].service.for_path(&name("/svc/users"));

    assert_eq!((client.pool.value.max_connections.get(), client.pool.value.max_waiters), (1_024, 4));
    assert_eq!((client.accrual.value, client.balancer.value), (AccrualPolicy::None, BalancerKind::RoundRobin));
    assert_eq!((service.retries.value.max_attempts.get(), service.retries.value.budget.ratio), (3, 0.0));
    assert_eq!(service.retries.value.backoff_min, Duration::from_millis(10));
}

#[test]
fn templates_use_the_captures_of_their_own_entry() {
    let text = STATIC.to_owned()
        + &router(
            "[[routers.client.configs]]
prefix = \"/#/lab/{service}-{version}\"
host = \"{version}.{service}.example.com\"
tls = { kind = \"static\", common_name = \"{service}.example.com\" }
protocol = \"http2\"
[[routers.client.configs]]
prefix = \"/#/lab/web-{v}\"
tls = \"none\"
",
        );
    let client = loaded(&text).routers[0].client.clone();

    let users = client.for_bound(&name("/#/lab/users-v1"));
    assert_eq!(users.host.value.as_deref(), Some("v1.users.example.com"));
    assert_eq!(
        (users.protocol.value, users.protocol.from.to_string()),
        (Protocol::Http2, "waypost.toml:12:1".to_owned())
    );
    assert!(matches!(&users.tls.value, Ok(ClientTls::Verify { name, .. }) if name.to_string() == "users.example.com"));
    assert_eq!(users.tls.from.to_string(), "waypost.toml:11:1");

    let web = client.for_bound(&name("/#/lab/web-v2"));
    assert_eq!((web.tls.value, web.tls.from.to_string()), (Ok(ClientTls::Clear), "waypost.toml:15:1".to_owned()));
    assert_eq!(web.host.value.as_deref(), Some("v2.web.example.com"));
}

#[test]
fn a_bound_path_that_no_name_is_for_has_no_identity() {
    let text = STATIC.to_owned()
        + &router(
            "[routers.client.tls]
kind = \"io.l5d.boundPath\"
names = [{ prefix = \"/#/lab/{service}-v1\", common_name = \"{service}.example.com\" }]
",
        );
    let client = &loaded(&text).routers[0].client;

    let refused = client.for_bound(&name("/#/lab/web-v2")).tls.value.unwrap_err();

    assert!(refused.to_string().contains("/#/lab/web-v2"), "{refused}");
    assert!(client.for_bound(&name("/#/lab/users-v1")).tls.value.is_ok());
}

#[test]
fn linkerds_spellings_mean_the_same() {
    let text = "[[namers]]\nkind = \"io.l5d.static\"\nservices = { users = [] }\n".to_owned()
        + &router(
            "[routers.client]
accrual = { kind = \"io.l5d.consecutiveFailures\", failures = 2 }
[routers.service]
classifier = { kind = \"io.l5d.http.retryableIdempotent5XX\" }
",
        )
        .replace(
            "[[routers]]\n",
            "[[routers]]\nidentifier = \"io.l5d.methodAndHost\"\ndtab = \"/svc/1.1/* => /#/io.l5d.static\"\n",
        );
    let config = loaded(&text);
    let router = &config.routers[0];

    assert_eq!(config.namers[0].prefix.to_string(), "/io.l5d.static");
    assert_eq!(router.identifiers.list[0].kind(), "method_and_host");
    assert_eq!(router.service.for_path(&name("/svc")).classifier.value, Classifier::RetryableIdempotent5xx);
    let accrual = router.client.for_bound(&name("/#/io.l5d.static/users")).accrual.value;
    assert!(matches!(accrual, AccrualPolicy::ConsecutiveFailures { failures: 2, .. }), "{accrual:?}");
}

#[test]
fn overrides_are_open_on_loopback_only() {
    for (ip, expected) in [("127.0.0.1", Overrides::Any), ("::1", Overrides::Any), ("0.0.0.0", Overrides::None)] {
        let config = loaded(&router(&format!("ip = \"{ip}\"\n")));
        let server = &config.routers[0].servers[0];
        assert_eq!((&server.overrides, server.context), (&expected, ContextFrom::Trusted), "{ip}");
    }
}

#[test]
fn rules_know_their_place_in_the_file() {
    let config = loaded(
        &router("")
            .replace("[[routers]]\n", "[[routers]]\ndtab = \"\"\"\n/svc/a => /$/nil ;\n  /svc/b => /$/nil ;\n\"\"\"\n"),
    );

    let places: Vec<_> = config.routers[0].dtab.dentries().iter().map(|dentry| dentry.place.to_string()).collect();

    assert_eq!(places, ["waypost.toml:3:1", "waypost.toml:4:3"]);
}
