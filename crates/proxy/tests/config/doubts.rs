//! What is suspicious in rules and policies and what is not; where it is shown, and what silences it.

use std::fs;
use std::path::Path;

use waypost::config::Config;
use waypost::tls::mint;
use waypost_naming::Finding;

use super::{load, rendered};

const NAMERS: &str = r#"[[namers]]
kind = "static"
prefix = "lab"
services = { users = ["127.0.0.1:8080"], web-v2 = [], default = [] }
[[namers]]
kind = "static"
prefix = "files"
services = { users = [], web = [] }
[[namers]]
kind = "rewrite"
prefix = "versions"
pattern = "/{service}/{version}"
name = "/srv/{service}-{version}"
"#;

/// A file with `rules` from its 17th line on, and `more` behind them.
fn with_rules(rules: &str, more: &str) -> String {
    format!("{NAMERS}[[routers]]\nservers = [{{ port = 4140 }}]\ndtab = '''\n{rules}\n'''\n{more}")
}

fn warnings(text: &str) -> Vec<Finding> {
    match load(text) {
        Ok(loaded) => loaded.warnings,
        Err(findings) => panic!("{}", rendered(&findings)),
    }
}

/// Each finding as `lint line:column`, lines counted from that of the first rule.
fn raised(rules: &str, more: &str) -> Vec<String> {
    places(&with_rules(rules, more))
}

fn places(text: &str) -> Vec<String> {
    let before = text.lines().position(|line| line == "dtab = '''").unwrap() + 1;
    let shown = |finding: &Finding| {
        let (_, line, col) = finding.place().unwrap();
        format!("{} {}:{col}", finding.code, line - before)
    };
    warnings(text).iter().map(shown).collect()
}

fn findings(text: &str) -> String {
    rendered(&warnings(text.trim_start()))
}

#[test]
fn suspicious_rules_are_told_where_they_stand() {
    for (rules, expected) in [
        ("/svc => /#/nope ;", vec!["unknown-namer 1:9"]),
        ("/svc => /#/lab | 2 * /#/lob & /#/files ;", vec!["unknown-namer 1:22"]),
        ("/svc => /#/lab |\n  # not there\n  /$/inett/a/80 ;", vec!["unknown-namer 3:3"]),
        ("/svc/users => /#/lab/user ;", vec!["unknown-service 1:15"]),
        ("/svc/users => /#/lab ;", vec!["leads-nowhere 1:15"]),
        ("/svc/users => /$/inet/127.1 ;", vec!["leads-nowhere 1:15"]),
        ("/svc/users => /$/inet/127.1/99999 ;", vec!["leads-nowhere 1:15"]),
        ("/svc => /srv ;\n/svr => /#/lab ;", vec!["leads-nowhere 1:9", "unreachable-rule 2:1"]),
        ("/svc => /svc ;", vec!["loop 1:1"]),
        ("/svc => /svc/v1 ;", vec!["loop 1:1"]),
        ("/svc => /#/lab | /svc ;", vec!["loop 1:1"]),
        ("/svc => /#/lab | /svc/other ;", vec!["loop 1:1"]),
        ("/ => (/#/lab & /#/files) & /#/lab ;", vec!["loop 1:1"]),
        ("/svc => /svc & 5 * /#/lab ;", vec!["loop 1:1"]),
        ("/a => /b ; /b => /a ;", vec!["loop 1:1"]),
        ("/svc => /a ;\n/a => /b ;\n/b => /c ;\n/c => /a ;", vec!["loop 2:1"]),
        ("/svc => /#/versions/users ;\n/srv => /svc ;", vec![]),
        ("/srv => /svc/x ;\n/svc => /#/versions/users ;", vec!["loop 1:1"]),
        (
            "/svc => /host ;\n/host/users => /host/users/x ;\n/host/web => /#/lab ;",
            vec!["loop 2:1", "leads-nowhere 3:14"],
        ),
        ("/srv/users-v2 => /svc/v2 ;\n/svc => /#/versions/users ;", vec!["loop 1:1"]),
        ("/srv/users-v2 => /svc/v2 ;\n/svc/v2 => /#/versions/users/v2 ;", vec!["loop 1:1"]),
        ("/svc => ! ;\n/svc => /#/lab ;", vec![]),
        ("/svc => /#/lab ;\n/svc => /#/files | ! ;", vec!["shadowed-rule 1:1"]),
        ("/svc/users => /#/lab/users ;\n/svc/* => $ ;", vec!["shadowed-rule 1:1"]),
        ("/svc/users => /#/lab/users ;\n/svc => /#/files ;", vec!["shadowed-rule 1:1"]),
        ("/svc/web-v2 => /#/lab/web-v2 ;\n/svc => /#/files ;", vec![]),
        ("/svc => /#/lab ;\n/svc => /#/files ;\n/svc => /#/lab ;", vec!["shadowed-rule 1:1"]),
        ("/svc => /srv ;\n/srv => /#/lab ;\n/srv => /$/inet/127.1/80 ;", vec!["shadowed-rule 2:1"]),
        ("/svc/a => /#/lab/users ;\n/svc => /#/versions/web ;", vec!["general-before-specific 2:1"]),
        ("/http/users => /#/lab/users ;", vec!["unreachable-rule 1:1"]),
        ("/svc => /#/lab ;\n/svc/Users => /#/lab/users ;", vec!["unreachable-rule 2:1"]),
        ("/svc => /#/lab ;\n/svc/users/v2 => /#/lab/users ;", vec!["unreachable-rule 2:1"]),
        ("/svc => /#/lab ; /svc => ~ | (! & !) ;", vec!["negative-rule 1:18"]),
        ("/svc => ! | /#/lab ;", vec!["unused-alternative 1:13"]),
        ("/svc/x => (/#/lab/users | ~) | /#/files/users ;", vec!["unused-alternative 1:32"]),
        ("/svc => /#/lab # old ; /svc => /#/files ;", vec!["swallowed-rule 1:24"]),
        ("/svc/x => /#/lab/users#old ;", vec!["unknown-service 1:11", "glued-comment 1:23"]),
        ("/svc => 0 * /#/lab & /#/files ;", vec!["zero-weight 1:9"]),
        ("/svc => 0 * /#/lab & 0.0 * /#/files ;", vec!["zero-weight 1:9", "zero-weight 1:22"]),
        ("/svc => 0.9 * /#/lab | 0.1 * /#/files ;", vec!["lone-weight 1:9", "lone-weight 1:24"]),
    ] {
        assert_eq!(raised(rules, ""), expected, "{rules}");
    }
}

#[test]
fn rules_as_people_write_them_raise_no_alarm() {
    for rules in [
        "",
        "/svc => /#/lab",
        "/srv => /#/lab ; /host => /srv ; /svc => /host ; /host/users => /srv/web-v2 ;",
        "/svc => /#/files ; /svc => /#/lab ;",
        "/svc => ! ; /svc => /#/files | /#/lab ;",
        "/ => ! ; /svc => /#/files ;",
        "/ph => /$/io.buoyant.rinet ; /svc => /ph/80 ; /svc => /$/io.buoyant.porthostPfx/ph ;",
        "/svc => /$/io.buoyant.rinet/80 ;",
        "/hp => /$/inet ; /svc => /$/io.buoyant.hostportPfx/hp ;",
        "/host => /#/lab ; /svc => /$/io.buoyant.http.domainToPathPfx/host ;",
        "/srv => /#/lab ; /svc => /$/io.buoyant.http.subdomainOfPfx/example.com/srv ;",
        "/srv => /#/lab ; /svc => /#/versions/web ; /srv/web-v2 => /#/lab/web-v2 ;",
        "/svc => /#/lab | /svc/default ;",
        "/svc => /#/files | /svc/web ;",
        "/svc => /svc/v2 ; /svc/v2 => /$/io.buoyant.rinet/80 ;",
        "/svc/v2 => /#/lab/users ; /svc/v1 => /svc/v2 ;",
        "/svc => /#/lab ; /svc/web => 0.9 * /#/files/web & 0.1 * (/#/lab/web-v2 | ~) ;",
        "/svc => /#/lab ; /svc/admin => ! ; /svc/empty => $ ; /svc/no => /$/fail ; /svc/nil => /$/nil ;",
        "/#/lab => /#/files ; /svc => /#/lab ;",
        "/#/lab/old => /#/lab/users ; /svc => /#/lab ;",
        "/#/lab => ~ ; /svc => /#/lab | /#/files ; # `~` ; is there on purpose",
        "/svc => /#/lab ; # /svc/users => /#/files ; not yet\n# /svc/x => /#/x ;\n",
        "/svc => /#/lab # a comment; with a semicolon\n;",
        "/svc/* => /#/lab/users ; /svc/web => /#/files/web ;",
    ] {
        // One rule here says nothing, and knows it.
        let found: Vec<String> =
            raised(rules, "").into_iter().filter(|found| !found.starts_with("negative-rule")).collect();
        assert!(found.is_empty(), "{rules}\n{}", rendered(&warnings(&with_rules(rules, ""))));
    }
}

#[test]
fn a_name_without_endpoints_leaves_room_for_alternatives_where_it_may() {
    for (rules, by_name, by_endpoints) in [
        ("/svc => /$/inet/10.0.0.1/80 | /$/inet/10.0.0.2/80 ;", vec!["unused-alternative 1:31"], vec![]),
        (
            "/svc/web => /#/files/web ;\n/svc => /$/inet/10.0.0.1/80 ;",
            vec!["shadowed-rule 1:1"],
            vec!["general-before-specific 2:1"],
        ),
        ("/svc => /#/lab/users | ! | /#/files ;", vec!["unused-alternative 1:28"], vec!["unused-alternative 1:28"]),
    ] {
        assert_eq!(raised(rules, ""), by_name, "{rules}");
        let text = with_rules(rules, "").replace("dtab =", "fallback = 'endpoints'\ndtab =");
        assert_eq!(places(&text), by_endpoints, "{rules}");
    }
}

#[test]
fn what_requests_are_called_decides_which_rules_are_reached() {
    let rules = "/svc/1.1/GET => /#/lab ; /svc/users/v2 => /#/lab/users ; /svc/Users => /#/lab/users ;";
    for (identifier, unreached) in [
        ("'method_and_host'", vec![2, 3]),
        ("{ kind = 'path', segments = 2 }", vec![]),
        ("{ kind = 'header.token', header = 'x-name' }", vec![1, 2]),
        ("'header'", vec![]),
        ("'header.path'", vec![]),
        ("['header.token', 'header.path']", vec![]),
        ("{ kind = 'static', path = '/Users' }", vec![1, 2]),
    ] {
        let text = with_rules(rules, "").replace("dtab =", &format!("identifier = {identifier}\ndtab ="));
        let starts = ["/svc/1.1", "/svc/users", "/svc/Users"];
        let found: Vec<usize> = warnings(&text)
            .iter()
            .filter(|finding| finding.code == "unreachable-rule")
            .filter_map(|finding| starts.iter().position(|start| finding.message.contains(start)))
            .map(|index| index + 1)
            .collect();
        assert_eq!(found, unreached, "{identifier}");
    }
}

#[test]
fn suspicious_policies_are_told_where_they_stand() {
    let rules = "/svc => /#/lab ;";
    let line = |found: &str| found.split(' ').next().unwrap().to_owned();
    for (more, expected) in [
        ("[[routers.client.configs]]\nprefix = '/#/lab/{service}'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/#/lab/user'\n", vec!["matches-nothing"]),
        ("[[routers.client.configs]]\nprefix = '/#/lab/web-{version}'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/#/lab/web_{version}'\n", vec!["matches-nothing"]),
        ("[[routers.client.configs]]\nprefix = '/#/lab/users/x'\n", vec!["matches-nothing"]),
        ("[[routers.client.configs]]\nprefix = '/#/versions'\n", vec!["matches-nothing"]),
        ("[[routers.client.configs]]\nprefix = '/$/inet/{host}/443'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/$/inet/{host}/https'\n", vec!["matches-nothing"]),
        ("[[routers.client.configs]]\nprefix = '/$/fixedinet/{host}/443'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/$/io.buoyant.rinet/443'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/#/files'\nprotocol = 'http1'\n", vec![]),
        ("[[routers.service.configs]]\nprefix = '/svc/{service}'\n", vec![]),
        ("[[routers.service.configs]]\nprefix = '/svc/Users'\n", vec!["matches-nothing"]),
        ("[[routers.service.configs]]\nprefix = '/svc/users/x'\n", vec!["matches-nothing"]),
        ("[[routers.service.configs]]\nprefix = '/'\n", vec![]),
        (
            "[routers.service]\ntotal_timeout = '1s'\n[[routers.service.configs]]\nprefix = '/'\ntotal_timeout = '2s'\n",
            vec!["overridden-policy"],
        ),
        (
            "[[routers.client.configs]]\nprefix = '/#/lab/users'\nprotocol = 'http1'\nhost = 'a'\n\
             [[routers.client.configs]]\nprefix = '/#/lab/{service}'\nprotocol = 'http2'\n",
            vec!["overridden-policy"],
        ),
        (
            "[[routers.client.configs]]\nprefix = '/#/lab/{service}'\nprotocol = 'http1'\n\
             [[routers.client.configs]]\nprefix = '/#/lab/users'\nprotocol = 'http2'\n",
            vec![],
        ),
        ("[[routers.client.configs]]\nprefix = '/#/lab/{users}'\nhost = 'users.example.com'\n", vec!["unused-capture"]),
        ("[[routers.client.configs]]\nprefix = '/#/lab/{service}'\nhost = 'users.example.com'\n", vec![]),
        ("[[routers.client.configs]]\nprefix = '/{x}/{x}'\nhost = '{x}'\n", vec!["empty-capture"]),
    ] {
        let found: Vec<String> = raised(rules, more).iter().map(|found| line(found)).collect();
        assert_eq!(found, expected, "{more}");
    }
}

#[test]
fn rules_decide_which_bound_paths_there_are_where_nobody_brings_others() {
    let policies =
        "[[routers.client.configs]]\nprefix = '/#/lab/users'\n[[routers.client.configs]]\nprefix = '/#/files'\n";
    let text = with_rules("/svc => /srv ; /srv => /#/lab ;", policies);
    for (server, expected) in [
        ("{ port = 4140 }", 0),
        ("{ port = 4140, overrides = { allow = 'none' } }", 0),
        ("{ port = 4140, clear_context = true }", 1),
        ("{ ip = '192.0.2.1', port = 4140 }", 1),
        ("{ ip = '192.0.2.1', port = 4140, context = 'any' }", 0),
        ("{ ip = '192.0.2.1', port = 4140, overrides = { allow = ['10.0.0.0/8'] } }", 0),
        ("{ ip = '0.0.0.0', port = 4140 }", 0),
    ] {
        let found = warnings(&text.replace("{ port = 4140 }", server));
        assert_eq!(found.len(), expected, "{server}: {}", rendered(&found));
        assert!(found.iter().all(|finding| finding.message.contains("/#/files")), "{}", rendered(&found));
    }
}

#[test]
fn a_circle_is_shown_as_the_way_round() {
    let text = r##"
[[routers]]
dtab = """
/svc  => /host ;
/host => /srv | ! ;
/srv  => 0.5 * /$/inet/127.0.0.1/80 & 0.5 * /$/io.buoyant.http.anyHostPfx/back/now ;
/back => /host ;
"""
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text), @r##"
    warning[loop]: `/host => /srv ; /srv => /$/io.buoyant.http.anyHostPfx/back/now ; /$/io.buoyant.http.anyHostPfx/back/now/name => /back/name ; /back => /host` goes round in circles
     --> waypost.toml:4:1
      |
    4 | /host => /srv | ! ;
      | ^^^^^^^^^^^^^^^^^
      |
      = help: `/srv` is at waypost.toml:5:1, `/back` is at waypost.toml:6:1; delegation stops after 100 steps with an error; let the destination begin with another name
    "##);
}

#[test]
fn a_general_rule_names_the_special_ones_before_it() {
    let text = r##"
[[namers]]
kind = "rewrite"
prefix = "fs"
pattern = "/{name}"
name = "/#/lab/{name}"
[[namers]]
kind = "static"
prefix = "lab"
services = { users = [], web = [] }
[[routers]]
dtab = """
/svc/a => /#/lab/users ;
/svc/b => /#/lab/web ;
/srv   => /#/lab ;
/svc/c => /#/lab/users ;
/svc   => /#/fs | /srv ;
"""
[[routers.servers]]
port = 4140
"##;
    insta::assert_snapshot!(findings(text), @r##"
    warning[general-before-specific]: `/svc` is tried before `/svc/a` at waypost.toml:12:1 and 2 more
      --> waypost.toml:16:1
       |
    16 | /svc   => /#/fs | /srv ;
       | ^^^^
       |
       = help: a later rule is tried first, however short its prefix: let the special ones stand behind this one
    "##);
}

#[test]
fn upper_case_in_a_rule_for_hosts_is_explained() {
    let text = r##"
[[routers]]
dtab = "/svc/Users => /$/inet/127.0.0.1/80"
[[routers.servers]]
port = 4140
[[routers.service.configs]]
prefix = "/svc/Users"
"##;
    insta::assert_snapshot!(findings(text), @r##"
    warning[unreachable-rule]: nothing leads to `/svc/Users`
     --> waypost.toml:2:9
      |
    2 | dtab = "/svc/Users => /$/inet/127.0.0.1/80"
      |         ^^^^^^^^^^
      |
      = help: hosts are lower-cased: write `/svc/users`

    warning[matches-nothing]: no logical path can match `/svc/Users`
     --> waypost.toml:6:10
      |
    6 | prefix = "/svc/Users"
      |          ^^^^^^^^^^^^
      |
      = help: hosts are lower-cased
    "##);
}

#[test]
fn both_sides_of_a_call_within_the_file_are_named() {
    let text = r##"
[[namers]]
kind = "static"
prefix = "mesh"
services = { users = ["127.0.0.1:4141"], web = ["127.0.0.1:8080"] }
[[routers]]
label = "outgoing"
dtab = "/svc => /#/mesh"
[[routers.servers]]
port = 4140
[routers.client]
tls = { kind = "static", common_name = "users.example.com" }
[[routers]]
label = "incoming"
dtab = "/svc => /$/inet/127.0.0.1/8080"
[[routers.servers]]
port = 4141
"##;
    insta::assert_snapshot!(findings(text), @r##"
    warning[tls-mismatch]: router `outgoing` calls `/#/mesh/users` at 127.0.0.1:4141 with TLS, and this server has none
      --> waypost.toml:15:1
       |
    15 | [[routers.servers]]
       | ^^^^^^^^^^^^^^^^^^^
       |
       = help: give this server a `tls`, or undo that of waypost.toml:11:1
    "##);
}

#[test]
fn a_certificate_is_compared_with_what_its_callers_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    mint::init(directory.path()).unwrap();
    mint::issue(directory.path(), &["*.example.com".to_owned()], mint::LeafOptions::default()).unwrap();
    let text = |name: &str, rules: &str| {
        format!(
            "[[namers]]\nkind = 'static'\nprefix = 'mesh'\nservices = {{ users = ['127.0.0.1:4141'] }}\n\
             [[routers]]\nlabel = 'out'\ndtab = '{rules}'\nservers = [{{ port = 4140 }}]\n\
             [routers.client]\ntls = {{ kind = 'static', common_name = '{name}', trust = 'ca.pem' }}\n\
             [[routers]]\ndtab = '/svc => /$/nil'\n[[routers.servers]]\nip = '0.0.0.0'\nport = 4141\n\
             tls = {{ cert = '_.example.com.pem', key = '_.example.com.key' }}\n"
        )
    };
    for (name, rules, expected) in [
        ("users.example.com", "/svc => /#/mesh", None),
        ("users.example.org", "/svc => /#/mesh", Some("wrong-certificate")),
        ("spiffe://example.com/users", "/svc/users => /#/mesh/users", Some("wrong-certificate")),
        ("users.example.org", "/svc => /$/inet/127.0.0.1/4141", Some("wrong-certificate")),
        ("users.example.org", "/svc => /$/inet/4141", Some("wrong-certificate")),
        ("users.example.org", "/svc => /$/inet/192.0.2.1/4141", None),
        ("users.example.org", "/svc/web => /#/mesh/web | /$/nil", Some("unknown-service")),
        ("users.example.org", "/svc => /$/nil", None),
    ] {
        let loaded = Config::parse("waypost.toml", &text(name, rules), directory.path()).unwrap();
        let codes: Vec<_> = loaded.warnings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expected.into_iter().collect::<Vec<_>>(), "{name} {rules}: {}", rendered(&loaded.warnings));
    }
}

#[test]
fn an_allow_silences_its_lint_on_its_line_only() {
    let zero = "/svc => 0 * /#/lab & /#/files ;";
    for (rules, expected) in [
        (format!("{zero} # waypost: allow(zero-weight) drained"), vec![]),
        (format!("# waypost: allow(zero-weight) drained\n{zero}"), vec![]),
        (format!("# waypost: allow(zero-weight) drained\n\n# they said\n{zero}"), vec![]),
        (format!("# waypost: allow(loop, zero-weight) why\n{zero}"), vec!["unused-allow 1:1"]),
        (format!("# waypost: allow(loop) why\n{zero}"), vec!["unused-allow 1:1", "zero-weight 2:9"]),
        (format!("{zero}\n# waypost: allow(zero-weight) too late"), vec!["zero-weight 1:9", "unused-allow 2:1"]),
        (format!("{zero} # waypost: allow(zero-weight)"), vec!["malformed-allow 1:33"]),
        (format!("{zero} # waypost: allow(zero-wait) why"), vec!["zero-weight 1:9", "malformed-allow 1:33"]),
        (format!("{zero} # waypost: allow zero-weight"), vec!["zero-weight 1:9", "malformed-allow 1:33"]),
        (format!("{zero} # waypost: allow(unused-allow) why"), vec!["zero-weight 1:9", "malformed-allow 1:33"]),
        (format!("{zero} # waypost: allow(bad-dtab) why"), vec!["zero-weight 1:9", "malformed-allow 1:33"]),
        (format!("{zero} # waypost: weights of 0 are for drained ones"), vec!["zero-weight 1:9"]),
        ("/svc => 0 * /#/lab & # waypost: allow(zero-weight) why\n /#/files ;".to_owned(), vec![]),
    ] {
        assert_eq!(raised(&rules, ""), expected, "{rules}");
    }
}

#[test]
fn an_allow_may_stand_in_the_toml_file_too() {
    let text = with_rules("/svc => /#/lab ;", "[routers.client]\ntls = { kind = 'no_validation' }\n");
    for (from, to) in [
        ("'no_validation' }", "'no_validation' } # waypost: allow(no-validation) a lab"),
        ("tls = ", "# waypost: allow(no-validation) a lab\ntls = "),
    ] {
        assert_eq!(rendered(&warnings(&text.replace(from, to))), "", "{to}");
    }
    let rules = "dtab = '/svc => 0 * /$/nil & /$/fail' # waypost: allow(zero-weight) for a while";
    let text = format!("[[routers]]\nservers = [{{ port = 0 }}]\n{rules}\n");
    assert_eq!(rendered(&warnings(&text)), "");
    // Text that only looks like a comment is none.
    let host = "[routers.client]\nhost = 'a' # waypost: allow(loop) why\n[[routers.client.configs]]\nprefix = '/#/lab'\nhost = '''\n";
    let broken = load(&with_rules("/svc => /#/lab ;", &format!("{host}# waypost: allow(loop) why'''\n")));
    assert!(broken.is_err(), "a host has no spaces");
}

#[test]
fn an_allow_works_in_a_file_of_rules() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    // Two routers read the same file, and the lint is raised for one of them.
    let router = |label: &str, prefix: &str, port: u16| {
        format!(
            "[[routers]]\nlabel = '{label}'\ndst_prefix = '{prefix}'\ndtab_file = 'rules'\nservers = [{{ port = {port} }}]\n"
        )
    };
    write("waypost.toml", &(router("a", "/svc", 4140) + &router("b", "/http", 4141)));
    let check = |rules: &str| {
        write("rules", rules);
        let loaded = Config::load(&directory.path().join("waypost.toml")).unwrap();
        let name = |finding: &Finding| {
            let (file, line, col) = finding.place().unwrap();
            format!("{} {}:{line}:{col}", finding.code, Path::new(&file).file_name().unwrap().to_str().unwrap())
        };
        loaded.warnings.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(
        check("/svc => /$/nil ;\n/http => /$/nil ;"),
        ["unreachable-rule rules:1:1", "unreachable-rule rules:2:1"]
    );
    let allowed = "# waypost: allow(unreachable-rule) of b\n/svc => /$/nil ;\n/http => /$/nil ; # waypost: allow(unreachable-rule) of a\n";
    assert_eq!(check(allowed), Vec::<String>::new());
    assert_eq!(check(&format!("{allowed}\n# waypost: allow(loop) why\n")), ["unused-allow rules:5:1"]);
}

#[test]
fn a_semicolon_that_is_missing_is_named_where_it_should_be() {
    for (rules, expected) in [
        ("/svc => /#/lab # all ;\n/svc/x => /#/lab ;", "the `;` at waypost.toml:17:22 is part of a comment"),
        ("/svc => /#/lab |\n/svc/x => /#/lab ;", "a `;` is missing before `/svc/x`"),
        ("/svc => /#/lab\n/svc/x => /#/lab ;", "rules are separated by `;`"),
        ("/a => /b # x ; y\n;\n/svc => /#/lab\n/svc/x => /#/lab ;", "rules are separated by `;`"),
    ] {
        let findings = load(&with_rules(rules, "")).unwrap_err();
        let hint = findings[0].hint.clone().unwrap_or_default();
        assert!(hint.starts_with(expected), "{rules}: {hint}");
    }
}

#[test]
fn a_comment_that_a_backslash_prolongs_is_told() {
    let text = "[[routers]]\nservers = [{ port = 0 }]\ndtab = \"\"\"\n/svc => /$/nil ; # all \\\n/svc/x => /$/fail ;\n\"\"\"\n";
    let found = warnings(text);
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["swallowed-rule"]);
    assert_eq!(found[0].place().unwrap().1, 4);
}
