# What one does with this repository. `make` alone lists it.
#
# Long steps live in scripts/, so that they can be read, checked and run without make.

SHELL := /bin/bash
.DEFAULT_GOAL := help

LISTEN ?= 127.0.0.1:8080
DATA ?= .data/standalone

.PHONY: help
help: ## list the targets
	@echo 'Rookery: a horizontally scalable chat cluster.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## build and start everything in one process (LISTEN=127.0.0.1:8080 DATA=.data/standalone)
	@scripts/check-build-tools
	@mkdir -p '$(DATA)'
	@ROOKERY_LISTEN="$${ROOKERY_LISTEN:-$(LISTEN)}" ROOKERY_DATA="$${ROOKERY_DATA:-$(DATA)}" \
		exec cargo run --release --locked -p rookery-standalone --bin rookery

.PHONY: cluster
cluster: ## start the whole cluster on loopback: Redis, MongoDB, 2 apis, 2 gateways, HAProxy
	@exec scripts/cluster

.PHONY: test
test: ## install what the tests need, then format check, lints, all tests, the API against its description, docs
	@scripts/timed 'test dependencies' scripts/install-test-deps
	@scripts/timed 'scripts and configurations' scripts/check-files
	@scripts/timed 'format' cargo fmt --all --check
	@scripts/timed 'lints' cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	@MONGOD="$$(scripts/find-mongod)" scripts/timed 'tests' cargo test --workspace --all-features --locked
	@scripts/timed 'the API against its description' scripts/check-api
	@RUSTDOCFLAGS='-D warnings' scripts/timed 'docs' cargo doc --workspace --no-deps --locked

.PHONY: test-deps
test-deps: ## install what the tests and the cluster need beside Rust
	@scripts/install-test-deps

.PHONY: check-api
check-api: ## try the REST API against its own description (ARGS='--max-examples 500')
	@scripts/install-test-deps
	@scripts/check-api $(ARGS)

.PHONY: docs-api
docs-api: ## write docs/openapi.json and docs/asyncapi.json anew, after a change of routes or shapes
	@ROOKERY_RENEW_DOCS=1 cargo test --quiet --locked -p rookery-api --lib openapi::

.PHONY: fmt
fmt: ## format the code
	@cargo fmt --all

.PHONY: cluster-for-loadtest
cluster-for-loadtest: ## the same with limits that a load test does not meet
	@ROOKERY_LIMIT_MESSAGES=1000000 ROOKERY_LIMIT_SIGN_IN=1000000 ROOKERY_LIMIT_REQUESTS=100000000 \
		ROOKERY_LIMIT_COMMANDS=1000000 exec scripts/cluster

.PHONY: loadtest-cluster
loadtest-cluster: ## load on a running `make cluster-for-loadtest`: rooms, stored messages (ARGS='rooms …')
	@exec scripts/loadtest-cluster $(ARGS)

.PHONY: loadtest-fanout loadtest-idle loadtest-floor
loadtest-fanout: ## one gateway alone: what a delivery costs (ARGS='…')
loadtest-idle: ## one gateway alone: what a silent connection takes (ARGS='…')
loadtest-floor: ## the kernel alone: the peer that a delivery's cost is held against (ARGS='…')
loadtest-fanout loadtest-idle loadtest-floor:
	@scripts/install-test-deps servers
	@exec cargo run --release --locked -p rookery-loadtest --bin rookery-loadtest -- $(@:loadtest-%=%) $(ARGS)

.PHONY: loadtest-transports
loadtest-transports: ## fanout and idle over /ws, over Socket.IO and on a Socket.IO server in Node, in turn (ARGS='--rounds 3')
	@scripts/install-test-deps peers
	@exec scripts/loadtest-transports $(ARGS)

.PHONY: clean
clean: ## remove what was built; data stays
	@cargo clean

.PHONY: clean-data
clean-data: ## remove all data of `make run` and `make cluster`
	@rm -rf .data
