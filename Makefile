# The commands of this repository. Each is one line; the work is in scripts/ and in cargo.
.DEFAULT_GOAL := help
.PHONY: help demo test bench storm-orders lint fmt generate setup clean-local

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## real payments from QR to UTR on this machine, pages left open (ONCE=1: end after them)
	@ONCE=$(ONCE) scripts/demo.sh

test: ## every check and every test, on a private database
	@scripts/test.sh

bench: ## figures, as ratios beside a baseline of the same run
	@scripts/bench.sh

storm-orders: ## randomised sales against the simulated venue, none twice (N=1000000, SEED=1)
	@cargo run -p testkit --example storm_orders --release --locked --quiet -- "$(N)" "$(SEED)"

lint: ## format, clippy, dependencies
	@scripts/lint.sh

fmt: ## format the source
	@cargo fmt --all

generate: ## write api/openapi.json and docs/STATES.md anew
	@scripts/generated.sh

setup: ## install what demo and test need, and nothing else
	@scripts/setup.sh test

clean-local: ## stop private services and remove .local/
	@for name in demo test bench; do scripts/services.sh stop $$name; done
	@rm -rf .local
