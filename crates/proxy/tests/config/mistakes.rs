//! What is said of the mistakes that people make: these snapshots are read like the page of a manual.

use super::{load, rendered};

/// All findings of `text` that is a file of an empty directory, as they are drawn.
fn findings(text: &str) -> String {
    match load(text) {
        Ok(loaded) => rendered(&loaded.warnings),
        Err(findings) => rendered(&findings),
    }
}

#[test]
fn a_key_that_is_nearly_right_is_corrected() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
max_conections = 5
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-key]: unknown key `routers.servers.max_conections`
     --> waypost.toml:4:1
      |
    4 | max_conections = 5
      | ^^^^^^^^^^^^^^
      |
      = help: did you mean `max_connections`?
    "##);
}

#[test]
fn a_table_without_its_kind_is_told_what_there_is() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[routers.client]
accrual = { failures = 3 }
connect_timeout = "1.5s"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[missing-key]: `routers.client.accrual.kind` is missing
     --> waypost.toml:5:11
      |
    5 | accrual = { failures = 3 }
      |           ^^^^^^^^^^^^^^^^
      |
      = help: there are `none`, `consecutive_failures`

    error[bad-value]: `1.5s` is not a duration such as "10s": it has a fraction, and whole numbers are read
     --> waypost.toml:6:19
      |
    6 | connect_timeout = "1.5s"
      |                   ^^^^^^
      |
      = help: a whole number and one of ms, s, m, h
    "##);
}

#[test]
fn linkerds_keys_are_translated() {
    let text = r##"
[[routers]]
dstPrefix = "/svc"
[[routers.servers]]
port = 4140
[routers.client]
failureAccrual = "none"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-key]: unknown key `routers.dstPrefix`
     --> waypost.toml:2:1
      |
    2 | dstPrefix = "/svc"
      | ^^^^^^^^^
      |
      = help: keys are snake_case: `dst_prefix`

    error[unknown-key]: unknown key `routers.client.failureAccrual`
     --> waypost.toml:6:1
      |
    6 | failureAccrual = "none"
      | ^^^^^^^^^^^^^^
      |
      = help: linkerd's `failureAccrual` is `accrual` here
    "##);
}

#[test]
fn keys_of_later_versions_are_named_so() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[telemetry]
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-key]: unknown key `telemetry`
     --> waypost.toml:4:2
      |
    4 | [telemetry]
      |  ^^^^^^^^^
      |
      = help: `telemetry` is not supported by this version: remove it
    "##);
}

#[test]
fn balancers_are_named_and_not_believed_by_default() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
proxy_protocol = true
forwarded = "apend"
[[routers.servers]]
port = 4141
proxy_protocol = ["10.0.0.0/8", "lb.example.com"]
forwarded = { kind = "set", fields = ["x-real-ip"] }
[[routers.servers]]
port = 4142
proxy_protocol = []
[[routers.servers]]
port = 4143
proxy_protocol = ["127.0.0.1"]
overrides = { allow = "any" }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[bad-value]: anybody could say that he is anybody else
     --> waypost.toml:4:18
      |
    4 | proxy_protocol = true
      |                  ^^^^
      |
      = help: name the balancers that stand in front: proxy_protocol = ["10.0.0.0/8", "192.0.2.7"]

    error[unknown-kind]: unknown way with forwarded fields `apend`
     --> waypost.toml:5:13
      |
    5 | forwarded = "apend"
      |             ^^^^^^^
      |
      = help: did you mean `append`?

    error[bad-value]: `lb.example.com` is no address and no network
     --> waypost.toml:8:33
      |
    8 | proxy_protocol = ["10.0.0.0/8", "lb.example.com"]
      |                                 ^^^^^^^^^^^^^^^^
      |
      = help: name the balancers that stand in front: proxy_protocol = ["10.0.0.0/8", "192.0.2.7"]

    error[bad-value]: `x-real-ip` is none of the fields
     --> waypost.toml:9:39
      |
    9 | forwarded = { kind = "set", fields = ["x-real-ip"] }
      |                                       ^^^^^^^^^^^
      |
      = help: there are "x-forwarded" and "forwarded"

    error[bad-value]: an empty list of balancers
      --> waypost.toml:12:18
       |
    12 | proxy_protocol = []
       |                  ^^
       |
       = help: name the balancers that stand in front: proxy_protocol = ["10.0.0.0/8", "192.0.2.7"]

    warning[open-overrides]: anybody who can reach this server can send requests to any name of the dtab
      --> waypost.toml:16:23
       |
    16 | overrides = { allow = "any" }
       |                       ^^^^^
       |
       = help: name who may: allow = ["spiffe://...", "*.ops.example.com", "10.0.0.0/8"]
    "##);
}

#[test]
fn durations_and_sizes_need_a_unit() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
head_timeout = 10
idle_timeout = "10"
max_head_bytes = "64KB"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[wrong-type]: `routers.servers.head_timeout` must be a duration such as "10s", not an integer
     --> waypost.toml:4:16
      |
    4 | head_timeout = 10
      |                ^^
      |
      = help: write "10s"

    error[bad-value]: `10` is not a duration such as "10s": a unit is missing
     --> waypost.toml:5:16
      |
    5 | idle_timeout = "10"
      |                ^^^^
      |
      = help: write "10s"; units are ms, s, m, h

    error[bad-value]: `64KB` is not a size such as "64KiB": the unit is not known
     --> waypost.toml:6:18
      |
    6 | max_head_bytes = "64KB"
      |                  ^^^^^^
      |
      = help: a whole number and one of B, KiB, MiB, GiB, TiB
    "##);
}

#[test]
fn values_out_of_bounds_show_the_bounds() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
max_headers = 0
head_timeout = "2h"
max_call_depth = -1
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[out-of-bounds]: `routers.servers.max_headers` must be from 1 to 10000, not 0
     --> waypost.toml:4:15
      |
    4 | max_headers = 0
      |               ^

    error[out-of-bounds]: `routers.servers.head_timeout` must be from "1ms" to "1h", not "2h"
     --> waypost.toml:5:16
      |
    5 | head_timeout = "2h"
      |                ^^^^

    error[out-of-bounds]: `routers.servers.max_call_depth` can't be -1
     --> waypost.toml:6:18
      |
    6 | max_call_depth = -1
      |                  ^^
    "##);
}

#[test]
fn ports_and_addresses_are_checked() {
    let text = r##"
[[routers]]
[[routers.servers]]
ip = "localhost"
port = 65536
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[bad-ip]: `localhost` is no IP address
     --> waypost.toml:3:6
      |
    3 | ip = "localhost"
      |      ^^^^^^^^^^^
      |
      = help: write "127.0.0.1"

    error[bad-port]: `routers.servers.port` must be from 0 to 65535, not 65536
     --> waypost.toml:4:8
      |
    4 | port = 65536
      |        ^^^^^
    "##);
}

#[test]
fn wrong_types_are_named() {
    let text = r##"
workers = "four"
watch = 1
routers = 3
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[wrong-type]: `workers` must be an integer, not a string
     --> waypost.toml:1:11
      |
    1 | workers = "four"
      |           ^^^^^^

    error[wrong-type]: `watch` must be true or false, not an integer
     --> waypost.toml:2:9
      |
    2 | watch = 1
      |         ^

    error[wrong-type]: `routers` must be a list, not an integer
     --> waypost.toml:3:11
      |
    3 | routers = 3
      |           ^
    "##);
}

#[test]
fn all_mistakes_of_a_file_come_in_its_order() {
    let text = r##"
[admin]
prot = 1
[[namers]]
kind = "file"
[[routers]]
identifier = ["header.tokn", { kind = "static" }]
[[routers.servers]]
port = 4140
tls = {}
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-key]: unknown key `admin.prot`
     --> waypost.toml:2:1
      |
    2 | prot = 1
      | ^^^^
      |
      = help: did you mean `port`?

    error[unknown-kind]: unknown namer `file`
     --> waypost.toml:4:8
      |
    4 | kind = "file"
      |        ^^^^^^
      |
      = help: there are `fs`, `static`, `rewrite`

    error[unknown-kind]: unknown identifier `header.tokn`
     --> waypost.toml:6:15
      |
    6 | identifier = ["header.tokn", { kind = "static" }]
      |               ^^^^^^^^^^^^^
      |
      = help: did you mean `header.token`?

    error[missing-key]: `routers.identifier.path` is missing
     --> waypost.toml:6:30
      |
    6 | identifier = ["header.tokn", { kind = "static" }]
      |                              ^^^^^^^^^^^^^^^^^^^

    error[missing-key]: `routers.servers.tls.cert` is missing
     --> waypost.toml:9:7
      |
    9 | tls = {}
      |       ^^

    error[missing-key]: `routers.servers.tls.key` is missing
     --> waypost.toml:9:7
      |
    9 | tls = {}
      |       ^^
    "##);
}

#[test]
fn a_file_without_a_router_serves_nothing() {
    let text = r##"
watch = true
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[no-router]: without a router nothing is served
     --> waypost.toml:1:1
      |
    1 | watch = true
      | ^
      |
      = help: add [[routers]] with [[routers.servers]]
    "##);
}

#[test]
fn a_router_without_a_server_is_never_asked() {
    let text = r##"
[[routers]]
label = "outgoing"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[no-server]: a router without a server is never asked
     --> waypost.toml:1:1
      |
    1 | [[routers]]
      | ^^^^^^^^^^^
      |
      = help: add [[routers.servers]] with a `port`
    "##);
}

#[test]
fn labels_are_unique() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[[routers]]
[[routers.servers]]
port = 4141
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[label-twice]: two routers have the label `http`
     --> waypost.toml:4:1
      |
    4 | [[routers]]
      | ^^^^^^^^^^^
      |
      = help: the first one is at waypost.toml:1:1; the default is `http`
    "##);
}

#[test]
fn an_address_is_listened_on_once() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[[routers.servers]]
ip = "0.0.0.0"
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[address-twice]: 0.0.0.0:4140 is listened on twice
     --> waypost.toml:4:1
      |
    4 | [[routers.servers]]
      | ^^^^^^^^^^^^^^^^^^^
      |
      = help: 127.0.0.1:4140 is listened on from waypost.toml:2:1
    "##);
}

#[test]
fn a_dtab_mistake_is_shown_in_the_toml_file() {
    let text = r##"
[[routers]]
dtab = """
/svc/users => /#/lab/users ;
/svc/web => /lab/*
"""
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[bad-dtab]: `*` cannot stand here
     --> waypost.toml:4:18
      |
    4 | /svc/web => /lab/*
      |                  ^
      |
      = help: `*` stands only alone in a prefix, for any one segment: `/http/1.1/* => /host`
    "##);
}

#[test]
fn a_dtab_mistake_behind_an_escape_is_shown_at_its_own_column() {
    let text = r##"
[[routers]]
dtab = "\u002fa => /b ;\n/c = /d"
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[bad-dtab]: expected `=>`, found ` `
     --> waypost.toml:2:30
      |
    2 | dtab = "\u002fa => /b ;\n/c = /d"
      |                              ^
      |
      = help: a rule is `prefix => tree`
    "##);
}

#[test]
fn captures_must_be_made_by_the_prefix() {
    let text = r##"
[[namers]]
kind = "static"
prefix = "lab"
services = { users = [] }
[[routers]]
[[routers.servers]]
port = 4140
[[routers.client.configs]]
prefix = "/#/lab/{service}"
tls = { kind = "static", common_name = "{svc}.example.com" }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-capture]: `{svc}` is not captured by its prefix
      --> waypost.toml:10:41
       |
    10 | tls = { kind = "static", common_name = "{svc}.example.com" }
       |                                         ^^^^^
       |
       = help: the prefix makes `{service}`
    "##);
}

#[test]
fn missing_files_are_shown_at_their_key() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
tls = { cert = "web.pem", key = "web.key" }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[missing-file]: web.pem: no such file
     --> waypost.toml:4:16
      |
    4 | tls = { cert = "web.pem", key = "web.key" }
      |                ^^^^^^^^^

    error[missing-file]: web.key: no such file
     --> waypost.toml:4:33
      |
    4 | tls = { cert = "web.pem", key = "web.key" }
      |                                 ^^^^^^^^^
    "##);
}

#[test]
fn kinds_of_later_versions_are_named_so() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[routers.client]
balancer = "ring_hash"
accrual = { kind = "succes_rate" }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-kind]: the balancer `ring_hash` is not supported by this version
     --> waypost.toml:5:12
      |
    5 | balancer = "ring_hash"
      |            ^^^^^^^^^^^
      |
      = help: there are `p2c`, `ewma`, `round_robin`

    error[unknown-kind]: unknown accrual `succes_rate`
     --> waypost.toml:6:20
      |
    6 | accrual = { kind = "succes_rate" }
      |                    ^^^^^^^^^^^^^
      |
      = help: there are `none`, `consecutive_failures`
    "##);
}

#[test]
fn names_that_no_certificate_can_have_are_refused() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[routers.client]
tls = { kind = "static", common_name = "*.example.com" }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[bad-peer-name]: `*.example.com` is no name that a certificate can prove: a wildcard names no one peer
     --> waypost.toml:5:40
      |
    5 | tls = { kind = "static", common_name = "*.example.com" }
      |                                        ^^^^^^^^^^^^^^^
      |
      = help: a name is a DNS name, an IP address or a `spiffe://` URI
    "##);
}

#[test]
fn toml_mistakes_are_findings_too() {
    let text = r##"
watch = 
admin = { port = 1
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[toml-syntax]: string values must be quoted, expected literal string
     --> waypost.toml:1:9
      |
    1 | watch = 
      |         ^

    error[toml-syntax]: unclosed inline table, expected `}`
     --> waypost.toml:2:19
      |
    2 | admin = { port = 1
      |                   ^
    "##);
}

#[test]
fn a_destination_that_no_namer_serves_is_suspicious() {
    let text = r##"
[[namers]]
kind = "static"
prefix = "lab"
services = { users = [] }
[[routers]]
dtab = """
/svc => /#/labs ;
/ops => /$/inett ;
"""
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[unknown-namer]: no namer serves `/#/labs`
     --> waypost.toml:7:9
      |
    7 | /svc => /#/labs ;
      |         ^^^^^^^
      |
      = help: did you mean `/#/lab`?

    warning[unreachable-rule]: nothing leads to `/ops`
     --> waypost.toml:8:1
      |
    8 | /ops => /$/inett ;
      | ^^^^
      |
      = help: requests are called `/svc/<host>`, and no rule leads here; if it is there for `l5d-dtab`, allow it

    warning[unknown-namer]: there is no built-in name `/$/inett`
     --> waypost.toml:8:9
      |
    8 | /ops => /$/inett ;
      |         ^^^^^^^^
      |
      = help: did you mean `/$/inet`?
    "##);
}

#[test]
fn rules_that_lead_back_to_themselves_are_suspicious() {
    let text = r##"
[[routers]]
dtab = "/svc => /svc/v1"
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[loop]: `/svc => /svc/v1` goes round in circles, with a longer path each time
     --> waypost.toml:2:9
      |
    2 | dtab = "/svc => /svc/v1"
      |         ^^^^^^^^^^^^^^^
      |
      = help: delegation stops after 100 steps with an error; let the destination begin with another name
    "##);
}

#[test]
fn rules_that_go_in_circles_are_suspicious() {
    let text = r##"
[[routers]]
dtab = "/a => /b ; /b => /a"
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[loop]: `/a => /b ; /b => /a` goes round in circles
     --> waypost.toml:2:9
      |
    2 | dtab = "/a => /b ; /b => /a"
      |         ^^^^^^^^
      |
      = help: `/b` is at waypost.toml:2:20; delegation stops after 100 steps with an error; let the destination begin with another name
    "##);
}

#[test]
fn rules_that_never_speak_are_suspicious() {
    let text = r##"
[[routers]]
dtab = """
/svc/users => /$/inet/127.1/1 ;
/svc => /$/inet/127.1/2 | ! ;
"""
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[shadowed-rule]: this rule is never tried: `/svc` at waypost.toml:4:1 comes first and answers for all its paths
     --> waypost.toml:3:1
      |
    3 | /svc/users => /$/inet/127.1/1 ;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a later rule is tried first, however short its prefix: let this one stand behind it
    "##);
}

#[test]
fn prefixes_that_match_nothing_are_suspicious() {
    let text = r##"
[[namers]]
kind = "static"
prefix = "lab"
services = { users = [] }
[[routers]]
[[routers.servers]]
port = 4140
[[routers.client.configs]]
prefix = "/svc/users"
tls = { kind = "static", common_name = "users.example.com" }
[[routers.service.configs]]
prefix = "/#/lab"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[matches-nothing]: no bound path can match `/svc/users`: its `tls` protects nothing
     --> waypost.toml:9:10
      |
    9 | prefix = "/svc/users"
      |          ^^^^^^^^^^^^
      |
      = help: bound paths begin with `/#/lab`, `/$/io.buoyant.rinet`, `/$/inet`

    warning[matches-nothing]: no logical path can match `/#/lab`
      --> waypost.toml:12:10
       |
    12 | prefix = "/#/lab"
       |          ^^^^^^^^
       |
       = help: requests of this router are called `/svc/<host>`
    "##);
}

#[test]
fn tls_that_verifies_nobody_is_suspicious() {
    let text = r##"
[[routers]]
[[routers.servers]]
port = 4140
[routers.client]
tls = { kind = "no_validation" }
[[routers.client.configs]]
prefix = "/$/inet"
tls = { kind = "bound_path", strict = false, names = [{ prefix = "/$/inet/{host}", common_name = "{host}" }] }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[no-validation]: `no_validation` verifies nothing: whoever answers is taken for the right service
     --> waypost.toml:5:16
      |
    5 | tls = { kind = "no_validation" }
      |                ^^^^^^^^^^^^^^^
      |
      = help: use `static` or `bound_path`, with a development CA if need be

    warning[not-strict]: bound paths that match none of the names go in clear text
     --> waypost.toml:8:30
      |
    8 | tls = { kind = "bound_path", strict = false, names = [{ prefix = "/$/inet/{host}", common_name = "{host}" }] }
      |                              ^^^^^^
      |
      = help: leave out `strict`: such a bound path is then refused
    "##);
}

#[test]
fn overrides_from_anybody_are_suspicious() {
    let text = r##"
[[routers]]
[[routers.servers]]
ip = "0.0.0.0"
port = 4140
overrides = { allow = "any" }
[[routers.servers]]
port = 4141
overrides = { allow = ["*.ops.example.com"] }
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[open-overrides]: anybody who can reach this server can send requests to any name of the dtab
     --> waypost.toml:5:23
      |
    5 | overrides = { allow = "any" }
      |                       ^^^^^
      |
      = help: name who may: allow = ["spiffe://...", "*.ops.example.com", "10.0.0.0/8"]

    warning[unverifiable-name]: no caller of this server is ever `*.ops.example.com`
     --> waypost.toml:8:24
      |
    8 | overrides = { allow = ["*.ops.example.com"] }
      |                        ^^^^^^^^^^^^^^^^^^^
      |
      = help: a name is taken from a verified client certificate: set `tls.client_ca`
    "##);
}

#[test]
fn transformers_that_can_not_be_are_told_of() {
    let text = r##"
[[routers]]
dtab = "/svc => /$/inet/127.0.0.1"
fallback = "endpoint"
transformers = [
  { kind = "io.l5d.ports", port = 4140 },
  { kind = "port", port = 0 },
  { kind = "const", path = "/svc/users" },
  { kind = "subnet", network = "10.1.2.0" },
  { kind = "specific_host", host = "10.0.0.1", prefix = "/%/near" },
  { kind = "io.l5d.k8s.daemonset", namespace = "l5d" },
]
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    error[unknown-kind]: unknown fallback `endpoint`
     --> waypost.toml:3:12
      |
    3 | fallback = "endpoint"
      |            ^^^^^^^^^^
      |
      = help: did you mean `endpoints`?

    error[unknown-kind]: unknown transformer `io.l5d.ports`
     --> waypost.toml:5:12
      |
    5 |   { kind = "io.l5d.ports", port = 4140 },
      |            ^^^^^^^^^^^^^^
      |
      = help: did you mean `io.l5d.port`?

    error[bad-port]: `port` must be from 1 to 65535, not 0
     --> waypost.toml:6:27
      |
    6 |   { kind = "port", port = 0 },
      |                           ^

    error[bad-value]: no namer is asked for `/svc/users`
     --> waypost.toml:7:28
      |
    7 |   { kind = "const", path = "/svc/users" },
      |                            ^^^^^^^^^^^^
      |
      = help: it is asked of the namers alone: write "/#/fs/users" or "/$/inet/127.0.0.1/80"

    error[bad-value]: a network is written `ADDRESS/BITS`, such as `10.1.2.0/24`
     --> waypost.toml:8:32
      |
    8 |   { kind = "subnet", network = "10.1.2.0" },
      |                                ^^^^^^^^^^
      |
      = help: such as "10.1.2.0/24"

    error[bad-value]: a prefix is written without its `/%`
     --> waypost.toml:9:57
      |
    9 |   { kind = "specific_host", host = "10.0.0.1", prefix = "/%/near" },
      |                                                         ^^^^^^^^^
      |
      = help: write "near"; names are then `/%/near/...`

    error[unknown-kind]: the transformer `io.l5d.k8s.daemonset` is not supported by this version
      --> waypost.toml:10:12
       |
    10 |   { kind = "io.l5d.k8s.daemonset", namespace = "l5d" },
       |            ^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: there are `const`, `replace`, `port`, `localhost`, `specific_host`, `subnet`
    "##);
}

#[test]
fn policies_that_forget_what_transformers_put_in_front_match_nothing() {
    let text = r##"
[[namers]]
kind = "static"
prefix = "lab"
services = { users = ["127.0.0.1:8080"] }
transformers = ["localhost"]
[[routers]]
dtab = "/svc => /#/lab"
transformers = [{ kind = "port", port = 4143, prefix = "gate" }]
[[routers.servers]]
port = 4140
[[routers.client.configs]]
prefix = "/#/lab/{service}"
connect_timeout = "1s"
[[routers.client.configs]]
prefix = "/%/gate/#/lab/{service}"
connect_timeout = "2s"
[[routers.client.configs]]
prefix = "/%/gate/%/localhost/#/lab/{service}"
connect_timeout = "3s"
"##;
    insta::assert_snapshot!(findings(text.trim_start()), @r##"
    warning[matches-nothing]: no bound path can match `/#/lab/{service}`
      --> waypost.toml:12:10
       |
    12 | prefix = "/#/lab/{service}"
       |          ^^^^^^^^^^^^^^^^^^
       |
       = help: the transformers of this router let bound paths begin with `/%/gate`

    warning[matches-nothing]: no bound path can match `/%/gate/#/lab/{service}`
      --> waypost.toml:15:10
       |
    15 | prefix = "/%/gate/#/lab/{service}"
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: bound paths begin with `/%/localhost/#/lab`, `/$/io.buoyant.rinet`, `/$/inet`
    "##);
}
