#!/usr/bin/env bash
# Installs what is missing for `make demo` and `make test`; says nothing when nothing is.
# System packages come from apt, everything else goes under .local/, which git ignores.
# usage: scripts/setup.sh [demo|test|bench]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
purpose=${1:-test}
NEXTEST_VERSION=0.9.143
ANVIL_VERSION=1.7.1

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
    apt-get -o DPkg::Lock::Timeout=300 -y -q "$@" </dev/null
}

apt_install() {
  apt install --no-install-recommends "$@" && return 0
  say "refreshing the package lists"
  apt update
  apt install --no-install-recommends "$@"
}

# Debian creates and starts a database cluster with the package. Ours is private, so the setting
# below stays in place exactly while the package is being installed.
install_postgres() {
  local conf=/etc/postgresql-common/createcluster.d/chukta-setup.conf
  apt_install postgresql-common
  as_root mkdir -p "$(dirname "$conf")"
  printf 'create_main_cluster = false\n' | as_root tee "$conf" >/dev/null
  local status=0
  apt_install postgresql || status=$?
  as_root rm -f "$conf"
  return "$status"
}

can_install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

has_redis() {
  redis_server >/dev/null && return 0
  local shipped
  shipped=$(command -v redis-check-rdb) || return 1
  mkdir -p "$LOCAL/bin"
  ln -sf "$shipped" "$LOCAL/bin/redis-server"
  case "$("$LOCAL/bin/redis-server" --version 2>/dev/null)" in
    *"Redis server"*) return 0 ;;
  esac
  rm -f "$LOCAL/bin/redis-server"
  return 1
}

has_venv() { python3 -c 'import venv, ensurepip' >/dev/null 2>&1; }

system_packages() {
  local missing=()
  command -v cc >/dev/null || missing+=(build-essential)
  postgres_bin >/dev/null || missing+=(postgresql)
  has_redis || missing+=(redis-tools)
  if [ "$purpose" = test ] && ! has_venv; then missing+=(python3 python3-venv); fi
  [ ${#missing[@]} -gt 0 ] || return 0
  can_install || die "please install these Debian packages and start again: ${missing[*]}" \
    "(this script does it itself when it is root or may use sudo without a password)"
  say "installing ${missing[*]}"
  local package log
  mkdir -p "$LOCAL"
  log="$LOCAL/setup.log"
  for package in "${missing[@]}"; do
    if [ "$package" = postgresql ]; then install_postgres; else apt_install "$package"; fi \
      >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "could not install $package"; }
  done
  postgres_bin >/dev/null ||
    die "this system's PostgreSQL is too old: version $POSTGRES_MIN or later is needed"
  if ! has_redis; then
    say "installing redis-server"
    apt_install redis-server >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "no Redis"; }
  fi
  if [ "$purpose" = test ] && ! has_venv; then die "python3 has no venv module"; fi
}

# The local Solana runs in node, every time: its version is asked even when nothing is installed.
node_version() {
  local version
  version=$(node --version 2>/dev/null) || die "node 20 or later is needed: node is not in PATH"
  version=${version#v}
  [ "${version%%.*}" -ge 20 ] 2>/dev/null ||
    die "node $version is too old: node 20 or later is needed"
}

# The version is pinned by the lock file beside package.json; integrity is checked by npm.
node_tools() {
  local from="$ROOT/scripts/node" to="$LOCAL/node"
  if cmp -s "$from/package-lock.json" "$to/installed" && anvil_bin >/dev/null &&
    surfpool_module >/dev/null; then
    return 0
  fi
  command -v npm >/dev/null || die "node 20 with npm is needed: two local chain nodes are npm packages"
  say "installing anvil and surfpool"
  mkdir -p "$to"
  cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$to/"
  (cd "$to" && npm ci --ignore-scripts --loglevel=error </dev/null) >&2 ||
    die "npm could not install the local chain node"
  # The lock file knows one kind of processor; the program for another is taken by its version.
  anvil_bin >/dev/null || (cd "$to" && npm install --no-save --ignore-scripts --loglevel=error \
    "@foundry-rs/anvil-linux-$(processor)@$ANVIL_VERSION" </dev/null) >&2 ||
    die "npm has no local chain node for $(uname -m)"
  "$(anvil_bin)" --version >/dev/null || die "anvil does not start on this machine"
  surfpool_module >/dev/null || die "npm has no local Solana for $(uname -m)"
  cp "$from/package-lock.json" "$to/installed"
}

# Without it the tests still run, under cargo's own runner.
nextest() {
  [ "$purpose" = test ] || return 0
  cargo nextest --version >/dev/null 2>&1 && return 0
  say "building cargo-nextest $NEXTEST_VERSION (a few minutes, once)"
  CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR="$LOCAL/cargo-tools/target" \
    cargo install cargo-nextest --version "$NEXTEST_VERSION" --locked --debug --quiet \
    --no-default-features --root "$LOCAL/cargo-tools" </dev/null >&2 ||
    say "cargo-nextest could not be built: the tests will run under cargo test"
  rm -rf "$LOCAL/cargo-tools/target"
}

command -v cargo >/dev/null || die "a Rust toolchain is needed: cargo is not in PATH"
system_packages
node_version
node_tools
"$ROOT/scripts/bitcoind.sh"
nextest
