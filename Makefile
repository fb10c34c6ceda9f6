# Every target does its own set-up. All that a machine needs is Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST = $(BIN)/python -m pytest --ignore tests/system

# Hash-checked, and the project itself built without asking anybody for its build tools.
INSTALL := -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes --requirement
PROJECT := $(INSTALL) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-rules compiled test-compiled availability bench bench-quick bench-sweep recovery peers peer-quix peer-jvm peers-same crash faults simulation retail lint format types lock clean test-system schemas observability dashboards

help: ## Show this help
	@echo 'Usage: make TARGET [ARGS="…"]'
	@echo
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.local ## Start a real Kafka, two workers and simulated shops; show halts live (Ctrl-C ends all)
	@$(BIN)/orderhalt demo $(ARGS)

# Those with a broker one after the other: what they start and kill wants the cores for itself. ARGS
# may leave nothing of one half (pytest ends with 5), but not of both.
test: $(VENV)/.test ## Run all tests, those on a real Kafka included (ARGS="-k name" picks some)
	@$(PYTEST) -m "not broker" --numprocesses auto $(ARGS); alone=$$?; \
	$(PYTEST) -m broker $(ARGS); together=$$?; \
	[ $$alone -eq 5 ] && alone=$$together; [ $$together -eq 5 ] && together=$$alone; \
	exit $$((alone ? alone : together))

test-fast: $(VENV)/.test ## Run the tests that need no Kafka
	@$(PYTEST) -m "not broker and not slow" --numprocesses auto $(ARGS)

test-system: $(VENV)/.system .debian/.prometheus ## Try what strangers use (kcat, Java, JavaScript, promtool); installs it
	@$(BIN)/python -m tests.system.toolbox
	@$(BIN)/python -m pytest tests/system --ignore tests/system/pages $(ARGS)
	@# A browser's driver keeps an event loop running, in which others cannot start theirs.
	@$(BIN)/python -m pytest tests/system/pages $(ARGS)

observability: $(VENV)/.observability .debian/.prometheus ## Dashboards, rules and alerts on a real Prometheus; draw them
	@$(BIN)/python -W ignore::DeprecationWarning -m tests.observability --pictures out/dashboards $(ARGS)

dashboards: $(VENV)/.test ## Write the dashboards' JSON anew
	@$(BIN)/python -W ignore::DeprecationWarning -m deploy.grafana

faults: $(VENV)/.test ## Harm a real Kafka and what lies between it and workers; judge (ARGS="--only late-end")
	@$(BIN)/python -m tests.faults $(ARGS)

crash: $(VENV)/.test ## Kill workers in every way while 100,000 events come in; judge (ARGS="--seed 7")
	@$(BIN)/python -m tests.crash $(ARGS)

simulation: $(VENV)/.test ## Run 10,000 seeds of the simulator (ARGS="--seeds 500", "--seed 7", "--bugs")
	@$(BIN)/python -m tests.simulation $(or $(ARGS),--seeds 10000)

retail: $(VENV)/.test ## Take a real shop's whole year through replay and killed workers; judge
	@ORDERHALT_RETAIL_EVERY=1 $(BIN)/python -m pytest -rP tests/broker/test_retail.py $(ARGS)

compiled: $(VENV)-compiled/.wheel ## Build and install the wheel with compiled rules, into $(VENV)-compiled (needs a C compiler)

RULES_TESTS := tests/codec tests/contract tests/golden tests/rules tests/test_model.py tests/test_stories.py

# The wheel's own code is what is tested: not the checkout's, which would come first in the folder of
# the checkout.
test-compiled: compiled ## Run the tests of rules and codec on the compiled rules
	@rm -rf build/compiled && mkdir -p build/compiled && cp -r tests pyproject.toml build/compiled/
	@cd build/compiled && ../../$(VENV)-compiled/bin/python -c 'import sys; from processor.rules import shard; \
		sys.exit(shard.__file__.endswith(".py") and "The rules in the wheel are not compiled.")'
	@cd build/compiled && ../../$(VENV)-compiled/bin/python -m pytest $(RULES_TESTS) -m "rules and not pure" \
		--numprocesses auto $(ARGS)

# Not from the checkout, whose rules are not compiled and would come first.
BENCH = cd build/bench && ../../$(VENV)-compiled/bin/python

bench: $(VENV)-compiled/.bench build/bench/.linked ## Compare with all peers that are built, each on one core (ARGS="--runs 1")
	@$(BENCH) -m bench.compare $(ARGS)

bench-sweep: $(VENV)-compiled/.bench build/bench/.linked ## Move one size at a time: what does an event cost? (ARGS="--only marks")
	@$(BENCH) -m bench.sweep $(ARGS)

peers: peer-quix peer-jvm ## Make what the benchmark compares with

peer-jvm: ## Make Kafka Streams and Flink for the benchmark (needs Java 17 or later and Maven)
	@mvn --quiet --batch-mode --file bench/peers/pom.xml package

peers-same: $(VENV)/.test peer-jvm ## Check that the rules in Java say what ours say, byte for byte (ARGS="--seeds 9")
	@$(BIN)/python -m bench.peers.same $(ARGS)

peer-quix: $(VENV)-quix/.peer ## Make Quix Streams for the benchmark, with the compiled rules

$(VENV)-quix/.peer: requirements/peer-quix.txt $(VENV)-compiled/.wheel
	@$(MAKE) --no-print-directory VENV=$(VENV)-quix $(VENV)-quix/bin/python
	@$(VENV)-quix/bin/python $(LOCKED) requirements/peer-quix.txt
	@$(VENV)-quix/bin/python $(INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

$(VENV)-compiled/.bench: requirements/bench.txt $(VENV)-compiled/.wheel
	@$(VENV)-compiled/bin/python $(LOCKED) requirements/bench.txt
	@touch $@

build/bench/.linked:
	@rm -rf build/bench && mkdir -p build/bench
	@ln -s ../../bench ../../tests build/bench/
	@touch $@

availability: compiled ## Measure how long nobody looks after a partition when workers die, leave, join (ARGS="--rounds 1")
	@rm -rf build/availability && mkdir -p build/availability && cp -r tests bench build/availability/
	@cd build/availability && ../../$(VENV)-compiled/bin/python -m bench.availability $(ARGS)

recovery: compiled ## Measure how soon a worker commits after its start, by its state (ARGS="--rows 100000 --idle 60")
	@rm -rf build/recovery && mkdir -p build/recovery && cp -r tests bench build/recovery/
	@cd build/recovery && ../../$(VENV)-compiled/bin/python -m bench.recovery $(ARGS)

bench-quick: $(VENV)/.test $(VENV)-compiled/.bench build/bench/.linked ## Instructions an event against the last count (needs valgrind), and the ratio to the raw loop
	@$(BIN)/python -m bench.instructions $(ARGS)
	@$(BENCH) -m bench.compare --campaign quick --fresh --systems orderhalt,raw --modes drain --runs 1 --events 300000

test-rules: test-rules-3.12 test-rules-3.13 ## Run the tests of rules and codec on the other Pythons of this machine

test-rules-%: ## Run them on one Python, for example test-rules-3.12
	@if python=$$(.ci/find-python $*); then \
		$(MAKE) --no-print-directory VENV=$(VENV)-$* PYTHON="$$python" $(VENV)-$*/.test && \
		$(VENV)-$*/bin/python -m pytest --ignore tests/system -m rules $(ARGS); \
	else \
		echo "test-rules-$*: NOT RUN, there is no Python $* on this machine"; \
	fi

lint: $(VENV)/.dev ## Check style, formatting and the direction of imports
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	exit $$failed

schemas: $(VENV)/.test ## Write JSON Schemas, AsyncAPI document and the made parts of docs anew
	@$(BIN)/python -m schemas
	@$(BIN)/python -m tests.published.pages

format: $(VENV)/.dev ## Format the code and mend what can be mended mechanically
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## Check types (mypy --strict)
	@$(BIN)/mypy

# Sources and lock decide: anything newer than the stamp makes the wheel anew. It is made from a copy,
# for the compiler leaves its modules beside the sources, where Python would prefer them.
$(VENV)-compiled/.wheel: requirements/compile.txt pyproject.toml $(wildcard processor/*.py processor/*/*.py schemas/*)
	@$(MAKE) --no-print-directory VENV=$(VENV)-compiled $(VENV)-compiled/.compile
	@echo "Compiling the rules into a wheel (about a minute)" >&2
	@rm -rf build/wheel build/source && mkdir -p build/source
	@cp -r processor schemas docs *.md LICENSE pyproject.toml build/source/
	@HATCH_BUILD_HOOK_ENABLE_MYPYC=1 PATH="$(abspath $(VENV)-compiled/bin):$$PATH" $(VENV)-compiled/bin/python -m pip wheel \
		--quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel ./build/source
	@$(VENV)-compiled/bin/python $(INSTALL) --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

# The largest set is solved first and binds the others, so that every file has the same versions.
# --universal: one file for every Python and platform, chosen by environment markers.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

lock: $(VENV)/.dev ## Solve the dependencies anew and lock them by version and hash
	@$(COMPILE) --upgrade --extra local --extra web --group dev --output-file requirements/dev.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group system --output-file requirements/system.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group test --output-file requirements/test.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group observability --output-file requirements/observability.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group compile --output-file requirements/compile.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group bench --output-file requirements/bench.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra local --extra web --group build --output-file requirements/local.txt
	@$(COMPILE) --constraint requirements/dev.txt --extra web --output-file requirements/run.txt
	@$(COMPILE:pyproject.toml=bench/peers/quix/requirements.in) --upgrade --output-file requirements/peer-quix.txt
	@if grep -n '://' requirements/*.txt; then echo 'lock: an address must not stand in a lock file' >&2; exit 1; fi

clean: ## Remove everything that make and the tools have made
	rm -rf $(VENV) $(VENV)-* .debian build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "orderhalt needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

# Unpacked, not installed: no service starts, and nobody need be root who has apt's lists.
.debian/.prometheus: .ci/debian-unpack
	@.ci/debian-unpack .debian prometheus prometheus-alertmanager
	@touch $@

# .local, .test and .dev are stamps: what a lock file names is installed since the stamp's time.
$(VENV)/.%: requirements/%.txt pyproject.toml $(BIN)/python
	@echo "Installing requirements/$*.txt into $(VENV), hash-checked (the first time: about a minute)" >&2
	@$(BIN)/python $(LOCKED) $<
	@$(BIN)/python $(PROJECT)
	@touch $@
