#!/usr/bin/env bash
# `make test`: everything, on a private database. Steps before the last report and do not stop the
# others; the last is the test run, so that its summary ends the output.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
cd "$ROOT"
scripts/setup.sh test
failures=()

step() {
  local title=$1
  shift
  say "==== $title"
  supervise "$@" || failures+=("$title")
  if [ "$SIGNALS" -gt 0 ]; then exit 130; fi
}

runner=nextest
cargo nextest --version >/dev/null 2>&1 || runner=cargo

build() {
  if [ "$runner" = nextest ]; then
    cargo nextest run --workspace --locked --no-run --cargo-quiet
  else
    cargo test --workspace --locked --no-run --quiet
  fi
}

# cargo's own runner ends each binary with a summary; this adds them up under one line.
under_cargo() {
  local output status=0
  output=$(mktemp)
  cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$output" || status=$?
  awk '/^test result:/ { passed += $4; failed += $6 }
       END { printf "%d passed, %d failed\n", passed, failed }' "$output"
  rm -f "$output"
  return "$status"
}

step "lint" scripts/lint.sh
say "==== build"
supervise build || die "the workspace does not compile"
CHUKTA_BIN="$(target_dir)/debug/chukta"
export CHUKTA_BIN

step "generated files" scripts/generated.sh --check
if [ -x simulators/tests/peers/run.sh ]; then
  step "public clients against the simulators" simulators/tests/peers/run.sh
fi
step "demo" env ONCE=1 scripts/demo.sh

unset CHUKTA_BIN
trap 'scripts/services.sh stop test' EXIT
CHUKTA_SERVICES_OWNER=$$ scripts/services.sh start test
eval "$(scripts/services.sh env test)"

if [ ${#failures[@]} -gt 0 ]; then
  for failure in "${failures[@]}"; do say "FAILED before the tests: $failure"; done
fi
say "==== tests"
status=0
if [ "$runner" = nextest ]; then
  supervise cargo nextest run --workspace --locked --profile ci --cargo-quiet || status=$?
else
  supervise under_cargo || status=$?
fi
if [ ${#failures[@]} -gt 0 ]; then
  say "make test fails: ${failures[*]}"
  status=1
fi
exit "$status"
