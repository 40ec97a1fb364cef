//! A configuration.

use std::path::Path;

use waypost::config::{Config, documented};
use waypost_naming::{Dtab, Finding, Severity};

use super::{is_one_line, is_placed};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        " = ",
        "\n",
        ", ",
        "\"",
        "\"\"\"",
        "'",
        "#",
        ".",
        "\\",
        "\\u00e9",
        "true",
        "-1",
        "0",
        "1",
        "4140",
        "65536",
        "1e9",
        "0.5",
        "nan",
        "\"1s\"",
        "\"none\"",
        "\"250ms\"",
        "\"64KiB\"",
        "\"10000000000000s\"",
        "\"/svc => /#/fs ;\"",
        "\"/a => /b/\"",
        "\"fs\"",
        "\"static\"",
        "\"rewrite\"",
        "\"io.l5d.fs\"",
        "\"bound_path\"",
        "\"header.token\"",
        "\"{a}.example.com\"",
        "\"/#/fs/{a}\"",
        "\"127.0.0.1:80\"",
        "\"::\"",
        "\u{e9}",
        "kind",
        "prefix",
        "[[routers]]\n",
        "[[routers.servers]]\n",
        "[[routers.client.configs]]\n",
        "[[namers]]\n",
    ];
    let seeds = [
        "[[routers]]\n[[routers.servers]]\nport = 0\n",
        "[[namers]]\nkind = \"static\"\nprefix = \"lab\"\n[namers.services]\nusers = [\"127.0.0.1:8080\", { addr = \
         \"127.0.0.1:8081\", weight = 2.0 }]\n[[routers]]\ndtab = \"\"\"\n/svc => /#/lab ; # all\n/a => /b/ ;\n\"\"\"\n\
         [[routers.servers]]\nport = 0\n",
        "[[routers]]\nidentifier = [{ kind = \"path\", segments = 1 }, { kind = \"header.token\" }]\n\
         [[routers.servers]]\nport = 0\n[routers.client]\nconnect_timeout = \"1s\"\n[[routers.client.configs]]\n\
         prefix = \"/#/fs/{service}\"\ntls = { kind = \"none\" }\nbalancer = { kind = \"p2c\" }\n",
        include_str!("../../../configs/http1.toml"),
        include_str!("../../../configs/http2.toml"),
        include_str!("../../../configs/linker-to-linker-bound-path.toml"),
    ];
    let mut target = Target::new("config", holds, &words, &seeds);
    let keys = documented().into_iter().flat_map(|row| row.key.split('.').map(str::to_owned).collect::<Vec<_>>());
    target.words.extend(keys);
    target
}

fn holds(text: &str) {
    let load = || Config::parse("waypost.toml", text, Path::new("no-such-directory"));
    match load() {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|finding| is_whole(text, finding));
            assert!(loaded.warnings.iter().all(|finding| finding.severity == Severity::Warning));
            for router in &loaded.config.routers {
                let shown = router.dtab.to_string();
                assert_eq!(Dtab::parse(&shown).map(|again| again.to_string()), Ok(shown));
            }
            let again = load().map(|again| again.config.to_json());
            assert_eq!(again.ok(), Some(loaded.config.to_json()), "the same text is the same configuration");
        }
        Err(findings) => {
            findings.iter().for_each(|finding| is_whole(text, finding));
            assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
        }
    }
}

/// A finding has a place in its text, and is drawn with it.
fn is_whole(text: &str, finding: &Finding) {
    is_one_line(&finding.message);
    finding.hint.iter().for_each(|hint| is_one_line(hint));
    let source = finding.source.as_ref().zip(finding.span);
    assert!(source.is_some(), "{finding:?} has no place");
    if let Some((source, span)) = source {
        assert!(source.name != "waypost.toml" || source.text == text);
        is_placed(&source.text, span);
    }
    if let Some((name, line, col)) = finding.place() {
        let drawn = finding.render(false);
        assert!(drawn.contains(&format!("{name}:{line}:{col}")), "{line}:{col} is not in {drawn}");
    }
}
