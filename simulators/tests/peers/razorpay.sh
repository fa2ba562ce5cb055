#!/usr/bin/env bash
# Drives the bank rail with public clients nobody here wrote, unchanged: npm razorpayx-sdk, razorpayx-nodejs-sdk and razorpay,
# PyPI razorpay. A running server's coordinates come in the environment, as
#   RAZORPAYX_BASE_URL KEY_ID KEY_SECRET ACCOUNT_NUMBER WEBHOOK_SECRET CONTROL_URL
# or as SIMULATORS, the one JSON line that the simulators print first; without either, CHUKTA_BIN names a binary that
# `simulate`s.
# Packages are installed once into the checkout's ignored folder (PEERS_DIR to choose another).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
peers=${PEERS_DIR:-$root/.local/peers}/razorpay
if [ -z "${SIMULATORS:-}${RAZORPAYX_BASE_URL:-}" ]; then
  coproc SIMULATE { exec "${CHUKTA_BIN:?set CHUKTA_BIN to the chukta binary, or run make test}" simulate; }
  simulate=$SIMULATE_PID
  trap 'kill "$simulate" 2>/dev/null || true' EXIT
  read -r -t 30 SIMULATORS <&"${SIMULATE[0]}"
fi
if [ -n "${SIMULATORS:-}" ]; then
  of() { printf '%s' "$SIMULATORS" | node -p "JSON.parse(require('fs').readFileSync(0)).$1"; }
  export RAZORPAYX_BASE_URL KEY_ID KEY_SECRET ACCOUNT_NUMBER WEBHOOK_SECRET CONTROL_URL
  RAZORPAYX_BASE_URL=$(of razorpayx.base_url) CONTROL_URL=$(of control.base_url)
  KEY_ID=$(of razorpayx.key_id) KEY_SECRET=$(of razorpayx.key_secret)
  ACCOUNT_NUMBER=$(of razorpayx.account_number) WEBHOOK_SECRET=$(of razorpayx.webhook_secret)
fi
: "${RAZORPAYX_BASE_URL:?}" "${KEY_ID:?}" "${KEY_SECRET:?}" "${ACCOUNT_NUMBER:?}" "${WEBHOOK_SECRET:?}" "${CONTROL_URL:?}"

mkdir -p "$peers"
if ! cmp -s "$here/razorpay_package.json" "$peers/package.json" || [ ! -d "$peers/node_modules" ]; then
  cp "$here/razorpay_package.json" "$peers/package.json"
  (cd "$peers" && npm install --no-audit --no-fund --no-package-lock --loglevel=error)
fi
if ! cmp -s "$here/razorpay_requirements.txt" "$peers/requirements.txt"; then
  python3 -m venv "$peers/venv"
  "$peers/venv/bin/pip" install --quiet --requirement "$here/razorpay_requirements.txt"
  cp "$here/razorpay_requirements.txt" "$peers/requirements.txt"
fi

PEER_MODULES="$peers/" node "$here/razorpayx_peer.mjs"
"$peers/venv/bin/python" "$here/razorpay_peer.py"
