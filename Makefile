# Two commands set everything up on a fresh machine: `make demo` and `make test`.
# Each first runs `make setup`, which is instant when nothing has changed.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

bin := .venv/bin
console := duty_room/console
console_sources := $(shell find $(console) -type f -not -path '*/node_modules/*' 2>/dev/null)

# The last slice is pytest's, so that the output ends with its "N passed".
slices := $(foreach name,unit contract cases tidy drills browser system,$(if $(wildcard tests/$(name)),$(name)))

.PHONY: help setup demo test test-fast check bench bench-quick promises soak lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.project duty_room/web/dist/index.html ## everything the other targets need
	@.ci/system-packages

demo: setup ## a living building in the browser; ARGS="--port 8080 --data DIR --scenario day"
	@exec $(bin)/linli demo $(ARGS)

test: setup ## the whole of CI
	@.ci/slices lint types imports console-types console $(slices)

test-fast: setup ## the tests of a work cycle, at most 90 s
	@.ci/slices lint tidy $(filter unit contract,$(slices))

check: setup ## lint, types, import rules
	@.ci/slices lint types imports console-types

bench: setup ## input to commit and to screen: p50, p95, p99
	@$(bin)/python -m benchmarks.run

bench-quick: setup ## the same, in a minute
	@$(bin)/python -m benchmarks.run --quick

promises: setup ## proves the twenty promises and writes docs/promises.md
	@$(bin)/python -m benchmarks.promises

soak: setup ## seeded drills for MINUTES (60), each failure prints its seed
	@$(bin)/linli drill --seeds 1..10000000 --minutes $(or $(MINUTES),60)

lock: setup ## make requirements.txt anew from requirements.in
	@$(bin)/pip install -q uv
	@$(bin)/uv pip compile --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --python-version 3.11 requirements.in -o requirements.txt >/dev/null

clean: ## forget everything that was built
	rm -rf .venv $(console)/node_modules duty_room/web/dist demo-data

# Only the hash-locked file decides what is installed.
.venv/.requirements: requirements.txt
	@python=$$(.ci/need) && { [ -x $(bin)/python ] || "$$python" -m venv .venv; }
	@echo "linli: installing Python packages"
	@$(bin)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

# Editable: the checkout is what runs. No network, no second resolution.
.venv/.project: .venv/.requirements pyproject.toml requirements-product.in
	@$(bin)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(console)/node_modules/.installed: $(console)/package-lock.json $(console)/package.json $(console)/.npmrc
	@.ci/need >/dev/null
	@echo "linli: installing the console's packages"
	@npm --silent --prefix $(console) ci
	@touch $@

duty_room/web/dist/index.html: $(console)/node_modules/.installed $(console_sources)
	@echo "linli: building the console"
	@npm --silent --prefix $(console) run build -- --logLevel warn
	@touch $@
