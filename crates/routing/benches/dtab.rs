//! What a large dtab costs: to read, to compile, and to bind a path with.
//!
//! `cargo bench -p waypost-routing`. 10,000 rules, 10,000 services; `plain` is the evaluator that tries one rule after
//! the other, which is here to be compared with.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has to end")]

use std::sync::Arc;

use divan::{Bencher, black_box};
use waypost_naming::{CompiledDtab, Dtab, Finding, Layered, Lines, Path, Place, Segment, Source, Table};
use waypost_routing::{AddressSet, Addresses, DtabCell, Endpoint, Generation, NamerConfig, NamerKind, NamerSet, bind};

fn main() {
    divan::main();
}

const RULES: u16 = 10_000;

/// A rule for each service, as a generator would write it, and a few for all.
fn text() -> String {
    let rules = (0..RULES).map(|n| format!("/svc/service-{n} => /#/lab/service-{n} ;\n"));
    "/host => /#/lab ;\n/svc => /host ;\n".to_owned() + &rules.collect::<String>()
}

/// The same, with a mistake in the last line.
fn wrong_text() -> String {
    text() + "/svc/last = /#/lab ;\n"
}

fn dtab() -> Dtab {
    text().parse().expect("the text is well formed")
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn endpoint(n: u16) -> Endpoint {
    Endpoint { addr: ([127, 0, 0, 1], n).into(), weight: 1.0 }
}

fn namers() -> NamerSet {
    let name = |n: u16| Segment::new(format!("service-{n}")).expect("not empty");
    let services = (0..RULES).map(|n| (name(n), vec![endpoint(n)])).collect();
    NamerSet::read(&[NamerConfig {
        prefix: path("/lab"),
        kind: NamerKind::Static { services },
        transformers: Vec::new(),
    }])
    .0
}

/// One of many paths after the other, so that no cache is too warm.
fn paths() -> impl FnMut() -> Path {
    let mut n = 0;
    let paths: Vec<_> = (0..RULES).map(|n| path(&format!("/svc/service-{n}"))).collect();
    move || {
        n = (n + 7_919) % paths.len();
        paths.get(n).cloned().unwrap_or_default()
    }
}

#[divan::bench]
fn bind_new_path(bencher: Bencher<'_, '_>) {
    let (cell, namers, overrides) = (DtabCell::new(dtab()), namers(), Dtab::default());
    bencher.with_inputs(paths()).bench_local_refs(|path| bind(&cell, &overrides, path, &namers));
}

#[divan::bench]
fn bind_new_path_with_an_override(bencher: Bencher<'_, '_>) {
    let (cell, namers, overrides) = (DtabCell::new(dtab()), namers(), "/svc/service-7=>/svc/service-8".parse());
    let overrides: Dtab = overrides.expect("a dtab");
    bencher.with_inputs(paths()).bench_local_refs(|path| bind(&cell, &overrides, path, &namers));
}

#[divan::bench]
fn bind_new_path_with_a_thousand_overrides(bencher: Bencher<'_, '_>) {
    let (cell, namers) = (DtabCell::new(dtab()), namers());
    let overrides: Dtab = dtab().dentries().iter().take(1_000).map(|rule| (**rule).clone()).collect();
    bencher.with_inputs(paths()).bench_local_refs(|path| bind(&cell, &overrides, path, &namers));
}

#[divan::bench]
fn bind_plain(bencher: Bencher<'_, '_>) {
    let (dtab, namers) = (dtab(), namers());
    bencher.with_inputs(paths()).bench_local_refs(|path| waypost_naming::bind(&dtab, path, &namers));
}

#[divan::bench]
fn bind_compiled(bencher: Bencher<'_, '_>) {
    let (dtab, namers) = (CompiledDtab::new(dtab()), namers());
    bencher.with_inputs(paths()).bench_local_refs(|path| waypost_naming::bind(&dtab, path, &namers));
}

#[divan::bench]
fn look_up_plain(bencher: Bencher<'_, '_>) {
    let dtab = dtab();
    bencher.with_inputs(paths()).bench_local_refs(|path| Table::matches(&dtab, path).count());
}

#[divan::bench]
fn look_up_compiled(bencher: Bencher<'_, '_>) {
    let dtab = CompiledDtab::new(dtab());
    bencher.with_inputs(paths()).bench_local_refs(|path| dtab.matches(path).count());
}

/// 10,000 routes, of which one has to be made again after one address set changed: all look whether they are it.
#[divan::bench]
fn one_address_set_changes(bencher: Bencher<'_, '_>) {
    let (cell, namers, overrides) = (DtabCell::new(dtab()), namers(), Dtab::default());
    let mut path = paths();
    let routes: Vec<_> = (0..RULES).map(|_| bind(&cell, &overrides, &path(), &namers)).collect();
    let (set, generation) = (AddressSet::new(Addresses::Bound([endpoint(0)].into())), Generation::new());
    let mut port = 0;
    bencher.bench_local(|| {
        port ^= 1;
        set.publish(Addresses::Bound([endpoint(port)].into()), &generation);
        routes.iter().filter(|route| route.dependencies.changed()).count()
    });
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let text = text();
    bencher.bench_local(|| Dtab::parse(black_box(&text)));
}

/// With the place of each rule, as a file is read.
#[divan::bench]
fn parse_with_places(bencher: Bencher<'_, '_>) {
    let text = text();
    bencher.bench_local(|| parse_at(black_box(&text)));
}

fn parse_at(text: &str) -> Dtab {
    let (lines, file) = (Lines::new(text), Arc::<str>::from("routes.dtab"));
    let place = |span: waypost_naming::Span| {
        let (line, col) = lines.line_col(span.start);
        Place::File { file: Arc::clone(&file), line, col }
    };
    Dtab::parse_at(text, place).expect("the text is well formed")
}

/// All in one line, as a header or a string has it.
#[divan::bench]
fn parse_one_line_with_places(bencher: Bencher<'_, '_>) {
    let text = text().replace('\n', " ");
    bencher.bench_local(|| parse_at(black_box(&text)));
}

/// From the text to what is printed: `file:line:col`, the line, a caret, the hint.
#[divan::bench]
fn parse_error_in_the_last_line(bencher: Bencher<'_, '_>) {
    let source = Arc::new(Source { name: "routes.dtab".to_owned(), text: wrong_text() });
    bencher.bench_local(|| {
        let error = Dtab::parse(&source.text).expect_err("the last line is wrong");
        Finding::error("bad-dtab", error.to_string()).at(Arc::clone(&source), error.span).render(false)
    });
}

#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    let dtab = dtab();
    bencher.bench_local(|| CompiledDtab::new(black_box(dtab.clone())));
}

#[divan::bench]
fn publish(bencher: Bencher<'_, '_>) {
    let (dtab, cell, generation) = (dtab(), DtabCell::default(), Generation::new());
    bencher.bench_local(|| cell.publish(black_box(dtab.clone()), &generation));
}

#[divan::bench]
fn compile_overrides(bencher: Bencher<'_, '_>) {
    let base = CompiledDtab::new(dtab());
    let overrides: Dtab = dtab().dentries().iter().take(1_000).map(|rule| (**rule).clone()).collect();
    bencher.bench_local(|| black_box(Layered::new(&base, &overrides)));
}

/// What a tree costs that leads everywhere.
#[divan::bench]
fn bind_union_of_all(bencher: Bencher<'_, '_>) {
    let members: Vec<_> = (0..RULES - 1).map(|n| format!("/#/lab/service-{n}")).collect();
    let dtab = format!("/svc => {}", members.join(" & ")).parse().expect("a dtab");
    let (cell, namers, overrides, path) = (DtabCell::new(dtab), namers(), Dtab::default(), path("/svc"));
    bencher.bench_local(|| bind(&cell, &overrides, black_box(&path), &namers));
}
