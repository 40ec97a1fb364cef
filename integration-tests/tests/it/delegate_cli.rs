//! `waypost delegate`: delegation alone.

use integration_tests::*;

#[tokio::test]
async fn names_stand_in_for_namers() {
    let ran = waypost(&[
        "delegate",
        "--dtab",
        "/svc => /#/fs ; /svc/users => /#/fs/beta | /#/fs/users",
        "--name",
        "/#/fs/users=127.0.0.1:8080,127.0.0.1:8081",
        "/svc/users/x",
        "--json",
    ])
    .await
    .exits(0);
    let tree = ran.json();
    assert_eq!(tree["path"], "/svc/users/x", "{tree}");
    let text = tree.to_string();
    assert!(text.contains("\"neg\"") && text.contains("/#/fs/beta"), "every branch is shown: {tree}");
    assert!(text.contains("\"leaf\"") && text.contains("8081"), "{tree}");
    assert!(
        text.contains("\"id\":\"/#/fs/users\"") && text.contains("\"path\":\"/x\""),
        "bound id and residual: {tree}"
    );
}

#[tokio::test]
async fn path_that_leads_nowhere_exits_1() {
    for (dtab, path) in
        [("/svc => /#/fs", "/svc/users"), ("/svc => !", "/svc/x"), ("/svc => /svc", "/svc/x"), ("", "/svc")]
    {
        let ran = waypost(&["delegate", "--dtab", dtab, path]).await;
        assert_eq!(ran.code, 1, "{dtab}: {ran:?}");
    }
}

#[tokio::test]
async fn text_marks_rules_and_where_it_ends() {
    let args =
        ["delegate", "--dtab", "/svc => /srv ; /srv => /#/fs", "--name", "/#/fs/users=127.0.0.1:8080", "/svc/users"];
    let ran = waypost(&args).await.exits(0);
    for word in ["/svc/users", "/srv/users", "/#/fs/users", "127.0.0.1:8080"] {
        assert!(ran.stdout.contains(word), "{word} in\n{}", ran.stdout);
    }
}

#[tokio::test]
async fn what_does_not_parse_is_shown_with_its_place() {
    for (args, place) in [
        (["delegate", "--dtab", "/svc = /x", "/svc/users"], "1:7"),
        (["delegate", "--dtab", "/svc => /x ;; /y => /z", "/svc/users"], "1:13"),
        (["delegate", "--dtab", "/svc => /x", "/svc//users"], "1:6"),
    ] {
        let ran = waypost(&args).await.exits(2);
        assert!(ran.stderr.contains(place) && ran.stderr.contains('^'), "{place} in\n{}", ran.stderr);
    }
    waypost(&["delegate", "--dtab", "/svc => /x", "--name", "nonsense", "/svc/users"]).await.exits(2);
}

#[tokio::test]
async fn delegation_without_end_ends() {
    for dtab in ["/a => /a & /a", "/a => /a/b", "/a => /b ; /b => /a"] {
        let ran = waypost(&["delegate", "--dtab", dtab, "/a", "--json"]).await.exits(1);
        assert!(ran.stdout.len() < 10_000_000, "{} bytes", ran.stdout.len());
    }
}
