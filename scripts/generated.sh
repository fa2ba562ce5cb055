#!/usr/bin/env bash
# Files the binary writes about itself. Without arguments they are written anew; with --check they
# are compared, and a difference is a failure. CHUKTA_BIN names a binary that is already built.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
cd "$ROOT"

binary=${CHUKTA_BIN:-}
unset CHUKTA_BIN
if [ -z "$binary" ]; then
  cargo build --workspace --bins --locked </dev/null
  binary="$(target_dir)/debug/chukta"
fi

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
status=0

generated() {
  local command=$1 file=$2
  "$binary" "$command" </dev/null >"$fresh/$command" || die "chukta $command failed"
  [ -s "$fresh/$command" ] || die "chukta $command printed nothing"
  if [ "${check:-}" != yes ]; then
    cmp -s "$fresh/$command" "$file" || cp "$fresh/$command" "$file"
  elif ! cmp -s "$fresh/$command" "$file"; then
    say "$file is not what chukta $command prints: run make generate and commit the difference"
    diff -u "$file" "$fresh/$command" | head -n 40 >&2 || true
    status=1
  fi
}

case "${1:-}" in
  --check) check=yes ;;
  '') ;;
  *) die "usage: scripts/generated.sh [--check]" ;;
esac
generated openapi api/openapi.json
generated states docs/STATES.md
exit "$status"
