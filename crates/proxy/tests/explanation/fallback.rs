//! Alternatives that are tried because nobody is there, and what transformers make of names.
#![expect(clippy::too_many_lines, reason = "snapshots are long")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use waypost_routing::{AccrualPolicy, Health};

use crate::lab::Lab;

fn lab(keys: &str, dtab: &str) -> Lab {
    let namers = "[[namers]]\nkind = \"fs\"\nroot_dir = \"disco\"\n";
    Lab::of(&format!("{namers}[[routers]]\n{keys}\ndtab = \"\"\"\n{dtab}\"\"\"\n[[routers.servers]]\nport = 4140\n"))
}

/// All endpoints of `/#/fs/web` are out, as long as this is held.
fn eject_web(lab: &Lab) -> Vec<Arc<Health>> {
    let once = AccrualPolicy::ConsecutiveFailures {
        failures: 1,
        backoff_min: Duration::from_secs(60),
        backoff_max: Duration::from_secs(60),
    };
    let web = "/#/fs/web".parse().unwrap();
    let health = [8091, 8092].map(|port| lab.router.health.health("http", &web, ([127, 0, 0, 1], port).into()));
    health.into_iter().inspect(|health| health.failure(&once, Instant::now())).collect()
}

#[test]
fn a_name_that_gave_way_says_why() {
    let lab = lab("fallback = \"endpoints\"", "/svc => /#/fs/web ;\n/svc/users => /#/fs/empty ;\n");
    insta::assert_snapshot!(lab.text(&lab.explain("http://users/", &[])), @r##"
    GET /   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:7:1  decides        /svc => /#/fs/web
          waypost.toml:8:1  leads nowhere  /svc/users => /#/fs/empty
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users                           the first of these that leads somewhere
            /#/fs/empty      waypost.toml:8:1  leads nowhere: /#/fs/empty exists, with no endpoints
        *   /#/fs/web/users  waypost.toml:7:1  bound as /#/fs/web, /users is left: 127.0.0.1:8091, 127.0.0.1:8092
          fallback is `endpoints` (waypost.toml:5:1): an alternative is tried where a name does not exist or has nobody to ask
    4. service   what holds for /svc/users
    5. client    /#/fs/web gets 100 % of the requests
          endpoint                127.0.0.1:8091, weight 1, alive
          endpoint                127.0.0.1:8092, weight 3, alive
          residual                /users
          clear text: nobody is asked who he is

    bound: sent to /#/fs/web
    "##);
    insta::assert_json_snapshot!(lab.explain("http://users/", &[]).tree, @r##"
    {
      "type": "alt",
      "path": "/svc/users",
      "alt": [
        {
          "type": "leaf",
          "path": "/#/fs/empty",
          "dentry": {
            "prefix": "/svc/users",
            "dst": "/#/fs/empty",
            "from": "waypost.toml:8:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [],
              "meta": {}
            },
            "id": "/#/fs/empty",
            "path": "/"
          },
          "tls": null,
          "lost": "negative",
          "why": "/#/fs/empty exists, with no endpoints"
        },
        {
          "type": "leaf",
          "path": "/#/fs/web/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/fs/web",
            "from": "waypost.toml:7:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8091,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8092,
                  "meta": {
                    "endpoint_addr_weight": 3.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/fs/web",
            "path": "/users"
          },
          "tls": null,
          "share": 1.0
        }
      ]
    }
    "##);
}

#[test]
fn a_name_whose_endpoints_are_ejected_gave_way_too() {
    let lab = lab("fallback = \"endpoints\"", "/svc/users => /#/fs/web | /#/fs/empty | /$/inet/127.0.0.1/9 ;\n");
    let _ejected = eject_web(&lab);
    insta::assert_snapshot!(lab.text(&lab.explain("http://users/", &[])), @r##"
    GET /   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:7:1  decides  /svc/users => /#/fs/web | /#/fs/empty | /$/inet/127.0.0.1/9
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users                               the first of these that leads somewhere
            /#/fs/web            waypost.toml:7:1  leads nowhere: all endpoints of /#/fs/web are ejected
            /#/fs/empty          waypost.toml:7:1  leads nowhere: /#/fs/empty exists, with no endpoints
        *   /$/inet/127.0.0.1/9  waypost.toml:7:1  bound: 127.0.0.1:9
          fallback is `endpoints` (waypost.toml:5:1): an alternative is tried where a name does not exist or has nobody to ask
    4. service   what holds for /svc/users
    5. client    /$/inet/127.0.0.1/9 gets 100 % of the requests
          endpoint                127.0.0.1:9, weight 1, alive
          clear text: nobody is asked who he is

    bound: sent to /$/inet/127.0.0.1/9
    "##);
}

#[test]
fn where_all_are_ejected_the_first_name_says_so() {
    let lab = lab("fallback = \"endpoints\"", "/svc/users => /#/fs/web | /#/fs/empty ;\n");
    let _ejected = eject_web(&lab);
    insta::assert_snapshot!(lab.text(&lab.explain("http://users/", &[])), @r##"
    GET /   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:7:1  decides  /svc/users => /#/fs/web | /#/fs/empty
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users                       the first of these that leads somewhere
        *   /#/fs/web    waypost.toml:7:1  bound: 127.0.0.1:8091, 127.0.0.1:8092
            /#/fs/empty  waypost.toml:7:1  not tried: all endpoints of /#/fs/web are ejected; no alternative has anybody either; it would be bound: no endpoints
          fallback is `endpoints` (waypost.toml:5:1): an alternative is tried where a name does not exist or has nobody to ask
    4. service   what holds for /svc/users
    5. client    /#/fs/web gets 100 % of the requests
          endpoint                127.0.0.1:8091, weight 1, ejected
          endpoint                127.0.0.1:8092, weight 3, ejected
          clear text: nobody is asked who he is

    bound: sent to /#/fs/web
    "##);
}

#[test]
fn where_nobody_is_anywhere_the_first_name_is_kept() {
    let lab = lab("fallback = \"endpoints\"", "/svc/users => /#/fs/empty | /#/fs/broken ;\n");
    insta::assert_snapshot!(lab.text(&lab.explain("http://users/", &[])), @r##"
    GET /   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:7:1  decides  /svc/users => /#/fs/empty | /#/fs/broken
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users                        the first of these that leads somewhere
        *   /#/fs/empty   waypost.toml:7:1  bound: no endpoints
            /#/fs/broken  waypost.toml:7:1  not tried: /#/fs/empty exists, with no endpoints; no alternative has anybody either; it would be bound: discovery failed: DIR/disco/broken:1:10: there is no port
          fallback is `endpoints` (waypost.toml:5:1): an alternative is tried where a name does not exist or has nobody to ask
    4. service   what holds for /svc/users
    5. client    /#/fs/empty gets 100 % of the requests
          endpoint                none
          clear text: nobody is asked who he is

    no_endpoints: /svc/users: bound to /#/fs/empty, which has no endpoints (the client gets 502, no_endpoints)
    "##);
}

#[test]
fn what_transformers_make_of_a_name_is_shown() {
    let keys = "transformers = [{ kind = \"port\", port = 4143 }, { kind = \"subnet\", network = \"127.0.0.0/8\" }]";
    let lab = lab(keys, "/svc/users => /#/fs/web | /#/fs/empty ;\n");
    insta::assert_snapshot!(lab.text(&lab.explain("http://users/", &[])), @r##"
    GET /   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:7:1  decides  /svc/users => /#/fs/web | /#/fs/empty
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users                                                            the first of these that leads somewhere
        *   /#/fs/web                                         waypost.toml:7:1  transformed by /%/port/4143
        *     /%/port/4143/#/fs/web                           waypost.toml:7:1  transformed by /%/subnet/127.0.0.0/8
        *       /%/subnet/127.0.0.0/8/%/port/4143/#/fs/web    waypost.toml:7:1  bound: 127.0.0.1:4143
            /#/fs/empty                                       waypost.toml:7:1  not tried: /%/subnet/127.0.0.0/8/%/port/4143/#/fs/web answered
              /%/port/4143/#/fs/empty                         waypost.toml:7:1  transformed by /%/subnet/127.0.0.0/8
                /%/subnet/127.0.0.0/8/%/port/4143/#/fs/empty  waypost.toml:7:1  bound: no endpoints, discovery knows no such host
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/users
    5. client    /%/subnet/127.0.0.0/8/%/port/4143/#/fs/web gets 100 % of the requests
          endpoint                127.0.0.1:4143, weight 4, alive
          clear text: nobody is asked who he is

    bound: sent to /%/subnet/127.0.0.0/8/%/port/4143/#/fs/web
    "##);
    insta::assert_json_snapshot!(lab.explain("http://users/", &[]).tree, @r##"
    {
      "type": "alt",
      "path": "/svc/users",
      "alt": [
        {
          "type": "transformation",
          "path": "/#/fs/web",
          "dentry": {
            "prefix": "/svc/users",
            "dst": "/#/fs/web | /#/fs/empty",
            "from": "waypost.toml:7:1"
          },
          "name": "/%/port/4143",
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8091,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8092,
                  "meta": {
                    "endpoint_addr_weight": 3.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/fs/web",
            "path": "/"
          },
          "tree": {
            "type": "transformation",
            "path": "/%/port/4143/#/fs/web",
            "dentry": {
              "prefix": "/svc/users",
              "dst": "/#/fs/web | /#/fs/empty",
              "from": "waypost.toml:7:1"
            },
            "name": "/%/subnet/127.0.0.0/8",
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 4143,
                    "meta": {
                      "endpoint_addr_weight": 4.0
                    }
                  }
                ],
                "meta": {}
              },
              "id": "/%/port/4143/#/fs/web",
              "path": "/"
            },
            "tree": {
              "type": "leaf",
              "path": "/%/subnet/127.0.0.0/8/%/port/4143/#/fs/web",
              "dentry": {
                "prefix": "/svc/users",
                "dst": "/#/fs/web | /#/fs/empty",
                "from": "waypost.toml:7:1"
              },
              "bound": {
                "addr": {
                  "type": "bound",
                  "addrs": [
                    {
                      "ip": "127.0.0.1",
                      "port": 4143,
                      "meta": {
                        "endpoint_addr_weight": 4.0
                      }
                    }
                  ],
                  "meta": {}
                },
                "id": "/%/subnet/127.0.0.0/8/%/port/4143/#/fs/web",
                "path": "/"
              },
              "tls": null,
              "share": 1.0
            },
            "tls": null
          },
          "tls": null
        },
        {
          "type": "transformation",
          "path": "/#/fs/empty",
          "dentry": {
            "prefix": "/svc/users",
            "dst": "/#/fs/web | /#/fs/empty",
            "from": "waypost.toml:7:1"
          },
          "name": "/%/port/4143",
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [],
              "meta": {}
            },
            "id": "/#/fs/empty",
            "path": "/"
          },
          "tree": {
            "type": "transformation",
            "path": "/%/port/4143/#/fs/empty",
            "dentry": {
              "prefix": "/svc/users",
              "dst": "/#/fs/web | /#/fs/empty",
              "from": "waypost.toml:7:1"
            },
            "name": "/%/subnet/127.0.0.0/8",
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [],
                "meta": {}
              },
              "id": "/%/port/4143/#/fs/empty",
              "path": "/"
            },
            "tree": {
              "type": "leaf",
              "path": "/%/subnet/127.0.0.0/8/%/port/4143/#/fs/empty",
              "dentry": {
                "prefix": "/svc/users",
                "dst": "/#/fs/web | /#/fs/empty",
                "from": "waypost.toml:7:1"
              },
              "bound": {
                "addr": {
                  "type": "neg"
                },
                "id": "/%/subnet/127.0.0.0/8/%/port/4143/#/fs/empty",
                "path": "/"
              },
              "tls": null
            },
            "tls": null
          },
          "tls": null,
          "lost": "not_reached",
          "why": "/%/subnet/127.0.0.0/8/%/port/4143/#/fs/web answered"
        }
      ]
    }
    "##);
}
