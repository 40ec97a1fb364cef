//! The commands: what they print where, and what they exit with.

use std::process::Command;

use serde_json::{Value, json};

use crate::lab::{CONFIG, Lab};

/// Runs the binary: exit code, stdout, stderr.
fn waypost(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_waypost")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn explain_exits_by_what_the_request_comes_to() {
    let lab = Lab::new();
    let file = lab.dir.path().join("waypost.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, wanted) in [
        (vec![file, "http://users/"], 0),
        (vec![file, "POST", "http://users/"], 0),
        (vec![file, "/x", "-H", "Host: users", "--router", "outgoing"], 0),
        (vec![file, "http://missing/"], 1),
        (vec![file, "http://users/", "-H", "l5d-dtab: nonsense"], 1),
        (vec![file, "http://users/", "--router", "other"], 2),
        (vec![file, "not a url"], 2),
        (vec![file, "http://users/", "-H", "no colon"], 2),
        (vec!["/nowhere/waypost.toml", "http://users/"], 2),
        (vec![file], 2),
        (vec![], 2),
    ] {
        let all: Vec<&str> = ["explain"].into_iter().chain(arguments.iter().copied()).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!(code, wanted, "{arguments:?}\n{out}\n{errors}");
        assert_eq!(out.is_empty(), wanted == 2, "results go to stdout: {arguments:?}\n{out}");
        assert_eq!(errors.is_empty(), wanted != 2, "errors go to stderr: {arguments:?}\n{errors}");
    }
    let (_, json, _) = waypost(&["explain", file, "http://users/x?y=1", "--json"]);
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["dtab"][0]["from"], format!("{file}:14:1"));
}

#[test]
fn delegate_exits_by_what_the_path_is_bound_to() {
    let names = ["--name", "/#/fs/users=127.0.0.1:1,[::1]:2", "--name", "/#/fs/empty="];
    for (dtab, path, wanted, shown) in [
        ("/svc => /#/fs", "/svc/users/x", 0, "bound: /#/fs/users"),
        ("/svc => /#/fs", "/svc/empty", 0, "bound: no endpoints"),
        ("/svc => /$/inet/127.0.0.1", "/svc/80", 0, "bound: 127.0.0.1:80"),
        ("/svc => /#/fs", "/svc/other", 1, "negative: /svc/other leads nowhere"),
        ("/svc => !", "/svc/users", 1, "failed: a rule says `!`"),
        ("/svc => $", "/svc/users", 1, "empty: a rule says `$`"),
        ("/svc => /svc", "/svc/users", 1, "error: /svc/users is more than 100 steps away"),
    ] {
        let all: Vec<&str> = ["delegate", "--dtab", dtab].into_iter().chain(names).chain([path]).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!(code, wanted, "{dtab} {path}\n{out}\n{errors}");
        assert!(out.contains(shown), "{dtab} {path}\n{out}");
    }
}

#[test]
fn delegate_says_why_each_other_branch_is_lost() {
    let rules = "/svc => /#/fs ;\n/svc/shop => /#/fs/shop-v3 | 0.001 * /#/fs/shop & 0.999 * /#/fs/shop-v2 & /#/fs/gone";
    let names = ["--name", "/#/fs/shop=127.0.0.1:8081,[::1]:8082", "--name", "/#/fs/shop-v2="];
    let all: Vec<&str> = ["delegate", "--dtab", rules].into_iter().chain(names).chain(["/svc/shop/x"]).collect();
    let (code, out, errors) = waypost(&all);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    insta::assert_snapshot!(out, @r#"
    1. dtab      a later rule is tried before an earlier one
          --dtab:1:1  not reached  /svc => /#/fs
          --dtab:2:1  decides      /svc/shop => /#/fs/shop-v3 | 0.001 * /#/fs/shop & 0.999 * /#/fs/shop-v2 & /#/fs/gone
    2. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/shop/x                              the first of these that leads somewhere
            /#/fs/shop-v3/x            --dtab:2:1  leads nowhere: no --name is /#/fs/shop-v3/x; did you mean `/#/fs/shop-v2`?
        *   /svc/shop/x                --dtab:2:1  each of these, by weight, renormalised: 1 of 3 left out
        *     0.001 * /#/fs/shop/x     --dtab:2:1  bound as /#/fs/shop, /x is left: 127.0.0.1:8081, [::1]:8082, 0.1 % of the requests
        *     0.999 * /#/fs/shop-v2/x  --dtab:2:1  bound as /#/fs/shop-v2, /x is left: no endpoints, 99.9 % of the requests
              1 * /#/fs/gone/x         --dtab:2:1  left out of the union: no --name is /#/fs/gone/x; did you mean `/#/fs/shop`?
            /#/fs/shop/x               --dtab:1:1  not tried: the later rule at --dtab:2:1 goes first, and /#/fs/shop answered; it would be bound as /#/fs/shop, /x is left: 127.0.0.1:8081, [::1]:8082

    note: /#/fs/gone/x is left out of its union, and its weight goes to the others: no --name is /#/fs/gone/x; did you mean `/#/fs/shop`?
    bound: /#/fs/shop (0.1 %) or /#/fs/shop-v2 (99.9 %), which has no endpoints
    "#);
}

#[test]
fn many_notes_are_cut_short() {
    let members: Vec<String> = (0..40).map(|n| format!("/#/fs/n{n}")).collect();
    let rules = format!("/svc => /#/fs/users & {}", members.join(" & "));
    let (code, out, _) = waypost(&["delegate", "--dtab", &rules, "--name", "/#/fs/users=127.0.0.1:1", "/svc"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("note: ")).count(), 11, "{out}");
    assert!(out.contains("note: and 30 more that are like these"), "{out}");
}

#[test]
fn delegate_shows_where_a_text_is_wrong() {
    for (arguments, place) in
        [(["--dtab", "/svc => /a ; /svc /b", "/svc"], "--dtab:1:19"), (["--dtab", "/svc => /a", "svc"], "PATH:1:1")]
    {
        let all: Vec<&str> = ["delegate"].into_iter().chain(arguments).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(place) && errors.contains('^'), "{errors}");
    }
    let (code, _, errors) = waypost(&["delegate", "--dtab", "/a => /b", "--name", "/b=127.0.0.1", "/a"]);
    assert_eq!(code, 2);
    assert!(errors.contains("--name:1:4") && errors.contains("no address with a port"), "{errors}");
}

#[test]
fn delegate_prints_linkerds_shape() {
    let name = "/#/fs/users=127.0.0.1:8080";
    let (code, out, _) = waypost(&["delegate", "--json", "--dtab", "/svc=>/#/fs", "--name", name, "/svc/users"]);
    assert_eq!(code, 0);
    let tree: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tree["delegate"]["bound"]["addr"]["addrs"], json!([{ "ip": "127.0.0.1", "port": 8080, "meta": {} }]));
    assert_eq!(tree["delegate"]["dentry"], json!({ "prefix": "/svc", "dst": "/#/fs" }));
}
