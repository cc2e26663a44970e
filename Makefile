# NAS Music Downloader. `make run` is all that is needed to try it; `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup run demo docs test crash lint bench load client screenshots lock audit licences clean

help: ## Show this list
	@echo "NAS Music Downloader"; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Make .venv with all that running, testing and developing need
	@$(PYTHON) tools/setup.py --dev

run: ## Serve on port 8000 with an embedded PostgreSQL and worker; music goes to ./downloads
	@$(PYTHON) tools/setup.py
	@exec $(BIN)/nas-music serve --standalone --with-parent

demo: ## Do the whole main job once, offline: make a small album, serve it, download it, show what landed
	@$(PYTHON) tools/setup.py
	@exec $(BIN)/python tools/demo.py

docs: ## Build the documentation as a site into site/; dead links and anchors fail
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/docs.py

test: ## Lint, types, import contracts, and every test against real parts
	@$(PYTHON) tools/setup.py --dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/check.sh

crash: ## Kill everything 200 times, at chosen lines and at random, and see that nothing is lost (takes a quarter of an hour)
	@$(PYTHON) tools/setup.py --dev
	@cd backend && exec ../$(BIN)/python -m tests.crash $(CRASH)

bench: ## Measure against yt-dlp's own command and the bare work, side by side (takes minutes)
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/bench.py $(BENCH)

load: ## Two hundred people at once beside running downloads, for two minutes
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/load.py $(LOAD)

client: ## Generate the page's client anew, after a change of the API
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/client.py

screenshots: ## Take the pictures in docs/screenshots anew: every page, light and dark, desk and phone
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/screenshots.py

lock: ## Lock the dependencies anew and export them (needs poetry and poetry-plugin-export)
	@sh tools/lock.sh

audit: ## Ask the advisory database whether anything that is locked has a known weakness (needs the internet)
	@PYTHON="$(PYTHON)" sh tools/audit.sh

licences: ## Write docs/licences.md: what the service runs with, and under which licence
	@$(PYTHON) tools/setup.py --dev
	@exec $(BIN)/python tools/licences.py

clean: ## Remove .venv, the built page and caches; music and data stay
	rm -rf .venv .audit site frontend/node_modules backend/src/music_downloader/static .mypy_cache .pytest_cache .ruff_cache .coverage*
	find backend tools -name __pycache__ -type d -prune -exec rm -rf {} +
