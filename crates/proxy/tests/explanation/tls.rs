//! Whose certificate will be demanded, and what we show of ours.
#![expect(clippy::too_many_lines, reason = "snapshots are long")]

use crate::lab::Lab;

const RULES: &str = "/svc => /#/lab ;\n";

#[test]
fn a_static_name_and_our_own_certificate_are_shown() {
    let lab = Lab::of_client(
        RULES,
        r#"
[[routers.client.configs]]
prefix = "/#/lab/{service}"
[routers.client.configs.tls]
kind = "static"
common_name = "{service}.example.com"
trust = ["ca.pem"]
client_auth = { cert = "web.example.com.pem", key = "web.example.com.key" }
"#,
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc => /#/lab
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users
        *   /#/lab/users  waypost.toml:16:1  bound: 127.0.0.1:8080, 127.0.0.1:8081
    4. service   what holds for /svc/users
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          tls.kind                static                           waypost.toml:23:25
          tls.name                users.example.com                waypost.toml:23:25
          tls.trust               DIR/ca.pem                       waypost.toml:23:25
          tls.crls                none                             waypost.toml:23:25
          tls.client_auth         DIR/web.example.com.pem          waypost.toml:23:25
          tls.allow_common_name   false                            waypost.toml:23:25
          tls.sni                 users.example.com                waypost.toml:23:25
          tls.protocols           1.3, 1.2                         waypost.toml:23:25
          tls.alpn                by protocol                      waypost.toml:23:25
          the endpoint must show a certificate for users.example.com, from DIR/ca.pem; we show it DIR/web.example.com.pem

    bound: sent to /#/lab/users
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/users"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/users",
        "delegate": {
          "type": "leaf",
          "path": "/#/lab/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/lab",
            "from": "waypost.toml:16:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8080,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8081,
                  "meta": {
                    "endpoint_addr_weight": 2.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/lab/users",
            "path": "/"
          },
          "tls": {
            "kind": "static",
            "name": "users.example.com",
            "sni": "users.example.com",
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:23:25",
            "crls": [],
            "client_auth": "DIR/web.example.com.pem",
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          },
          "share": 1.0
        }
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8080",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8081",
              "weight": 2.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": {
            "kind": "static",
            "name": "users.example.com",
            "sni": "users.example.com",
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:23:25",
            "crls": [],
            "client_auth": "DIR/web.example.com.pem",
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          },
          "tls_from": "waypost.toml:23:25"
        }
      ],
      "service": "...",
      "error": null,
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn a_name_made_of_the_bound_path_is_shown() {
    let lab = Lab::of_client(
        RULES,
        r#"
[routers.client]
tls = { kind = "bound_path", trust = ["ca.pem"], names = [{ prefix = "/#/lab/{s}", common_name = "spiffe://prod/{s}" }] }
"#,
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc => /#/lab
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users
        *   /#/lab/users  waypost.toml:16:1  bound: 127.0.0.1:8080, 127.0.0.1:8081
    4. service   what holds for /svc/users
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          tls.kind                bound_path                       waypost.toml:22:1
          tls.name                spiffe://prod/users              waypost.toml:22:59
          tls.trust               DIR/ca.pem                       waypost.toml:22:1
          tls.crls                none                             waypost.toml:22:1
          tls.client_auth         none                             waypost.toml:22:1
          tls.allow_common_name   false                            waypost.toml:22:1
          tls.sni                 none                             waypost.toml:22:1
          tls.protocols           1.3, 1.2                         waypost.toml:22:1
          tls.alpn                by protocol                      waypost.toml:22:1
          the endpoint must show a certificate for spiffe://prod/users, from DIR/ca.pem; we show it none (no client_auth)

    bound: sent to /#/lab/users
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/users"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/users",
        "delegate": {
          "type": "leaf",
          "path": "/#/lab/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/lab",
            "from": "waypost.toml:16:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8080,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8081,
                  "meta": {
                    "endpoint_addr_weight": 2.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/lab/users",
            "path": "/"
          },
          "tls": {
            "kind": "bound_path",
            "name": "spiffe://prod/users",
            "sni": null,
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:22:1",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false,
            "name_from": "waypost.toml:22:59"
          },
          "share": 1.0
        }
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8080",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8081",
              "weight": 2.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": {
            "kind": "bound_path",
            "name": "spiffe://prod/users",
            "sni": null,
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:22:1",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false,
            "name_from": "waypost.toml:22:59"
          },
          "tls_from": "waypost.toml:22:1"
        }
      ],
      "service": "...",
      "error": null,
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn a_bound_path_that_no_name_is_for_is_refused_and_says_what_to_write() {
    let lab = Lab::of_client(
        RULES,
        r#"
[routers.client]
tls = { kind = "bound_path", trust = ["ca.pem"], names = [{ prefix = "/#/lab/beta", common_name = "beta.example.com" }] }
"#,
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc => /#/lab
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users
        *   /#/lab/users  waypost.toml:16:1  bound: 127.0.0.1:8080, 127.0.0.1:8081, but refused: there is no TLS name for it
    4. service   what holds for /svc/users
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          tls.kind                refused                          waypost.toml:22:1
          refused: there is no name to ask for

    note: the `names` at waypost.toml:22:1 need an entry for /#/lab/users; without one nothing is sent, least of all in clear text
    tls_refused: no TLS name for /#/lab/users: it matches none of /#/lab/beta (the client gets 502, tls_strict)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/users"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/users",
        "delegate": {
          "type": "leaf",
          "path": "/#/lab/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/lab",
            "from": "waypost.toml:16:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8080,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8081,
                  "meta": {
                    "endpoint_addr_weight": 2.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/lab/users",
            "path": "/"
          },
          "tls": {
            "kind": "refused",
            "name": null,
            "sni": null,
            "trust": [],
            "from": "waypost.toml:22:1",
            "error": "no TLS name for /#/lab/users: it matches none of /#/lab/beta"
          },
          "share": 1.0
        }
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "tls_refused",
      "leaves": [
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8080",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8081",
              "weight": 2.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": {
            "kind": "refused",
            "name": null,
            "sni": null,
            "trust": [],
            "from": "waypost.toml:22:1",
            "error": "no TLS name for /#/lab/users: it matches none of /#/lab/beta"
          },
          "tls_from": "waypost.toml:22:1",
          "error": "no TLS name for /#/lab/users: it matches none of /#/lab/beta"
        }
      ],
      "service": "...",
      "error": {
        "status": 502,
        "message": "no TLS name for /#/lab/users: it matches none of /#/lab/beta",
        "word": "tls_strict"
      },
      "empty_share": 0.0,
      "notes": [
        "the `names` at waypost.toml:22:1 need an entry for /#/lab/users; without one nothing is sent, least of all in clear text"
      ]
    }
    "##);
}

#[test]
fn what_is_not_verified_is_said_to_be_so() {
    let lab = Lab::of_client(
        RULES,
        "[routers.client]\ntls = { kind = \"no_validation\", common_name = \"any.example.com\" }\n",
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  header.token (default) -> /svc/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc => /#/lab
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/users
        *   /#/lab/users  waypost.toml:16:1  bound: 127.0.0.1:8080, 127.0.0.1:8081
    4. service   what holds for /svc/users
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          tls.kind                no_validation                    waypost.toml:21:1
          tls.sni                 any.example.com                  waypost.toml:21:1
          tls.protocols           1.3, 1.2                         waypost.toml:21:1
          tls.alpn                by protocol                      waypost.toml:21:1
          encrypted, whoever the endpoint is: nothing is verified

    bound: sent to /#/lab/users
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/users"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/users",
        "delegate": {
          "type": "leaf",
          "path": "/#/lab/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/lab",
            "from": "waypost.toml:16:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8080,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8081,
                  "meta": {
                    "endpoint_addr_weight": 2.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/lab/users",
            "path": "/"
          },
          "tls": {
            "kind": "no_validation",
            "name": null,
            "sni": "any.example.com",
            "trust": [],
            "from": "waypost.toml:21:1",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          },
          "share": 1.0
        }
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8080",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8081",
              "weight": 2.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": {
            "kind": "no_validation",
            "name": null,
            "sni": "any.example.com",
            "trust": [],
            "from": "waypost.toml:21:1",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          },
          "tls_from": "waypost.toml:21:1"
        }
      ],
      "service": "...",
      "error": null,
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn clear_text_has_the_place_that_says_so() {
    let undone = "[routers.client]\ntls = { kind = \"no_validation\" }\n\
                  [[routers.client.configs]]\nprefix = \"/#/lab/users\"\ntls = { kind = \"none\" }\n";
    for (client, from) in [("", "default"), (undone, "waypost.toml:24:1")] {
        let lab = Lab::of_client(RULES, client);
        let said = lab.explain("http://users/x", &[]);
        assert_eq!((said.leaves[0].tls.is_null(), said.leaves[0].tls_from.as_str()), (true, from));
        let text = said.to_text(waypost::explanation::Color::Off);
        assert!(text.contains("tls.kind                none                             "), "{text}");
        assert!(text.contains("clear text: nobody is asked who he is"), "{text}");
    }
}
