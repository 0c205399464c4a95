# Two commands: `make demo` shows Bootlace at work on a real cluster that it makes itself, `make test` passes the
# tests. Both install what they need; caches live outside of the clone.

SHELL := /bin/bash
export BOOTLACE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bootlace
export CARGO_TARGET_DIR ?= $(BOOTLACE_CACHE)/target
# ring has C parts; any gcc builds them for musl, because they use no libc.
export CC_x86_64_unknown_linux_musl ?= gcc

# When it began: the demo says how long all of it took.
export BOOTLACE_STARTED := $(shell date +%s)

# `make demo CLUSTER=current` and `make test-cluster CLUSTER=current` use the cluster of the current kubeconfig, which gets
# its images from REGISTRY, or by the tool that made it.
CLUSTER = own
export REGISTRY

HARNESS = $(CARGO_TARGET_DIR)/debug/bootlace-cluster
DENY_VERSION = 0.20.2
FUZZ_VERSION = 0.13.1
# How long `make fuzz` runs each target, in seconds.
SECONDS_EACH = 60
# What a cluster of its own needs.
OWN = rust go cluster
# What the one needs that CLUSTER names.
NODE = $(if $(filter current,$(CLUSTER)),rust go,$(OWN))

# Called with what the machine must have; makes sure of it, and builds the harness.
harness = @hack/machine $(1) && hack/stage -c "the harness" cargo build --package bootlace-cluster

.PHONY: help
help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 25

.PHONY: demo
demo: ## Run an Airflow DAG on a real cluster, and show what Bootlace does to it
	$(call harness,$(NODE))
	@$(HARNESS) demo --cluster $(CLUSTER)

.PHONY: cluster
cluster: ## Leave the demo's cluster running, and print how to reach it
	$(call harness,$(OWN))
	@$(HARNESS) up

.PHONY: test
test: check test-cluster ## All checks and tests

.PHONY: check
check: ## All that needs no cluster: format, lints, tests, licences, chart, docs
	$(call harness,rust lints go g++ busybox-static docker-registry npm python3-venv util-linux)
	@hack/stage "format" cargo fmt --all --check
	@hack/stage -c "clippy" cargo clippy --workspace --all-targets --all-features -- --deny warnings
	@hack/stage -c "docs" env RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items
	@hack/stage "the object stores that tests start" hack/store-servers
	@hack/stage -c "building the tests" cargo test --workspace --no-run
	@hack/stage -v "unit, property and process tests" cargo test --workspace --quiet
	@hack/stage "licences, sources and bans" hack/deny $(DENY_VERSION)
	@hack/stage "chart" env HELM=$$($(HARNESS) tool helm) charts/test
	@hack/stage "manifests" env HELM=$$($(HARNESS) tool helm) manifests/render --check

	@hack/stage -v "fuzz targets, briefly" hack/fuzz $(FUZZ_VERSION) short

.PHONY: fuzz
fuzz: ## Run the fuzz targets for SECONDS_EACH each
	$(call harness,rust g++)
	@hack/fuzz $(FUZZ_VERSION) $(SECONDS_EACH)

.PHONY: test-cluster
test-cluster: ## The scenarios on a real cluster
	$(call harness,$(NODE) docker-registry)
	@hack/stage -v "cluster scenarios" $(HARNESS) test --cluster $(CLUSTER)

.PHONY: kill
kill: ## Kill, in the lives of 200 tasks with outputs, what has a part in them, and look at what is left
	$(call harness,$(OWN))
	@$(HARNESS) kill

.PHONY: bench
bench: ## Measure, and write docs/figures.md
	$(call harness,$(OWN) docker-registry npm rclone unzip)
	@hack/bench

.PHONY: image
image: ## Build the image as an OCI archive, dist/bootlace.tar
	$(call harness,rust)
	@$(HARNESS) image

.PHONY: manifests
manifests: ## Write the CRDs and the rendered manifests anew
	$(call harness,rust go)
	@for crd in bootprofiles pipes; do cargo run --quiet -- crds $$crd > charts/bootlace/crds/$$crd.yaml; done
	@HELM=$$($(HARNESS) tool helm) manifests/render

.PHONY: prerequisites
prerequisites: ## Install all that any of these needs, and build nothing
	@hack/machine lints $(OWN) g++ docker-registry npm rclone unzip
