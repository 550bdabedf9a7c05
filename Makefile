# Two commands are all that a newcomer needs: `make run` and `make test`.
# Everything else is for maintainers; `make help` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# How many processes the tests share out; more than two cores have, because many tests wait.
# With 0 they run one after another.
WORKERS ?= 3

# The built program: the tarball lies beside the single file.
VERSION_BUILT := $(shell sed -n 's/^__version__: Final = "\(.*\)"$$/\1/p' agentgather/__init__.py)
BUILT := dist/agentgather-$(VERSION_BUILT)-linux-$(shell uname -m)
# Folders too, because a file that is gone makes a difference.
BUILT_FROM := $(shell find agentgather packaging/binary -name __pycache__ -prune -o -print) \
  $(addprefix packaging/,agentgather.spec entry.py requirements.txt requirements-build.txt)

# What is in packaging/ is run as a module, and imports its like by folder: `from release.parts`.
RUN := PYTHONPATH=packaging $(BIN)/python -m

LOCK := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header

.DEFAULT_GOAL := help
.PHONY: help run test check fix spec man bench bench-compare fuzz soak soak-kill crash-points lock binary smoke release clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

run: $(READY) ## set everything up and serve a demonstration room
	@AGENTGATHER_HOME="$(CURDIR)/.demo" $(BIN)/python packaging/demo.py

test: $(READY) check ## set everything up, check and test
	@tests/browser/install.sh
	@tests/end_to_end/install.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(READY) ## format, lint, types, spec
	$(BIN)/ruff format --check agentgather tests packaging
	$(BIN)/ruff check agentgather tests packaging
	$(BIN)/mypy
	$(RUN) generate.spec --check

fix: $(READY) ## format and mend what a tool can mend
	$(BIN)/ruff format agentgather tests packaging
	$(BIN)/ruff check --fix agentgather tests packaging

spec: $(READY) ## rewrite what spec/ takes from the code
	$(RUN) generate.spec

man: $(READY) ## write the page of the manual, build/agentgather.1
	@mkdir -p build
	$(RUN) generate.man build/agentgather.1

bench: $(READY) ## measure, and put the table into docs/performance.md; PARTS="posts …" only prints
	@tests/browser/install.sh
	$(BIN)/python tests/bench/run.py $(if $(PARTS),$(PARTS),--write)

bench-compare: $(READY) ## measure BASE=<commit> and these files in turns: [PARTS="posts …"] [TURNS=9]
	@test -n "$(BASE)" || { echo "which commit? make bench-compare BASE=HEAD~1" >&2; exit 2; }
	$(BIN)/python tests/bench/compare.py $(if $(TURNS),--turns $(TURNS)) "$(BASE)" $(PARTS)

fuzz: $(READY) ## try other seeds than the tests do: [SECONDS=600]
	$(BIN)/python tests/fuzz.py $(or $(SECONDS),600)

crash-points: $(READY) ## cut the power at 100,000 points of recorded lives, in process; a minute
	$(BIN)/python -m tests.durability.crash_points

soak-kill: $(READY) ## kill a served room 200 times under load, and look for what is lost; five minutes
	$(BIN)/python -m tests.durability.soak_kill

soak: $(READY) ## twenty rooms in trouble for an hour, or SECONDS=…; artifacts/soak.txt
	$(BIN)/python -m tests.soak.run $(SECONDS)

lock: $(READY) ## pin and hash what ships and what tests it
	$(BIN)/pip install --quiet pip-tools
	$(LOCK) --output-file packaging/requirements.txt pyproject.toml
	$(LOCK) --extra dev --all-build-deps --output-file packaging/requirements-dev.txt pyproject.toml
	$(LOCK) --output-file packaging/requirements-build.txt packaging/requirements-build.in

binary: $(BUILT) ## build the program to download, into dist/; about a minute

$(BUILT): $(READY) $(BUILT_FROM)
	@packaging/binary/build-tools.sh $(BIN)/python
	@rm -rf build/venv && $(BIN)/python -m venv --without-pip build/venv
	@$(BIN)/python -m pip --python build/venv/bin/python install --quiet --disable-pip-version-check --no-compile --require-hashes -r packaging/requirements.txt -r packaging/requirements-build.txt
	@PYTHONPATH=packaging build/venv/bin/python -m binary.build

smoke: $(BUILT) ## try the built program, where there is no Python
	@tests/browser/install.sh
	$(BIN)/python -m pytest tests/smoke --built $(BUILT) -rs

release: $(READY) ## all that publishing needs, in dist/: VERSION=x.y.z [SIGN_KEY=path] [TRIAL=1]
	@$(RUN) release.make "$(VERSION)" $(if $(SIGN_KEY),--sign-key "$(SIGN_KEY)") $(if $(TRIAL),--trial)

clean: ## remove what the targets made
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .hypothesis build dist *.egg-info \
	  artifacts/screenshots artifacts/failures artifacts/soak.txt tests/browser/node_modules tests/end_to_end/build

# Hashes first, then the package itself without touching what they pinned.
$(READY): pyproject.toml packaging/requirements-dev.txt
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "agentgather needs Python 3.11 or newer; set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
	  || $(PYTHON) -m venv --without-pip $(VENV) \
	  || { echo "cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
	  || $(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r packaging/requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
