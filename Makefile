# The main targets: `make demo` shows Bootlace at work on a real cluster that it creates, `make test` runs all tests, and
# `make unit lint fmt` are the short loop. The first two install what they need. Caches are outside of the clone.

SHELL := /bin/bash
export BOOTLACE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bootlace
export CARGO_TARGET_DIR ?= $(BOOTLACE_CACHE)/target
# ring has C code. It does not use libc, so any gcc can build it for musl.
export CC_x86_64_unknown_linux_musl ?= gcc

# The start time, from which the demo reports its duration.
export BOOTLACE_STARTED := $(shell date +%s)

# `make demo CLUSTER=current` and `make test-cluster CLUSTER=current` use the cluster of the current kubeconfig. Its images come
# from REGISTRY, or are loaded by the tool that created it.
CLUSTER = own
# `make demo SCHEDULER=argo` runs a workflow of this scheduler instead of an Airflow DAG.
SCHEDULER = airflow
export REGISTRY

HARNESS = $(CARGO_TARGET_DIR)/debug/bootlace-cluster
DENY_VERSION = 0.20.2
FUZZ_VERSION = 0.13.1
COVERAGE_VERSION = 0.9.1
# How long `make fuzz` runs each target, in seconds.
SECONDS_EACH = 60
# Requirements of a cluster that the harness creates.
OWN = rust go cluster
# Requirements of the cluster in CLUSTER.
NODE = $(if $(filter current,$(CLUSTER)),rust go,$(OWN))

# Installs the requirements in its argument, and builds the harness.
harness = @hack/machine $(1) && hack/stage -c "the harness" cargo build --package bootlace-cluster

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 25

.PHONY: demo
demo: ## Run an Airflow DAG, or a workflow of SCHEDULER, on a real cluster, and show how Bootlace changes its pods
	$(call harness,$(NODE))
	@$(HARNESS) demo --cluster $(CLUSTER) --scheduler $(SCHEDULER)

.PHONY: cluster
cluster: ## Start the cluster of the demo, keep it running, and print how to connect
	$(call harness,$(OWN))
	@$(HARNESS) up

.PHONY: test
test: check test-cluster ## All checks and tests

.PHONY: check
check: ## All checks and tests that need no cluster: format, lints, tests, licenses, chart, docs
	$(call harness,rust lints go g++ busybox-static docker-registry npm python3-venv util-linux)
	@hack/stage "format" cargo fmt --all --check
	@hack/stage -v "prose" hack/prose
	@hack/stage -c "clippy" cargo clippy --workspace --all-targets --all-features -- --deny warnings
	@hack/stage -c "docs" env RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items
	@hack/stage "object stores for tests" hack/store-servers
	@hack/stage -c "building the tests" cargo test --workspace --no-run
	@hack/stage -v "unit, property and process tests" cargo test --workspace --quiet
	@hack/stage -v "licenses, sources, bans and known vulnerabilities" hack/deny $(DENY_VERSION)
	@hack/stage "chart" env HELM=$$($(HARNESS) tool helm) charts/test
	@hack/stage "manifests" env HELM=$$($(HARNESS) tool helm) manifests/render --check
	@hack/stage -v "fuzz targets, briefly" hack/fuzz $(FUZZ_VERSION) short

.PHONY: unit
unit: ## Unit tests: no root, no Go, no npm, no cluster
	@hack/machine rust
	@hack/stage -v "unit tests" cargo test --workspace --quiet --lib --bins

.PHONY: lint
lint: ## Format, clippy, and prose if Vale is in the cache or Go is installed
	@hack/machine rust lints
	@hack/stage "format" cargo fmt --all --check
	@hack/stage -v "prose" hack/prose --if-possible
	@hack/stage -c "clippy" cargo clippy --workspace --all-targets --all-features -- --deny warnings

.PHONY: fmt
fmt: ## Format the code
	@hack/machine rust lints
	@cargo fmt --all

.PHONY: coverage
coverage: ## Share of the code that the tests execute, without the cluster's scenarios
	@hack/machine rust go g++ npm docker-registry util-linux
	@hack/stage "object stores for tests" hack/store-servers
	@hack/stage -v "coverage" hack/coverage $(COVERAGE_VERSION)

.PHONY: references
references: ## Write the generated reference pages (docs/bootprofile.md, pipe.md, abort.md, metrics.md, cli.md)
	@hack/machine rust
	@UPDATE_REFERENCES=1 cargo test --workspace --quiet --test references

.PHONY: fuzz
fuzz: ## Run each fuzz target for SECONDS_EACH seconds
	$(call harness,rust g++)
	@hack/fuzz $(FUZZ_VERSION) $(SECONDS_EACH)

.PHONY: test-cluster
test-cluster: ## The scenarios on a real cluster
	$(call harness,$(NODE) docker-registry)
	@hack/stage -v "cluster scenarios" $(HARNESS) test --cluster $(CLUSTER)

.PHONY: test-cert-manager
test-cert-manager: ## Test the chart with the real cert-manager, built from source
	$(call harness,$(OWN) docker-registry)
	@hack/stage -v "cert-manager" $(HARNESS) test --cert-manager

.PHONY: test-previous
test-previous: ## Test this version together with the previous one, built from its commit
	$(call harness,$(OWN) docker-registry git)
	@hack/stage -v "previous version" $(HARNESS) test --previous

.PHONY: test-vault
test-vault: ## Test the source vault with the real Vault, built from source
	@hack/machine rust go util-linux
	@hack/stage "Vault" hack/vault-server
	@hack/stage -v "vault" cargo test --quiet --package bootlace --test boot vault:: -- --include-ignored

.PHONY: test-schedulers
test-schedulers: ## Test with the real clients of all schedulers, or of those in ONLY
	$(call harness,$(OWN) docker-registry)
	@hack/stage -v "schedulers" $(HARNESS) test --schedulers $(ONLY)

.PHONY: kill
kill: ## Run 200 tasks with outputs, kill the processes that store them, and check what remains
	$(call harness,$(OWN))
	@$(HARNESS) kill

.PHONY: abort
abort: ## Run 200 tasks that submit a job, end each at a random moment, and check which jobs are cancelled
	$(call harness,$(OWN))
	@$(HARNESS) abort

.PHONY: bench
bench: ## Run the benchmarks, and write docs/figures.md
	$(call harness,$(OWN) docker-registry npm rclone unzip)
	@hack/bench

.PHONY: image
image: ## Build the image as an OCI archive, dist/bootlace.tar
	$(call harness,rust)
	@$(HARNESS) image

.PHONY: manifests
manifests: ## Write the CRDs, and render the manifests
	$(call harness,rust go)
	@for crd in bootprofiles pipes aborts; do cargo run --quiet -- crds $$crd > charts/bootlace/crds/$$crd.yaml; done
	@HELM=$$($(HARNESS) tool helm) manifests/render

.PHONY: prerequisites
prerequisites: ## Install the requirements of all targets, without a build
	@hack/machine lints $(OWN) g++ docker-registry npm rclone unzip
