# The ordinary tools, in the order in which a fresh machine needs them.
TARGET  := $(or $(CARGO_TARGET_DIR),target)
CARPE   := $(TARGET)/debug/carpe
# Folders with packages of npm.
NPM     := sdk/javascript plugins/shop-nearby tests/guests/conform-javascript bench/guests/rising-javascript
PYTHON  := $(CURDIR)/.venv/bin/python
GO      := GOPROXY=off GOTOOLCHAIN=local GOFLAGS= $(CURDIR)/.venv/bin/go
# What pip installs into .venv.
REQUIREMENTS := sdk/python/requirements-dev.txt
REQUIREMENTS += sdk/go/requirements.txt
REQUIREMENTS += sdk/c/requirements-dev.txt
PLUGINS := $(patsubst plugins/%/README.md,%,$(wildcard plugins/*/README.md))

# Of `make crash`: how often the host is killed, and what chance goes by.
ROUNDS  := 100
SEED    := 1

# Of `make orders`: how many there are, and how often the host is killed meanwhile.
ORDERS  := 1000
KILLS   := 25

# Of `make bench`: more options.
BENCH   :=

# Of `make soak`: how long.
MINUTES := 3

.PHONY: help setup setup-rust build plugins demo test crash orders soak lint bench bench-check bench-record

help:           ## list what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /make \1\t/p' Makefile | expand -t 16

setup: setup-rust $(NPM:%=%/node_modules/.package-lock.json) .venv/installed ## what building plugins in Rust, JavaScript, Python, Go and C needs

setup-rust:     ## the same for Rust alone
	rustup target add wasm32-unknown-unknown

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@

.venv/installed: $(REQUIREMENTS)
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check $(REQUIREMENTS:%=--requirement %)
	touch $@

build:          ## the command: target/debug/carpe
	cargo build -p carpe-cli

plugins: setup build ## the example plugins, in all languages: target/plugins/NAME.wasm
	@mkdir -p $(TARGET)/plugins
	@for plugin in $(PLUGINS); do \
		$(CARPE) build plugins/$$plugin --out $(TARGET)/plugins --target-dir $(TARGET)/guests --quiet || exit; \
	done

demo: plugins   ## a host, a simulated city with its enterprises, and a plugin that is replaced while events flow
	$(CARPE) demo

test: setup     ## all tests
	cargo test --workspace
	cargo test --manifest-path plugins/Cargo.toml --target-dir $(TARGET)/guests
	cd sdk/javascript && npm test && npm run types
	cd plugins/shop-nearby && npm test && npm run types
	cd sdk/python && $(PYTHON) -m pytest && $(PYTHON) -m mypy
	cd plugins/viral-video && $(PYTHON) -m pytest
	cd sdk/go && $(GO) vet ./... && GOOS=wasip1 GOARCH=wasm $(GO) vet ./... && $(GO) test ./...
	cd plugins/vending-machine && $(GO) vet ./... && $(GO) test ./...
	$(MAKE) -C sdk/c test
	$(MAKE) -C plugins/traffic-lights test
	$(MAKE) crash
	$(MAKE) orders
	$(MAKE) soak

# Built as the tests build it: with another choice of packages, features differ, and all is compiled again.
crash: setup-rust build ## kill the host ROUNDS=100 times at random, by SEED=1, and look for what is lost
	cargo test --workspace --no-run --quiet
	$(TARGET)/debug/crash --carpe $(CARPE) --rounds $(ROUNDS) --seed $(SEED)

orders: setup-rust build ## the same among ORDERS=1000 orders of recipe-order, KILLS=25: each comes to an end, none is half done
	cargo test --workspace --no-run --quiet
	$(TARGET)/debug/orders --carpe $(CARPE) --orders $(ORDERS) --kills $(KILLS) --seed $(SEED)

soak: setup-rust build ## have the host work for MINUTES=3: memory, files and disk must stay flat
	cargo test --workspace --no-run --quiet
	$(TARGET)/debug/soak --carpe $(CARPE) --minutes $(MINUTES)

lint: setup-rust     ## formatting, clippy and the documentation's links
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path plugins/Cargo.toml --target-dir $(TARGET)/guests --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --lib

bench: setup    ## measure Carpe beside its limits and its peers, by ratios; BENCH='--only handle' for a part
	cargo build --release --package carpe-cli --package carpe-bench
	$(TARGET)/release/bench --carpe $(TARGET)/release/carpe --folder $(TARGET)/bench --json $(TARGET)/bench/report.json $(BENCH)

bench-check: ## the short version: fails if a ratio is worse by more than a third than recorded
	$(MAKE) bench BENCH='--short --against bench/recorded.json'

bench-record: ## record what bench-check compares with
	$(MAKE) bench BENCH='--short --json bench/recorded.json'
