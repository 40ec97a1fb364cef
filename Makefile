# What can be done with a checkout. `make` alone lists it.
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help demo release test lint fmt fmt-check bench bench-micro bench-check bench-baseline bench-naming fuzz floods soak doc test-deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## start two services, two routers and TLS between them, try all of it, and end
	$(CARGO) run -p waypost -- demo --check

release: ## build the binary that is worth deploying, target/dist/waypost: laid out by what a load was seen to do
	scripts/release.sh

test: test-deps fmt-check lint ## all checks: format, lints, tests, documentation (installs what tests need)
	$(CARGO) test --workspace --no-fail-fast
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

lint: ## clippy over everything, a warning is an error; licences and sources of dependencies
	scripts/cargo-deny.sh
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

fmt: ## format the sources
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

bench: bench-naming ## measure what `make release` builds: what naming costs, and against other proxies
	bench/run.sh

bench-micro: ## measure the steps of a request's way that are ours, one by one: time
	$(CARGO) bench -p waypost --bench micro

bench-check: ## count the instructions of these steps and of whole requests; more than the baseline and 3 % is an error
	scripts/install-bench-deps.sh
	$(CARGO) build --release -p waypost
	python3 -B bench/instructions.py --cargo $(CARGO)

bench-baseline: ## make what is counted now the baseline of bench-check
	scripts/install-bench-deps.sh
	$(CARGO) build --release -p waypost
	python3 -B bench/instructions.py --cargo $(CARGO) --write

bench-naming: ## measure what naming costs
	$(CARGO) bench -p waypost-routing -p waypost --bench dtab --bench route

fuzz: test-deps ## look for bytes that break a parser, or the whole proxy, a minute for each (SECONDS=60)
	scripts/fuzz.sh $(or $(SECONDS),60)
	WAYPOST_DIFFERENTIAL=10000 WAYPOST_FUZZ_SECONDS=$(or $(SECONDS),60) \
	  $(CARGO) test -p integration-tests --test it -- differential hostile

floods: test-deps ## clients that flood or dawdle, with 10,000 connections, five seconds each (SECONDS=5)
	$(CARGO) build --release -p waypost
	WAYPOST_FLOOD_SECONDS=$(or $(SECONDS),5) WAYPOST_BIN=$(CURDIR)/target/release/waypost \
	  $(CARGO) test -p integration-tests --test it -- floods --test-threads=1 --nocapture

soak: test-deps ## a minute of load while certificates and trust change each second (SECONDS=60)
	WAYPOST_SOAK_SECONDS=$(or $(SECONDS),60) $(CARGO) test -p integration-tests --test it tls_rotation -- --nocapture

doc: ## build the documentation of the crates
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

test-deps:
	@scripts/install-test-deps.sh
