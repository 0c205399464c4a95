# Two commands: `make demo` shows Bootlace at work on a real cluster that it makes itself, `make test` passes the
# tests. Both install what they need; caches live outside of the clone.

SHELL := /bin/bash
export BOOTLACE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bootlace
export CARGO_TARGET_DIR ?= $(BOOTLACE_CACHE)/target
# ring has C parts; any gcc builds them for musl, because they use no libc.
export CC_x86_64_unknown_linux_musl ?= gcc

CLUSTER = $(CARGO_TARGET_DIR)/debug/bootlace-cluster
DENY_VERSION = 0.20.2

.PHONY: help
help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: demo
demo: harness ## Run an Airflow DAG on a real cluster, and show what Bootlace does to it
	@$(CLUSTER) demo

.PHONY: cluster
cluster: harness ## Leave the demo's cluster running, and print how to reach it
	@$(CLUSTER) up

.PHONY: test
test: check test-cluster ## All checks and tests

.PHONY: check
check: prerequisites ## All that needs no cluster: format, lints, tests, licences, chart, docs
	@hack/stage "format" cargo fmt --all --check
	@hack/stage "clippy" cargo clippy --workspace --all-targets --all-features --quiet -- --deny warnings
	@hack/stage "docs" env RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --quiet
	@hack/stage "the object stores that tests start" hack/store-servers
	@hack/stage -v "unit, property and process tests" cargo test --workspace --quiet
	@hack/stage "licences, sources and bans" hack/deny $(DENY_VERSION)
	@hack/stage "chart" env HELM=$$($(CLUSTER) tool helm) charts/test
	@hack/stage "manifests" env HELM=$$($(CLUSTER) tool helm) manifests/render --check

.PHONY: test-cluster
test-cluster: harness ## The scenarios on a real cluster
	@hack/stage -v "cluster scenarios" $(CLUSTER) test

.PHONY: kill
kill: harness ## Kill, in the lives of 200 tasks with outputs, what has a part in them, and look at what is left
	@$(CLUSTER) kill

.PHONY: bench
bench: harness ## Measure, and write docs/figures.md
	@hack/bench

.PHONY: image
image: harness ## Build the image as an OCI archive, dist/bootlace.tar
	@$(CLUSTER) image

.PHONY: manifests
manifests: harness ## Write the CRDs and the rendered manifests anew
	@for crd in bootprofiles pipes; do cargo run --quiet -- crds $$crd > charts/bootlace/crds/$$crd.yaml; done
	@HELM=$$($(CLUSTER) tool helm) manifests/render

.PHONY: prerequisites
prerequisites: harness
	@$(CLUSTER) prerequisites

.PHONY: harness
harness:
	@hack/rust
	@hack/stage "the harness" cargo build --quiet --package bootlace-cluster
