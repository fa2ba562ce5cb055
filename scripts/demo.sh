#!/usr/bin/env bash
# `make demo`: a private PostgreSQL and Redis, then the binary's own demo, which starts the local
# chain node and the simulators itself. ONCE=1 ends after the drive. The exit status is the demo's.
# CHUKTA_BIN names a binary that is already built.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
cd "$ROOT"
scripts/setup.sh demo

binary=${CHUKTA_BIN:-}
unset CHUKTA_BIN
if [ -z "$binary" ]; then
  say "building (the first time takes some minutes)"
  supervise cargo build --workspace --bins --locked
  binary="$(target_dir)/debug/chukta"
fi

arguments=()
if [ "${ONCE:-}" = 1 ]; then arguments+=(--once); fi

# The trap comes before the start: whatever happens from here on, the services end.
trap 'scripts/services.sh stop demo' EXIT
CHUKTA_SERVICES_OWNER=$$ scripts/services.sh start demo
eval "$(scripts/services.sh env demo)"

status=0
supervise "$binary" demo "${arguments[@]}" || status=$?
exit "$status"
