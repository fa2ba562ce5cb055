# Where things are and how a script speaks. Sourced by the other scripts; installs and starts nothing.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOCAL="$ROOT/.local"
POSTGRES_MIN=15

# Tools that setup.sh built here are a last choice, after what the machine has.
PATH="$PATH:$LOCAL/cargo-tools/bin"

say() { printf 'chukta: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# The folder of the newest PostgreSQL server binaries that is new enough; fails when there is none.
postgres_bin() {
  local dir version path
  while IFS= read -r dir; do
    version=${dir#/usr/lib/postgresql/}
    version=${version%%/*}
    if [ "${version%%.*}" -ge "$POSTGRES_MIN" ] 2>/dev/null && [ -x "$dir/initdb" ]; then
      printf '%s\n' "$dir"
      return 0
    fi
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5 -rV)
  path=$(command -v initdb) || return 1
  dir=$(dirname "$(readlink -f "$path")")
  version=$("$dir/postgres" --version 2>/dev/null | grep -oE '[0-9]+' | head -n 1) || return 1
  [ "${version:-0}" -ge "$POSTGRES_MIN" ] && [ -x "$dir/pg_ctl" ] && printf '%s\n' "$dir"
}

# The Redis server. Debian ships its binary in redis-tools under the name of the checker: one
# program, told apart by the name it is called with. Using it avoids installing a system service.
redis_server() {
  command -v redis-server && return 0
  [ -x "$LOCAL/bin/redis-server" ] && printf '%s\n' "$LOCAL/bin/redis-server"
}

# This machine's processor, as npm packages call it.
processor() {
  case "$(uname -m)" in
    aarch64 | arm64) echo arm64 ;;
    *) echo amd64 ;;
  esac
}

# The anvil program for this machine, out of the npm package setup.sh installed.
anvil_bin() {
  local path
  path="$LOCAL/node/node_modules/@foundry-rs/anvil-linux-$(processor)/bin/anvil"
  [ -x "$path" ] && printf '%s\n' "$path"
}

# The local Solana's runtime: a module for node, out of the npm package setup.sh installed. There is
# one for this kind of processor only.
surfpool_module() {
  if [ -n "${CHUKTA_SURFPOOL:-}" ] && [ -r "$CHUKTA_SURFPOOL" ]; then
    printf '%s\n' "$CHUKTA_SURFPOOL"
    return 0
  fi
  local path="$LOCAL/node/node_modules/@solana/surfpool-linux-x64-gnu/surfpool-sdk.linux-x64-gnu.node"
  [ -r "$path" ] && printf '%s\n' "$path"
}

# The Bitcoin node: the one named by the user, or what bitcoind.sh unpacked.
bitcoind_bin() {
  if [ -n "${CHUKTA_BITCOIND:-}" ] && [ -x "$CHUKTA_BITCOIND" ]; then
    printf '%s\n' "$CHUKTA_BITCOIND"
    return 0
  fi
  [ -x "$LOCAL/bitcoin/bin/bitcoind" ] && printf '%s\n' "$LOCAL/bitcoin/bin/bitcoind"
}

# Cargo's own answer, so that CARGO_TARGET_DIR and a user's cargo configuration are both honoured.
target_dir() {
  (cd "$ROOT" && cargo metadata --format-version 1 --no-deps --locked) |
    grep -oE '"target_directory":"[^"]*"' | cut -d'"' -f4
}

# Runs a command in a process group of its own and answers its exit status. A signal to this script
# is passed on to the group, the third one without mercy, and counted in SIGNALS. When the command
# has ended, whatever it left behind in its group ends too.
SIGNALS=0
supervise() {
  local child status before
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  trap 'pass_on "$child"' INT TERM HUP
  while :; do
    before=$SIGNALS status=0
    wait "$child" || status=$?
    [ "$SIGNALS" != "$before" ] || break
  done
  kill -TERM -- "-$child" 2>/dev/null || true
  trap - INT TERM HUP
  return "$status"
}

pass_on() {
  local signal=TERM
  SIGNALS=$((SIGNALS + 1))
  if [ "$SIGNALS" -gt 2 ]; then signal=KILL; fi
  kill "-$signal" -- "-$1" 2>/dev/null || true
}
