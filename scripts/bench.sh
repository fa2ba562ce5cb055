#!/usr/bin/env bash
# `make bench`: the figures of testkit's benches, in the release profile, on a private PostgreSQL that
# syncs every commit to the disk, as in production.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
cd "$ROOT"
scripts/setup.sh bench

say "building (the release profile takes some minutes the first time)"
supervise cargo bench -p testkit --locked --no-run --quiet

trap 'scripts/services.sh stop bench' EXIT
CHUKTA_SERVICES_OWNER=$$ scripts/services.sh start bench
eval "$(scripts/services.sh env bench)"
status=0
supervise cargo bench -p testkit --locked --quiet || status=$?
exit "$status"
