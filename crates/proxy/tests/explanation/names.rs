//! Where a name leads, and why it does not lead elsewhere.
#![expect(clippy::too_many_lines, reason = "snapshots are long")]

use crate::lab::Lab;

#[test]
fn a_fallback_says_which_branch_answered_and_why_the_others_did_not() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n/svc/web => /#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta ;\n");
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  not reached  /svc => /#/fs
          waypost.toml:17:1  decides      /svc/web => /#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                           the first of these that leads somewhere
            /#/lab/user   waypost.toml:17:1  leads nowhere: the static namer at /#/lab (waypost.toml:6:1) has no `user`; did you mean `users`?
            /#/k8s/web    waypost.toml:17:1  leads nowhere: no namer answers for /#/k8s; there are `/#/fs`, `/#/lab`
        *   /#/lab/users  waypost.toml:17:1  bound: 127.0.0.1:8080, 127.0.0.1:8081
            /#/lab/beta   waypost.toml:17:1  not tried: /#/lab/users answered; it would be bound: 127.0.0.1:8082
            /#/fs/web     waypost.toml:16:1  not tried: the later rule at waypost.toml:17:1 goes first, and /#/lab/users answered; it would be bound: 127.0.0.1:8091, 127.0.0.1:8092
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/web
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          clear text: nobody is asked who he is

    bound: sent to /#/lab/users
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/fs",
          "from": "waypost.toml:16:1",
          "state": "not_reached"
        },
        {
          "prefix": "/svc/web",
          "tree": "/#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta",
          "from": "waypost.toml:17:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/web",
        "alt": [
          {
            "type": "neg",
            "path": "/#/lab/user",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta",
              "from": "waypost.toml:17:1"
            },
            "lost": "negative",
            "why": "the static namer at /#/lab (waypost.toml:6:1) has no `user`; did you mean `users`?"
          },
          {
            "type": "neg",
            "path": "/#/k8s/web",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta",
              "from": "waypost.toml:17:1"
            },
            "lost": "negative",
            "why": "no namer answers for /#/k8s; there are `/#/fs`, `/#/lab`"
          },
          {
            "type": "leaf",
            "path": "/#/lab/users",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta",
              "from": "waypost.toml:17:1"
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
            "tls": null,
            "share": 1.0
          },
          {
            "type": "leaf",
            "path": "/#/lab/beta",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/user | /#/k8s/web | /#/lab/users | /#/lab/beta",
              "from": "waypost.toml:17:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8082,
                    "meta": {}
                  }
                ],
                "meta": {}
              },
              "id": "/#/lab/beta",
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "/#/lab/users answered"
          },
          {
            "type": "leaf",
            "path": "/#/fs/web",
            "dentry": {
              "prefix": "/svc",
              "dst": "/#/fs",
              "from": "waypost.toml:16:1"
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
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "the later rule at waypost.toml:17:1 goes first, and /#/lab/users answered"
          }
        ]
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
          "tls": null,
          "tls_from": "default"
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
fn a_weighted_split_shows_shares_and_what_is_left_out() {
    let lab =
        Lab::of_rules("/svc/web => 0.9 * /#/fs/web & 0.1 * (/#/lab/users & /#/lab/gone & 0 * /#/lab/beta & !) ;\n");
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc/web => 0.9 * /#/fs/web & 0.1 * (/#/lab/users & /#/lab/gone & 0 * /#/lab/beta & !)
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                                 each of these, by weight
        *   0.9 * /#/fs/web     waypost.toml:16:1  bound: 127.0.0.1:8091, 127.0.0.1:8092, 90 % of the requests
        *   0.1 * /svc/web      waypost.toml:16:1  each of these, by weight, renormalised: 2 of 4 left out
        *     1 * /#/lab/users  waypost.toml:16:1  bound: 127.0.0.1:8080, 127.0.0.1:8081, 10 % of the requests
              1 * /#/lab/gone   waypost.toml:16:1  left out of the union: the static namer at /#/lab (waypost.toml:6:1) has no `gone`; it has `beta`, `nobody`, `users`
              0 * /#/lab/beta   waypost.toml:16:1  gets no requests: its weight is 0
              1 * !             waypost.toml:16:1  left out of the union: a `!` counts for nothing in a union
    4. service   what holds for /svc/web
    5. client    /#/fs/web gets 90 % of the requests
          endpoint                127.0.0.1:8091, weight 1, alive
          endpoint                127.0.0.1:8092, weight 3, alive
          clear text: nobody is asked who he is
    6. client    /#/lab/users gets 10 % of the requests
          endpoint  127.0.0.1:8080, weight 1, alive
          endpoint  127.0.0.1:8081, weight 2, alive
          all else as for /#/fs/web
          clear text: nobody is asked who he is
    7. client    /#/lab/beta gets 0 % of the requests
          endpoint  127.0.0.1:8082, weight 1, alive
          all else as for /#/fs/web
          clear text: nobody is asked who he is

    note: /#/lab/gone is left out of its union, and its weight goes to the others: the static namer at /#/lab (waypost.toml:6:1) has no `gone`; it has `beta`, `nobody`, `users`
    note: ! is left out of its union, and its weight goes to the others: a `!` counts for nothing in a union
    bound: sent to /#/fs/web or /#/lab/users
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc/web",
          "tree": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "union",
        "path": "/svc/web",
        "union": [
          {
            "weight": 0.9,
            "tree": {
              "type": "leaf",
              "path": "/#/fs/web",
              "dentry": {
                "prefix": "/svc/web",
                "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
                "from": "waypost.toml:16:1"
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
                "path": "/"
              },
              "tls": null,
              "share": 0.9
            }
          },
          {
            "weight": 0.1,
            "tree": {
              "type": "union",
              "path": "/svc/web",
              "dentry": {
                "prefix": "/svc/web",
                "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
                "from": "waypost.toml:16:1"
              },
              "union": [
                {
                  "weight": 1.0,
                  "tree": {
                    "type": "leaf",
                    "path": "/#/lab/users",
                    "dentry": {
                      "prefix": "/svc/web",
                      "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
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
                    "tls": null,
                    "share": 0.1
                  }
                },
                {
                  "weight": 1.0,
                  "tree": {
                    "type": "neg",
                    "path": "/#/lab/gone",
                    "dentry": {
                      "prefix": "/svc/web",
                      "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
                      "from": "waypost.toml:16:1"
                    },
                    "lost": "left_out",
                    "why": "the static namer at /#/lab (waypost.toml:6:1) has no `gone`; it has `beta`, `nobody`, `users`"
                  }
                },
                {
                  "weight": 0.0,
                  "tree": {
                    "type": "leaf",
                    "path": "/#/lab/beta",
                    "dentry": {
                      "prefix": "/svc/web",
                      "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
                      "from": "waypost.toml:16:1"
                    },
                    "bound": {
                      "addr": {
                        "type": "bound",
                        "addrs": [
                          {
                            "ip": "127.0.0.1",
                            "port": 8082,
                            "meta": {}
                          }
                        ],
                        "meta": {}
                      },
                      "id": "/#/lab/beta",
                      "path": "/"
                    },
                    "tls": null,
                    "share": 0.0,
                    "lost": "no_weight"
                  }
                },
                {
                  "weight": 1.0,
                  "tree": {
                    "type": "fail",
                    "path": "!",
                    "dentry": {
                      "prefix": "/svc/web",
                      "dst": "0.90*/#/fs/web & 0.10*(/#/lab/users & /#/lab/gone & 0.00*/#/lab/beta & !)",
                      "from": "waypost.toml:16:1"
                    },
                    "lost": "left_out",
                    "why": "a `!` counts for nothing in a union"
                  }
                }
              ]
            }
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/fs/web",
          "residual": "/",
          "share": 0.9,
          "endpoints": [
            {
              "addr": "127.0.0.1:8091",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8092",
              "weight": 3.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": null,
          "tls_from": "default"
        },
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 0.1,
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
          "tls": null,
          "tls_from": "default"
        },
        {
          "bound": "/#/lab/beta",
          "residual": "/",
          "share": 0.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8082",
              "weight": 1.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": null,
          "tls_from": "default"
        }
      ],
      "service": "...",
      "error": null,
      "empty_share": 0.0,
      "notes": [
        "/#/lab/gone is left out of its union, and its weight goes to the others: the static namer at /#/lab (waypost.toml:6:1) has no `gone`; it has `beta`, `nobody`, `users`",
        "! is left out of its union, and its weight goes to the others: a `!` counts for nothing in a union"
      ]
    }
    "##);
}

#[test]
fn a_member_that_is_empty_keeps_its_share() {
    let lab = Lab::of_rules("/svc/web => /#/fs/web & 3 * $ & 4 * /#/lab/nobody ;\n");
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc/web => /#/fs/web & 3 * $ & 4 * /#/lab/nobody
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                                each of these, by weight
        *   1 * /#/fs/web      waypost.toml:16:1  bound: 127.0.0.1:8091, 127.0.0.1:8092, 12.5 % of the requests
        *   3 * $              waypost.toml:16:1  nobody: the rule says `$`, 37.5 % of the requests
        *   4 * /#/lab/nobody  waypost.toml:16:1  bound: no endpoints, 50 % of the requests
    4. service   what holds for /svc/web
    5. client    /#/fs/web gets 12.5 % of the requests
          endpoint                127.0.0.1:8091, weight 1, alive
          endpoint                127.0.0.1:8092, weight 3, alive
          clear text: nobody is asked who he is
    6. client    /#/lab/nobody gets 50 % of the requests
          endpoint  none
          all else as for /#/fs/web
          clear text: nobody is asked who he is
          refused: /svc/web: bound to /#/lab/nobody, which has no endpoints

    bound: sent to /#/fs/web or /#/lab/nobody; 37.5 % of the requests draw `$` and are answered with 502
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc/web",
          "tree": "/#/fs/web & 3.00*$ & 4.00*/#/lab/nobody",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "union",
        "path": "/svc/web",
        "union": [
          {
            "weight": 1.0,
            "tree": {
              "type": "leaf",
              "path": "/#/fs/web",
              "dentry": {
                "prefix": "/svc/web",
                "dst": "/#/fs/web & 3.00*$ & 4.00*/#/lab/nobody",
                "from": "waypost.toml:16:1"
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
                "path": "/"
              },
              "tls": null,
              "share": 0.125
            }
          },
          {
            "weight": 3.0,
            "tree": {
              "type": "empty",
              "path": "$",
              "dentry": {
                "prefix": "/svc/web",
                "dst": "/#/fs/web & 3.00*$ & 4.00*/#/lab/nobody",
                "from": "waypost.toml:16:1"
              },
              "share": 0.375
            }
          },
          {
            "weight": 4.0,
            "tree": {
              "type": "leaf",
              "path": "/#/lab/nobody",
              "dentry": {
                "prefix": "/svc/web",
                "dst": "/#/fs/web & 3.00*$ & 4.00*/#/lab/nobody",
                "from": "waypost.toml:16:1"
              },
              "bound": {
                "addr": {
                  "type": "bound",
                  "addrs": [],
                  "meta": {}
                },
                "id": "/#/lab/nobody",
                "path": "/"
              },
              "tls": null,
              "share": 0.5
            }
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/fs/web",
          "residual": "/",
          "share": 0.125,
          "endpoints": [
            {
              "addr": "127.0.0.1:8091",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8092",
              "weight": 3.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": null,
          "tls_from": "default"
        },
        {
          "bound": "/#/lab/nobody",
          "residual": "/",
          "share": 0.5,
          "endpoints": [],
          "client": "...",
          "tls": null,
          "tls_from": "default",
          "error": "/svc/web: bound to /#/lab/nobody, which has no endpoints"
        }
      ],
      "service": "...",
      "error": null,
      "empty_share": 0.375,
      "notes": []
    }
    "##);
}

#[test]
fn an_override_stands_behind_the_rules_and_is_tried_first() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n");
    let said = lab.explain("http://web/x", &["l5d-dtab: /svc/web => /#/lab/beta"]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  not reached  /svc => /#/fs
          l5d-dtab           decides      /svc/web => /#/lab/beta
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                          the first of these that leads somewhere
        *   /#/lab/beta  l5d-dtab           bound: 127.0.0.1:8082
            /#/fs/web    waypost.toml:16:1  not tried: the later rule in l5d-dtab goes first, and /#/lab/beta answered; it would be bound: 127.0.0.1:8091, 127.0.0.1:8092
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/web
    5. client    /#/lab/beta gets 100 % of the requests
          endpoint                127.0.0.1:8082, weight 1, alive
          clear text: nobody is asked who he is

    bound: sent to /#/lab/beta
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/fs",
          "from": "waypost.toml:16:1",
          "state": "not_reached"
        },
        {
          "prefix": "/svc/web",
          "tree": "/#/lab/beta",
          "from": "l5d-dtab",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/web",
        "alt": [
          {
            "type": "leaf",
            "path": "/#/lab/beta",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/beta",
              "from": "l5d-dtab"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8082,
                    "meta": {}
                  }
                ],
                "meta": {}
              },
              "id": "/#/lab/beta",
              "path": "/"
            },
            "tls": null,
            "share": 1.0
          },
          {
            "type": "leaf",
            "path": "/#/fs/web",
            "dentry": {
              "prefix": "/svc",
              "dst": "/#/fs",
              "from": "waypost.toml:16:1"
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
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "the later rule in l5d-dtab goes first, and /#/lab/beta answered"
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/lab/beta",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8082",
              "weight": 1.0,
              "state": "alive"
            }
          ],
          "client": "...",
          "tls": null,
          "tls_from": "default"
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
fn an_override_that_can_not_be_read_is_shown_behind_the_name_of_the_request() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n");
    let said = lab.explain("http://web/x", &["l5d-dtab: /svc => /a ; /svc /b"]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. override  l5d-dtab can't be read, so no rule is followed
          error[bad-dtab]: expected `=>`, found `/`
           --> l5d-dtab:1:19
            |
          1 | /svc => /a ; /svc /b
            |                   ^
            |
            = help: a rule is `prefix => tree`
    3. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  /svc => /#/fs

    error: l5d-dtab does not parse at offset 18: expected `=>`, found `/` (the client gets 400, bad_dtab)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/fs",
          "from": "waypost.toml:16:1"
        }
      ],
      "tree": null,
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "error",
      "leaves": [],
      "service": "...",
      "error": {
        "status": 400,
        "message": "l5d-dtab does not parse at offset 18: expected `=>`, found `/`",
        "word": "bad_dtab",
        "at": {
          "source": "l5d-dtab",
          "text": "/svc => /a ; /svc /b",
          "line": 1,
          "column": 19,
          "start": 18,
          "end": 19,
          "message": "expected `=>`, found `/`",
          "hint": "a rule is `prefix => tree`"
        }
      },
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn a_loop_is_shown_as_the_way_round() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n/svc/a => /svc/b ;\n/svc/b => /svc/a ;\n");
    let said = lab.explain("http://a/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host a   router http

    1. identify  header.token (default) -> /svc/a
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  not reached  /svc => /#/fs
          waypost.toml:17:1  decides      /svc/a => /svc/b
          waypost.toml:18:1  decides      /svc/b => /svc/a
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/a                          the first of these that leads somewhere
        *   /svc/b     waypost.toml:17:1  the first of these that leads somewhere
        *     /svc/a   waypost.toml:18:1  goes round: /svc/a -> /svc/b (waypost.toml:17:1) -> /svc/a (waypost.toml:18:1)
              /#/fs/b  waypost.toml:16:1  not tried: the later rule at waypost.toml:18:1 goes first, and an error ends the search; it would lead nowhere
            /#/fs/a    waypost.toml:16:1  not tried: the later rule at waypost.toml:17:1 goes first, and an error ends the search; it would lead nowhere
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/a

    note: goes round: /svc/a -> /svc/b (waypost.toml:17:1) -> /svc/a (waypost.toml:18:1); one of these rules has to lead to another name
    error: /svc/a can't be bound: /svc/a is more than 100 steps away; do rules lead back to themselves? (the client gets 502, delegation_depth)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "a",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/a"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/fs",
          "from": "waypost.toml:16:1",
          "state": "not_reached"
        },
        {
          "prefix": "/svc/a",
          "tree": "/svc/b",
          "from": "waypost.toml:17:1",
          "state": "decides"
        },
        {
          "prefix": "/svc/b",
          "tree": "/svc/a",
          "from": "waypost.toml:18:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/a",
        "alt": [
          {
            "type": "alt",
            "path": "/svc/b",
            "dentry": {
              "prefix": "/svc/a",
              "dst": "/svc/b",
              "from": "waypost.toml:17:1"
            },
            "alt": [
              {
                "type": "exception",
                "path": "/svc/a",
                "dentry": {
                  "prefix": "/svc/b",
                  "dst": "/svc/a",
                  "from": "waypost.toml:18:1"
                },
                "message": "goes round: /svc/a -> /svc/b (waypost.toml:17:1) -> /svc/a (waypost.toml:18:1)",
                "cycle": [
                  "/svc/a",
                  "/svc/b",
                  "/svc/a"
                ],
                "share": 1.0
              },
              {
                "type": "neg",
                "path": "/#/fs/b",
                "dentry": {
                  "prefix": "/svc",
                  "dst": "/#/fs",
                  "from": "waypost.toml:16:1"
                },
                "lost": "not_reached",
                "why": "the later rule at waypost.toml:18:1 goes first, and an error ends the search"
              }
            ]
          },
          {
            "type": "neg",
            "path": "/#/fs/a",
            "dentry": {
              "prefix": "/svc",
              "dst": "/#/fs",
              "from": "waypost.toml:16:1"
            },
            "lost": "not_reached",
            "why": "the later rule at waypost.toml:17:1 goes first, and an error ends the search"
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "error",
      "leaves": [],
      "service": "...",
      "error": {
        "status": 502,
        "message": "/svc/a can't be bound: /svc/a is more than 100 steps away; do rules lead back to themselves?",
        "word": "delegation_depth"
      },
      "empty_share": 0.0,
      "notes": [
        "goes round: /svc/a -> /svc/b (waypost.toml:17:1) -> /svc/a (waypost.toml:18:1); one of these rules has to lead to another name"
      ]
    }
    "##);
}

#[test]
fn loops_of_every_kind_are_told_by_their_rules() {
    for (dtab, round) in [
        ("/svc/a => /svc/a ;", "goes round: /svc/a -> /svc/a (waypost.toml:17:1)"),
        ("/svc/a => /svc/a & /svc/a ;", "goes round: /svc/a -> /svc/a (waypost.toml:17:1)"),
        (
            "/svc/a => /svc/a/x ;",
            "never ends: /svc/a -> /svc/a/x (waypost.toml:17:1) -> /svc/a/x/x (waypost.toml:17:1) -> ...",
        ),
    ] {
        let lab = Lab::of_rules(&format!("/svc => /#/fs ;\n{dtab}\n"));
        let said = lab.explain("http://a/", &[]);
        let (text, json) = (lab.text(&said), lab.brief(&said));
        assert!(text.contains(round), "{dtab}\n{text}");
        assert!(json["notes"][0].as_str().unwrap().starts_with(round), "{dtab}\n{json:#}");
        assert!(text.lines().count() < 30, "{dtab}\n{text}");
    }
}

#[test]
fn a_way_that_comes_back_beside_names_that_are_bound_keeps_them() {
    for (dtab, words) in [
        ("/svc/a => /svc/a & /#/fs/web ;", "goes round: /svc/a -> /svc/a (waypost.toml:16:1), 12.5 % of the requests"),
        ("/svc/a => /svc/a/x & /#/fs/web ;", "(waypost.toml:16:1) -> ..., 12.5 % of the requests"),
    ] {
        let lab = Lab::of_rules(&format!("{dtab}\n"));
        let said = lab.explain("http://a/", &[]);
        assert!((said.leaves.iter().map(|leaf| leaf.share).sum::<f64>() - 1.0).abs() < 1e-3);
        let text = lab.text(&said);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_wildcard_rule_is_followed_like_any_other() {
    let lab = Lab::of(
        r#"
[[namers]]
kind = "static"
prefix = "lab"
[namers.services]
users = ["127.0.0.1:8080"]

[[routers]]
identifier = { kind = "method_and_host" }
dtab = """
/host => /#/lab ;
/svc/1.1/* => /host ;
/svc/1.1/POST => ! ;
"""
[[routers.servers]]
port = 4140
"#,
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  method_and_host (waypost.toml:9:14) -> /svc/1.1/GET/users
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:11:1  decides   /host => /#/lab
          waypost.toml:12:1  decides   /svc/1.1/* => /host
          waypost.toml:13:1  no match  /svc/1.1/POST => !
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/1.1/GET/users
        *   /host/users       waypost.toml:12:1
        *     /#/lab/users    waypost.toml:11:1  bound: 127.0.0.1:8080
    4. service   what holds for /svc/1.1/GET/users
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          clear text: nobody is asked who he is

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
        "by": "method_and_host",
        "path": "/svc/1.1/GET/users"
      },
      "identified_from": "waypost.toml:9:14",
      "dtab": [
        {
          "prefix": "/host",
          "tree": "/#/lab",
          "from": "waypost.toml:11:1",
          "state": "decides"
        },
        {
          "prefix": "/svc/1.1/*",
          "tree": "/host",
          "from": "waypost.toml:12:1",
          "state": "decides"
        },
        {
          "prefix": "/svc/1.1/POST",
          "tree": "!",
          "from": "waypost.toml:13:1",
          "state": "no_match"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/1.1/GET/users",
        "delegate": {
          "type": "delegate",
          "path": "/host/users",
          "dentry": {
            "prefix": "/svc/1.1/*",
            "dst": "/host",
            "from": "waypost.toml:12:1"
          },
          "delegate": {
            "type": "leaf",
            "path": "/#/lab/users",
            "dentry": {
              "prefix": "/host",
              "dst": "/#/lab",
              "from": "waypost.toml:11:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8080,
                    "meta": {}
                  }
                ],
                "meta": {}
              },
              "id": "/#/lab/users",
              "path": "/"
            },
            "tls": null,
            "share": 1.0
          }
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
            }
          ],
          "client": "...",
          "tls": null,
          "tls_from": "default"
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
fn a_rule_that_only_says_no_is_told() {
    let lab = Lab::of_rules("/svc => /#/lab ;\n/#/lab/users => ~ ;\n/#/lab/gone => ~ ;\n");
    for (host, wanted) in [
        (
            "gone",
            "the rule at waypost.toml:18:1 says `~`, and the static namer at /#/lab (waypost.toml:6:1) has no `gone`",
        ),
        ("users", "bound:"),
    ] {
        let text = lab.text(&lab.explain(&format!("http://{host}/"), &[]));
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn of_a_long_table_only_the_rules_on_the_way_are_shown() {
    let many: String = (0..500).map(|n| format!("/svc/n{n} => /#/lab/n{n} ;\n")).collect();
    let lab = Lab::of_rules(&format!("/svc => /#/fs ;\n{many}"));
    let said = lab.explain("http://n7/", &[]);
    let text = lab.text(&said);
    assert!(text.contains("leads nowhere  /svc => /#/fs") && text.contains("/svc/n7 => /#/lab/n7"), "{text}");
    assert!(text.contains("and 499 more rules that match no path on the way") && !text.contains("n8 "), "{text}");
    assert_eq!(lab.brief(&said)["dtab"].as_array().unwrap().len(), 501);
}
