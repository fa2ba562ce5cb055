#!/bin/sh
# Drives the simulators with public clients nobody here wrote: ccxt's binance, coinbase and wazirx,
# binance-connector, and the razorpay ones (razorpay.sh). CHUKTA_BIN names a binary that
# `simulate`s; clients are installed once, under the checkout's ignored .local folder.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
: "${CHUKTA_BIN:?set CHUKTA_BIN to the chukta binary, or run make test}"
venvs=$root/.local/peers
work=$(mktemp -d)
pid=

finish() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A finished environment carries the list of what is in it.
environment() {
    name=$1
    shift
    if [ "$(cat "$venvs/$name/contents" 2>/dev/null)" != "$*" ]; then
        rm -rf "${venvs:?}/$name"
        mkdir -p "$venvs"
        python3 -m venv "$venvs/$name"
        "$venvs/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
        echo "$*" > "$venvs/$name/contents"
    fi
}

# Runs a command, named first, against a fresh world whose first line it finds in SIMULATORS.
drive() {
    echo "peer: $1"
    shift
    mkfifo "$work/stdin"
    : > "$work/first_line"
    "$CHUKTA_BIN" simulate < "$work/stdin" > "$work/first_line" &
    pid=$!
    exec 3> "$work/stdin"
    waited=0
    until [ -s "$work/first_line" ]; do
        waited=$((waited + 1))
        if [ "$waited" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "peer: the simulators did not start" >&2
            exit 1
        fi
        sleep 0.1
    done
    # From an empty folder: ccxt looks around in the directory it is started in.
    (cd "$work" && SIMULATORS=$(head -n 1 first_line) && export SIMULATORS && "$@")
    exec 3>&-
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
    rm -f "$work/stdin"
}

environment binance ccxt==4.5.90 binance-connector==3.13.0
environment wazirx ccxt==4.4.58
python=$venvs/binance/bin/python
drive "ccxt binance" "$python" -B "$here/ccxt_binance.py"
drive "ccxt.pro binance" "$python" -B "$here/ccxt_binance_pro.py"
drive "binance-connector" "$python" -B "$here/connector_binance.py"
drive "ccxt coinbase" "$python" -B "$here/ccxt_coinbase.py"
drive "ccxt wazirx" "$venvs/wazirx/bin/python" -B "$here/ccxt_wazirx.py"
drive "razorpay" "$here/razorpay.sh"
echo "peers: every client satisfied"
