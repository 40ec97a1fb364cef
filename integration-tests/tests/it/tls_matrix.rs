//! Each kind of name, with each thing that can be wrong with a certificate, under each kind of client TLS.

use integration_tests::*;

/// A kind of name: how a cell's service begins, what is asked for, the certificate that has it and one that has another.
struct Kind {
    label: &'static str,
    asked: &'static str,
    right: fn() -> Leaf,
    wrong: fn() -> Leaf,
    keys: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        label: "dns",
        asked: "users.example.com",
        right: || Leaf::new(&["users.example.com"]),
        wrong: || Leaf::new(&["billing.example.com"]),
        keys: "",
    },
    Kind {
        label: "wildcard",
        asked: "users.example.com",
        right: || Leaf::new(&["*.example.com"]),
        wrong: || Leaf::new(&["*.users.example.com", "*.com", "*.example.org"]),
        keys: "",
    },
    Kind {
        label: "ip",
        asked: "127.0.0.1",
        right: || Leaf::new(&["127.0.0.1"]),
        wrong: || Leaf::new(&["127.0.0.2", "::1"]),
        keys: "",
    },
    Kind {
        label: "spiffe",
        asked: "spiffe://test/users",
        right: || Leaf::new(&["spiffe://test/users", "billing.example.com"]),
        wrong: || Leaf::new(&["spiffe://test/billing", "users.example.com"]),
        keys: "",
    },
    Kind {
        label: "cn",
        asked: "users.example.com",
        right: || Leaf::cn_only("users.example.com"),
        wrong: || Leaf::cn_only("billing.example.com"),
        keys: ", allow_common_name = true",
    },
    Kind {
        label: "ignoredcn",
        asked: "users.example.com",
        right: || Leaf::cn_only("users.example.com"),
        wrong: || Leaf::cn_only("billing.example.com"),
        keys: "",
    },
];

/// What is wrong with the certificate, and what that comes to: the word of the answer and the outcome of the handshake.
const CASES: [(&str, &str, &str); 9] = [
    ("right", "", "success"),
    ("chain", "", "success"),
    ("name", "tls_name", "bad_name"),
    ("ca", "tls_untrusted", "unknown_issuer"),
    ("expired", "tls_expired", "expired"),
    ("notyet", "tls_expired", "expired"),
    ("revoked", "tls_revoked", "revoked"),
    ("selfsigned", "tls_untrusted", "unknown_issuer"),
    ("nointermediate", "tls_untrusted", "unknown_issuer"),
];

/// The authorities that the cells need.
struct Authorities {
    trusted: Ca,
    intermediate: Ca,
    other: Ca,
}

impl Authorities {
    fn certificate(&self, kind: &Kind, case: &str) -> Identity {
        let Self { trusted, intermediate, other } = self;
        match case {
            "right" | "revoked" => trusted.sign((kind.right)()),
            "chain" => intermediate.sign((kind.right)()).with_issuer(intermediate),
            "name" => trusted.sign((kind.wrong)()),
            "ca" => other.sign((kind.right)()),
            "expired" => trusted.sign((kind.right)().expired()),
            "notyet" => trusted.sign((kind.right)().not_yet()),
            "selfsigned" => (kind.right)().self_signed(),
            "nointermediate" => intermediate.sign((kind.right)()),
            other => panic!("no such case: {other}"),
        }
    }
}

/// One cell of the matrix.
struct Cell {
    service: String,
    kind: &'static Kind,
    case: (&'static str, &'static str, &'static str),
    origin: Origin,
}

impl Cell {
    /// Under a policy that verifies. A common name that counts for nothing is a wrong name where all else is right.
    fn expected(&self) -> (&'static str, &'static str) {
        match (self.kind.label, self.case) {
            ("ignoredcn", (_, "", _)) => ("tls_name", "bad_name"),
            (_, (_, word, outcome)) => (word, outcome),
        }
    }
}

/// All cells, and the list that revokes those that are to be revoked.
async fn cells(authorities: &Authorities) -> (Vec<Cell>, String) {
    let (mut cells, mut revoked) = (Vec::new(), Vec::new());
    for kind in &KINDS {
        for case in CASES {
            let certificate = authorities.certificate(kind, case.0);
            let service = format!("{}-{}", kind.label, case.0);
            let origin = Origin::https(&service, &certificate).await;
            if case.0 == "revoked" {
                revoked.push(certificate);
            }
            cells.push(Cell { service, kind, case, origin });
        }
    }
    let list = authorities.trusted.revoke(&revoked.iter().collect::<Vec<_>>());
    (cells, list)
}

/// Asks each cell once and holds what came against `expected`: word, outcome, and whether the origin was reached.
async fn check(policy: &str, spec: Spec, cells: &[Cell], expected: impl Fn(&Cell) -> (&'static str, &'static str)) {
    let spec = cells.iter().fold(spec, |spec, cell| spec.endpoint(&cell.service, cell.origin.addr()));
    let proxy = spec.start().await;
    let before: Vec<usize> = cells.iter().map(|cell| cell.origin.requests()).collect();
    let mut answers = Vec::new();
    for cell in cells {
        answers.push(proxy.get(&cell.service, "/").await);
    }
    let metrics = proxy.metrics().await;
    for ((cell, answer), before) in cells.iter().zip(&answers).zip(before) {
        let (word, outcome) = expected(cell);
        let what = format!("{} under {policy}: {answer:?}", cell.service);
        let status = if word.is_empty() { 200 } else { 502 };
        assert_eq!((answer.status(), answer.word()), (status, word), "{what}");
        assert_eq!(cell.origin.requests() - before, usize::from(status == 200), "{what}");
        let client = format!("/#/fs/{}", cell.service);
        let made = |sample: &&metrics::Sample| sample.value != 0.0;
        let labels = [("client", client.as_str())];
        let handshakes = metrics.matching("waypost_client_tls_handshakes_total", &labels);
        let counted: Vec<_> =
            handshakes.filter(made).map(|one| (one.label("router"), one.label("outcome"), one.value)).collect();
        assert_eq!(counted, [(Some("out"), Some(outcome), 1.0)], "{what}");
    }
}

#[tokio::test]
async fn each_certificate_comes_to_what_it_should_under_each_policy() {
    let trusted = Ca::named("trusted CA");
    let intermediate = trusted.intermediate("intermediate CA");
    let authorities = Authorities { intermediate, other: Ca::named("other CA"), trusted };
    let (cells, revoked) = cells(&authorities).await;
    let spec = || Spec::router("out").trust("ca", &authorities.trusted).file("crl.pem", &revoked);

    // With a list every CA of a chain needs one: only the cells about revocation have it.
    let policies = [("{case}", ""), ("revoked", ", crls = [\"crl.pem\"]")];
    let (mut fixed, mut bound_path) = (spec(), spec());
    for kind in &KINDS {
        for (case, crls) in policies {
            let (prefix, name) = (format!("/#/fs/{}-{case}", kind.label), kind.asked);
            let rest = format!("trust = [\"ca.pem\"]{}{crls} }}", kind.keys);
            let one = format!("tls = {{ kind = \"static\", common_name = \"{name}\", {rest}");
            let names = format!("[{{ prefix = \"{prefix}\", common_name = \"{name}\" }}]");
            let by_path = format!("tls = {{ kind = \"bound_path\", names = {names}, {rest}");
            fixed = fixed.client_at(&prefix, &one);
            bound_path = bound_path.client_at(&prefix, &by_path);
        }
    }
    check("static", fixed, &cells, Cell::expected).await;
    check("bound_path", bound_path, &cells, Cell::expected).await;
    let anybody = spec().client("tls = { kind = \"no_validation\", common_name = \"users.example.com\" }");
    check("no_validation", anybody, &cells, |_| ("", "success")).await;
}
