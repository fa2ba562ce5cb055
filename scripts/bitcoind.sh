#!/usr/bin/env bash
# Unpacks a prebuilt bitcoind (Bitcoin Knots, from Debian's own archive) under .local/bitcoin.
# Needs no root and leaves the system's packages, lists and settings alone: apt works on private
# folders, checks the archive's signatures with the keyring Debian ships, and nothing is installed,
# only unpacked. The program runs with its own C library, so the system's may be older.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
SUITE=forky
PACKAGE=bitcoin-knots
home="$LOCAL/bitcoin"

bitcoind_bin >/dev/null && exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  die "bitcoind comes from Debian's archive: apt-get and dpkg-deb are needed, or name a bitcoind" \
    "of version 29 or later in CHUKTA_BITCOIND"
keyring=${DEBIAN_KEYRING:-}
for shipped in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
  [ -n "$keyring" ] || { [ ! -r "$shipped" ] || keyring=$shipped; }
done
[ -n "$keyring" ] || die "the package debian-archive-keyring is needed to check bitcoind"

# Two set-ups at once would write one folder: the second one waits and finds it done.
mkdir -p "$LOCAL"
exec 9>"$LOCAL/bitcoind.lock"
flock -w 1800 9 || die "another set-up has been fetching bitcoind for half an hour"
bitcoind_bin >/dev/null && exit 0

# The archives this machine already uses, wherever they are: Debian's own first.
mirrors=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 2>/dev/null |
  awk '$2 !~ /-security$/ {print ($1 ~ /debian\/?$/ ? 0 : 1), $1}' | sort -u | cut -d' ' -f2)
mirrors="${DEBIAN_MIRROR:-} $mirrors"
[ -n "${mirrors// /}" ] || die "apt knows no archive to fetch bitcoind from: name Debian's in" \
  "DEBIAN_MIRROR, or a bitcoind of version 29 or later in CHUKTA_BITCOIND"

say "fetching bitcoind"
# Beside what it becomes: a temporary folder of the system may not let programs start.
work=$(mktemp -d "$LOCAL/bitcoind.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{cache/archives/partial,etc/preferences.d,unpacked}
: >"$work/status"
# How to reach the archive is the system's word, everything else is private: none of the system's
# hooks run, none of its folders are written.
{
  apt-config dump | grep '^Acquire::' || true
  printf '%s;\n' \
    "Dir::Etc::parts \"/dev/null\"" "Dir::Etc::main \"/dev/null\"" \
    "Dir::Etc::sourcelist \"$work/sources.list\"" "Dir::Etc::sourceparts \"/dev/null\"" \
    "Dir::Etc::preferences \"/dev/null\"" "Dir::Etc::preferencesparts \"/dev/null\"" \
    "Dir::State::status \"$work/status\"" "Dir::State::lists \"$work/lists\"" \
    "Dir::State::extended_states \"$work/extended\"" "Dir::Cache \"$work/cache\"" \
    "APT::Sandbox::User \"\"" "Debug::NoLocking \"true\"" \
    "APT::Install-Recommends \"false\"" "Acquire::Languages \"none\"" "Acquire::Retries \"5\""
} >"$work/apt.conf"
export APT_CONFIG="$work/apt.conf"
private=(-q -y)
log="$LOCAL/bitcoind.log"
: >"$log"

# One archive after the other: a mirror may be slow, partial, or of another system.
fetch_from() {
  echo "deb [signed-by=$keyring] $1 $SUITE main" >"$work/sources.list"
  rm -rf "$work/lists"
  mkdir -p "$work/lists/partial"
  apt-get "${private[@]}" update </dev/null >>"$log" 2>&1 &&
    apt-get "${private[@]}" --download-only install "$PACKAGE" </dev/null >>"$log" 2>&1
}
fetched=
for mirror in $mirrors; do
  if fetch_from "$mirror"; then
    fetched=yes
    break
  fi
done
[ -n "$fetched" ] || { tail -n 20 "$log" >&2; die "no archive gave bitcoind; all is in $log"; }

for package in "$work"/cache/archives/*.deb; do
  # Only libraries and the program itself; the closure also holds tools nobody starts.
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/unpacked" --wildcards --no-wildcards-match-slash \
    --keep-directory-symlink ./usr/bin/bitcoind './usr/lib/*' './lib/*' './lib64/*' 2>/dev/null || true
done
loader=$(find "$work/unpacked" \( -name 'ld-linux-*.so.*' -o -name 'ld64.so.*' \) | head -n 1)
program="$work/unpacked/usr/bin/bitcoind"
[ -x "$program" ] && [ -n "$loader" ] || die "the packages hold no bitcoind that could start here"

rm -rf "$home.new" "$home"
mkdir -p "$home.new/lib" "$home.new/bin"
cp "$program" "$home.new/lib/bitcoind"
cp -L "$loader" "$home.new/lib/loader"
# What the program needs, found by its own loader among the unpacked libraries.
folders=$(find "$work/unpacked" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
"$loader" --library-path "$folders" --list "$program" |
  awk '$2 == "=>" && $3 ~ /^\// {print $3}' | while read -r library; do
  cp -L "$library" "$home.new/lib/"
done
cat >"$home.new/bin/bitcoind" <<'RUN'
#!/bin/sh
lib=$(cd "$(dirname "$0")/../lib" && pwd)
exec "$lib/loader" --library-path "$lib" "$lib/bitcoind" "$@"
RUN
chmod +x "$home.new/bin/bitcoind"
"$home.new/bin/bitcoind" --version >/dev/null || die "the unpacked bitcoind does not start"
mv "$home.new" "$home"
