# One door to everything: `make` lists what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh

CARGO ?= cargo
# The demo's broker is part of everything that is built here, so that nothing is built twice.
FLAGS := --locked --features embedded-broker
DEMO_SECONDS ?= 0
EVENTS ?= 300
FUZZ_SECONDS ?= 60
FUZZ ?=
BENCH ?=
READINGS ?= 10000000

C_COMPILER := cc=build-essential /usr/include/stdlib.h=build-essential
TEST_TOOLS := mosquitto=mosquitto mosquitto_sub=mosquitto-clients sqlite3=sqlite3

.PHONY: help demo test check format lint docs bench query-tools chaos fuzz cross cross-armv6 deb deb-test virtual-pi virtual-pi-long virtual-pi-systemd web-test web-test-large test-sqlcipher pictures \
  aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf clean compiler test-tools

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: compiler ## readings of this machine and of simulated sensors, live, no broker needed (DEMO_SECONDS=15 ends by itself)
	$(CARGO) run --release $(FLAGS) -- demo $(if $(filter-out 0,$(DEMO_SECONDS)),--seconds $(DEMO_SECONDS))

test: compiler test-tools ## all tests, with a real mosquitto and the real binary; a short round of chaos among them
	$(CARGO) test $(FLAGS)

check: format lint test docs ## what CI runs: format, lints, tests (licences and architecture among them), documentation

format:
	@$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	$(CARGO) fmt --check

lint: compiler
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
	$(CARGO) clippy --all-targets $(FLAGS) -- -D warnings
	$(CARGO) clippy --locked -- -D warnings # what is installed has no broker in it

docs: compiler
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps $(FLAGS)

bench: compiler test-tools ## speed and size beside mosquitto and SQLite alone (BENCH=mirror|drain|latency|idle|start|query|size for one)
	$(CARGO) bench --locked --bench bridge -- $(BENCH)

query-tools: ## pandas, DuckDB and Datasette in target/query-tools, so that `make test` tries docs/queries.md with them
	python3 -m venv target/query-tools
	target/query-tools/bin/pip install --quiet pandas datasette duckdb-extension-sqlite-scanner # and the DuckDB that it fits

chaos: compiler test-tools ## brokers and daemons killed, networks cut, EVENTS=300 times (SENSOR_BRIDGE_TEST_SEED=… repeats a run)
	CHAOS_EVENTS=$(EVENTS) $(CARGO) test $(FLAGS) --test chaos -- --nocapture

fuzz: compiler ## bytes that might break what reads them, FUZZ_SECONDS=60 for each target (FUZZ=config for one; docs/security.md)
	CARGO="$(CARGO)" FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run $(FUZZ)

AARCH64 := aarch64-unknown-linux-gnu
ARMV7 := armv7-unknown-linux-gnueabihf

cross: $(AARCH64) $(ARMV7) ## binaries for 64-bit (aarch64) and 32-bit (armv7) Raspberry Pi OS, with Debian's compilers
	@ls -l target/$(AARCH64)/release/sensor-bridge target/$(ARMV7)/release/sensor-bridge

$(AARCH64): compiler
	@.ci/need aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
	  /usr/aarch64-linux-gnu/include/stdlib.h=libc6-dev-arm64-cross
	rustup target add $(AARCH64)
	CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	  $(CARGO) build --locked --release --target $(AARCH64)

$(ARMV7): compiler
	@.ci/need arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf \
	  /usr/arm-linux-gnueabihf/include/stdlib.h=libc6-dev-armhf-cross
	rustup target add $(ARMV7)
	CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc AR_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-ar \
	CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc \
	  $(CARGO) build --locked --release --target $(ARMV7)

cross-armv6: ## binary for the first Pi and the Pi Zero (armv6), with `cross` and Docker
	@command -v cross >/dev/null 2>&1 || { echo "cross is missing: cargo install cross --locked (it needs Docker or Podman)" >&2; exit 1; }
	CROSS_CONFIG=cross.toml cross build --locked --release --target arm-unknown-linux-gnueabihf

# One Pi after the other: each emulates four cores.
VIRTUAL_PI := $(CARGO) test $(FLAGS) --test virtual-pi -- --ignored --nocapture --test-threads=1

virtual-pi: $(AARCH64) test-tools ## the aarch64 binary on an emulated Pi 3: I2C, clock, SD card with 20 power cuts (docs/virtual-pi.md)
	tests/virtual-pi/setup
	VIRTUAL_PI_CUTS=20 $(VIRTUAL_PI) --skip debian::

virtual-pi-long: $(AARCH64) test-tools ## the same with 100 power cuts
	tests/virtual-pi/setup
	VIRTUAL_PI_CUTS=100 $(VIRTUAL_PI) --skip debian::

virtual-pi-systemd: $(AARCH64) test-tools ## the arm64 package on the emulated Pi, under Debian's dpkg and systemd
	$(CARGO) build $(FLAGS) # of this machine: it writes the man pages
	packaging/build arm64 target/$(AARCH64)/release/sensor-bridge target/debug/sensor-bridge
	tests/virtual-pi/setup
	tests/virtual-pi/debian/setup
	$(VIRTUAL_PI) debian::

# Debian's name for this machine, and the binaries of `make cross` that are not older than the source.
DEB_HOST = $(shell dpkg --print-architecture)
DEB_OF_CROSS = $(strip $(call deb-if-fresh,arm64,$(AARCH64)) $(call deb-if-fresh,armhf,$(ARMV7)))
deb-if-fresh = $(if $(filter $(1),$(DEB_HOST)),,$(shell b=target/$(2)/release/sensor-bridge; \
  [ -x $$b ] && [ -z "$$(find src Cargo.toml Cargo.lock -newer $$b -print -quit)" ] && echo $(1):$$b))

deb: compiler ## Debian packages in target/debian: of this machine, and of what `make cross` has made (arm64, armhf)
	@.ci/need dpkg-deb=dpkg readelf=binutils
	$(CARGO) build --locked --release
	packaging/build $(DEB_HOST) target/release/sensor-bridge
	@set -e; for one in $(DEB_OF_CROSS); do packaging/build $${one%%:*} $${one#*:} target/release/sensor-bridge; done
	@[ -n "$(DEB_OF_CROSS)" ] || echo "arm64, armhf: \`make cross\` first (or again: the source is newer than its binaries)"
	@if command -v lintian >/dev/null; then lintian target/debian/*.deb; else echo "lintian is not installed: packages not judged"; fi

deb-test: deb ## the package installed, upgraded, refused, removed and purged under systemd in a container (needs root; a minute)
	@.ci/need debootstrap=debootstrap systemd-nspawn=systemd-container mosquitto=mosquitto
	packaging/test target/debian/sensor-bridge_*_$(DEB_HOST).deb

web-test: compiler test-tools ## the page in a headless Chromium: looks, console, requests, accessibility; pictures in target/web-test
	@.ci/need chromium=chromium npm=npm python3=python3
	$(CARGO) build $(FLAGS)
	npm install --no-save --no-audit --no-fund --prefix target/web-test axe-core@4
	python3 tests/web/check.py $(CURDIR)/target/debug/sensor-bridge target/web-test/node_modules/axe-core/axe.min.js target/web-test

test-sqlcipher: compiler test-tools ## the log encrypted: the program built with SQLCipher (needs libssl-dev)
	@.ci/need /usr/include/openssl/crypto.h=libssl-dev
	$(CARGO) test --locked --features embedded-broker,sqlcipher --lib log::
	$(CARGO) test --locked --features embedded-broker,sqlcipher --test encrypted --test privacy

web-test-large: compiler test-tools ## the same page with 10 million readings of 200 sensors: how soon it opens and draws (minutes; READINGS=0 for the opening alone)
	@.ci/need chromium=chromium python3=python3
	$(CARGO) build --locked --release
	python3 tests/web/large.py $(CURDIR)/target/release/sensor-bridge target/web-test $(READINGS)

pictures: ## the pictures of README.md, made anew of the page and the terminal as they are
	PICTURES=$(CURDIR)/docs/pictures $(MAKE) web-test

clean: ## remove what was built
	$(CARGO) clean

# SQLite and ring are C.
compiler:
	@.ci/need $(C_COMPILER)

test-tools:
	@.ci/need $(TEST_TOOLS)
