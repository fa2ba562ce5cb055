#!/usr/bin/env bash
# Everything that judges the source without running the product. All steps run; any failure fails.
# The house rules (tidy/) are tests and run with the others.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
cd "$ROOT"
failures=()

lint() {
  local title=$1
  shift
  say "lint: $title"
  "$@" </dev/null || failures+=("$title")
}

# A toolchain may come without these two components; they cannot be fetched from everywhere.
if cargo fmt --version >/dev/null 2>&1; then
  lint "format" cargo fmt --all --check
else
  say "lint: format was not run: this toolchain has no rustfmt"
fi
if cargo clippy --version >/dev/null 2>&1; then
  lint "clippy" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
else
  say "lint: clippy was not run: this toolchain has no clippy"
fi
for script in scripts/*.sh .ci/run; do
  bash -n "$script" || failures+=("$script")
done
# Advisories need a database that is fetched; the rest of deny.toml is judged offline.
if cargo deny --version >/dev/null 2>&1; then
  lint "dependencies" cargo deny --offline --log-level error check bans licenses sources
else
  say "lint: cargo deny was not run: it is not installed (tidy checks the bans meanwhile)"
fi

if [ ${#failures[@]} -gt 0 ]; then
  say "lint failed: ${failures[*]}"
  exit 1
fi
