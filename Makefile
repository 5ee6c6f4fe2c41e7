# Needs Rust, and Python 3.11 or newer. Everything else goes into .venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The checks of `test` come one after the other, whatever -j says.
.NOTPARALLEL:

# The first that really runs: a shim may stand for a version that is not installed.
PYTHON ?= $(firstword $(foreach python,python3.11 python3,$(if $(shell $(python) -c 'print(1)' 2>/dev/null),$(python))))
VENV := .venv
STAMP := $(VENV)/.installed
TARGET := $(or $(CARGO_TARGET_DIR),target)
FUNCTIONS := security-groups network sharing identity detection instances console
# Of the packages that `build` makes: arm64 or x86_64. `sam build` goes by the template's parameter instead.
ARCHITECTURE ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

# cargo finds `cargo lambda` here.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
# The end-to-end tests wait more than they compute.
export RUST_TEST_THREADS ?= 4

FUZZ := $(TARGET)/fuzz
FUZZ_TARGETS := signal settings addresses
# How long each of them runs.
FUZZ_SECONDS ?= 60
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(VENV)/.cargo-fuzz-$(CARGO_FUZZ_VERSION)
# No sanitizer: they need a nightly compiler, and look for what only `unsafe` code does, of which the core has none.
# Panics, overflows and broken assertions are found without.
FUZZ_OPTIONS := --fuzz-dir tests/fuzz --target-dir $(FUZZ) --sanitizer none

# What `bench` measures: Cloud Custodian, with what packages it, and with what Python on Lambda has.
BENCH := $(TARGET)/bench
# Of everything that is measured there are so many runs.
RUNS ?= 11

# The stack whose dead letters `redrive` puts back.
STACK ?= rescind

.PHONY: help setup demo test fuzz lint build bench package watch new-remediation manual redrive clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(STAMP) ## Install the tools into .venv

$(STAMP): requirements.txt
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed))
	@echo "Installing the tools into $(VENV); the first time that takes some minutes."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

demo: setup ## See on an AWS emulator what Rescind does: with an opened security group, and with a hostile instance
	cargo build --workspace --bins
	@$(TARGET)/debug/demo

# cfn-lint and sam want to know a Region, though they call nobody. What really calls AWS keeps the Region of its user.
lint: export AWS_DEFAULT_REGION ?= us-east-1
lint: setup ## Format and templates: the quick checks
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cfn-lint template.yaml infra/*.yaml
	sam validate --lint

test: lint ## All checks and tests
	cargo clippy --workspace --all-targets -- -D warnings
	cargo build --workspace --bins
	@# Each test program counts for itself; the last line is their sum.
	@status=0; { failed=0; cargo test --workspace --no-fail-fast || failed=1; \
		$(VENV)/bin/python tests/redrive.py || failed=1; exit $$failed; } | tee $(TARGET)/test.log || status=$$?; \
	awk '/^test result:/ { passed += $$4; failed += $$6; skipped += $$8 } \
		END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' $(TARGET)/test.log; \
	exit $$status

# Needs a C++ compiler, for libFuzzer.
$(CARGO_FUZZ):
	cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --root $(VENV)
	@touch $@

fuzz: $(CARGO_FUZZ) ## Decode random signals and settings, FUZZ_SECONDS (60) for each target
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir $(FUZZ) -- -D warnings
	cargo fuzz build $(FUZZ_OPTIONS)
	@# The first folder gets what is found on the way; the others are only read.
	@failed=0; for target in $(FUZZ_TARGETS); do \
		log=$(FUZZ)/$$target.log; corpus=$(FUZZ)/corpus/$$target; mkdir -p $$corpus; \
		samples=; [ $$target != signal ] || samples=events; \
		cargo fuzz run $(FUZZ_OPTIONS) $$target $$corpus tests/fuzz/$$target/seeds $$samples -- \
			-dict=tests/fuzz/$$target/dictionary -max_total_time=$(FUZZ_SECONDS) -timeout=10 >$$log 2>&1 || { \
			failed=1; grep -a -m 1 -A 3 'panicked at\|^ALARM' $$log || tail -n 20 $$log; \
			echo "$$target: failed, see $$log; $$(sed -n 's/.*Test unit written to /the input is /p' $$log)"; continue; }; \
		echo "$$target: $$(grep -a '^Done ' $$log)"; \
	done; exit $$failed

build: setup ## Package the functions for Lambda, as target/lambda/*/bootstrap.zip
	cargo lambda build --release --output-format zip $(if $(filter arm64,$(ARCHITECTURE)),--arm64,--x86-64) \
		$(addprefix --bin ,$(FUNCTIONS) $(MORE))

# As `sam deploy` will upload it. `sam build` packages for ARCHITECTURE here; for the template's own default it needs no override.
package: export AWS_DEFAULT_REGION ?= us-east-1
package: setup ## Build with SAM, as for a deployment, and try what it built
	sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	sam validate --lint --template .aws-sam/build/template.yaml
	@$(VENV)/bin/python tests/package.py .aws-sam/build

bench: MORE := empty
bench: build $(BENCH)/custodian-venv/.installed $(BENCH)/lambda-venv/.installed ## Measure what Rescind costs, beside Cloud Custodian
	cargo build --workspace --bin bench
	@$(TARGET)/debug/bench $(RUNS)

$(BENCH)/custodian-venv/.installed: tests/bench/requirements.txt
$(BENCH)/lambda-venv/.installed: tests/bench/custodian/requirements.txt
$(BENCH)/%/.installed: $(STAMP)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $(filter %.txt,$^)
	@touch $@

watch: setup ## Run the functions for `cargo lambda invoke`
	cargo lambda watch

new-remediation: setup ## Write the files of a new one: NAME=bad-state FUNCTION=network
	@$(VENV)/bin/python tests/new_remediation.py --name "$(NAME)" --function "$(FUNCTION)"

manual: setup ## Write functions/MANUAL.md from the remediations' files
	RESCIND_WRITE_MANUAL=1 cargo test --workspace --quiet --test house the_manual

redrive: setup ## Put back the dead letters of STACK (rescind); DRY_RUN=1 only shows them
	@$(VENV)/bin/python infra/redrive.py --stack $(STACK) $(if $(DRY_RUN),--dry-run)

clean: ## Remove what was built and installed
	cargo clean
	rm -rf $(VENV) .aws-sam tests/fuzz/target tests/fuzz/corpus tests/fuzz/artifacts
