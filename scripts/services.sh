#!/usr/bin/env bash
# A private PostgreSQL and a private Redis per NAME (demo, test, bench), for development only.
# Both listen on 127.0.0.1 at a free port and ask for no password; nothing survives a stop.
#
#   scripts/services.sh start NAME   starts both, fresh; state is noted under .local/run/NAME
#   scripts/services.sh env NAME     prints the settings to reach them, as shell exports
#   scripts/services.sh stop NAME    stops both and removes their data
#
# With CHUKTA_SERVICES_OWNER=<pid> the services end with that process, however it ends.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"

verb=${1:-} name=${2:-}
case "$verb" in start | stop | env) ;; *) die "usage: scripts/services.sh start|stop|env NAME" ;; esac
[[ "$name" =~ ^[a-z][a-z0-9-]{0,20}$ ]] || die "a service name is a short lower-case word"
self="$ROOT/scripts/services.sh"
run="$LOCAL/run/$name"

# PostgreSQL refuses to run as root, so root lends both servers to somebody with fewer rights.
servant=
if [ "$(id -u)" = 0 ]; then
  for user in postgres nobody; do
    if id -u "$user" >/dev/null 2>&1; then servant=$user && break; fi
  done
  [ -n "$servant" ] || die "root needs a user named postgres or nobody to run the database as"
fi

as_servant() (
  cd /
  if [ -z "$servant" ]; then exec "$@"; fi
  exec setpriv --reuid="$servant" --regid="$(id -g "$servant")" --init-groups -- "$@"
)

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# A process is the one we noted only if it also started when the noted one did.
alive() {
  local pid=${1:-} since=${2:-}
  [ -n "$pid" ] && [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ]
}

noted() { cat "$run/$1" 2>/dev/null || true; }

# The data lies under the checkout, or under /tmp when the servant cannot walk into the checkout.
make_data_dir() {
  local dir="$run/data"
  mkdir -p "$dir"
  if [ -n "$servant" ]; then chown "$servant" "$dir"; fi
  chmod 700 "$dir"
  if ! as_servant test -w "$dir" -a -x "$dir"; then
    rmdir "$dir"
    dir=$(mktemp -d /tmp/chukta-XXXXXXXX)
    if [ -n "$servant" ]; then chown "$servant" "$dir"; fi
  fi
  printf '%s\n' "$dir" >"$run/data-dir"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which the kernel takes its own ports.
free_port() {
  local port
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    answers "$port" || break
  done
  printf '%s\n' "$port"
}

postgres_settings() {
  cat <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
shared_buffers = '128MB'
max_wal_size = '2GB'
timezone = 'UTC'
log_timezone = 'UTC'
SETTINGS
  # Tests that kill a database run their own, with fsync on. This one may be quick.
  if [ "$name" = test ]; then
    printf '%s\n' "fsync = off" "full_page_writes = off" "synchronous_commit = on"
  fi
}

start_postgres() {
  local bin data=$1 port try
  bin=$(postgres_bin) || die "PostgreSQL $POSTGRES_MIN or later is missing: run scripts/setup.sh"
  as_servant "$bin/initdb" -D "$data/postgres" -U postgres -A trust -E UTF8 --no-locale \
    --no-sync >"$run/postgres.log" 2>&1 || failed postgres
  postgres_settings >>"$data/postgres/postgresql.conf"
  for try in 1 2 3 4 5; do
    port=$(free_port)
    if as_servant "$bin/pg_ctl" -D "$data/postgres" -w -t 60 -s -l "$data/postgres.log" \
      -o "-p $port" start </dev/null >>"$run/postgres.log" 2>&1; then
      printf '%s\n' "$port" >"$run/postgres-port"
      if [ "$name" = demo ]; then
        as_servant "$bin/createdb" -h 127.0.0.1 -p "$port" -U postgres chukta
      fi
      return 0
    fi
    grep -qi 'address already in use' "$data/postgres.log" || break
  done
  cat "$data/postgres.log" >>"$run/postgres.log" 2>/dev/null || true
  failed postgres
}

start_redis() {
  local data=$1 server port try wait
  server=$(redis_server) || die "Redis is missing: run scripts/setup.sh"
  for try in 1 2 3 4 5; do
    port=$(free_port)
    as_servant "$server" --bind 127.0.0.1 --port "$port" --save '' --appendonly no \
      --daemonize yes --dir "$data" --pidfile "$data/redis.pid" --logfile "$data/redis.log" \
      </dev/null >"$run/redis.log" 2>&1 || failed redis
    for wait in $(seq 100); do
      if [ -s "$data/redis.pid" ] && answers "$port"; then
        printf '%s\n' "$port" >"$run/redis-port"
        return 0
      fi
      grep -qi 'address already in use' "$data/redis.log" 2>/dev/null && break
      sleep 0.05
    done
  done
  cat "$data/redis.log" >>"$run/redis.log" 2>/dev/null || true
  failed redis
}

failed() {
  say "$1 did not start; its log ends:"
  tail -n 15 "$run/$1.log" >&2 || true
  stop
  exit 1
}

write_env() {
  local database="127.0.0.1:$(noted postgres-port)" redis="redis://127.0.0.1:$(noted redis-port)"
  {
    if [ "$name" != demo ]; then
      echo "export CHUKTA_TEST_POSTGRES_URL=postgres://postgres@$database/postgres"
      echo "export CHUKTA_TEST_REDIS_URL=$redis"
    else
      echo "export CHUKTA_DATABASE_URL=postgres://chukta_app@$database/chukta"
      echo "export CHUKTA_OWNER_DATABASE_URL=postgres://postgres@$database/chukta"
      echo "export CHUKTA_REDIS_URL=$redis"
    fi
    printf 'export CHUKTA_ANVIL=%q\n' "$(anvil_bin || true)"
    printf 'export CHUKTA_BITCOIND=%q\n' "$(bitcoind_bin || true)"
    printf 'export CHUKTA_SURFPOOL=%q\n' "$(surfpool_module || true)"
  } >"$run/env"
}

# Ends the services when their owner is gone, even if it was killed without a chance to clean up.
start_watchdog() {
  local owner=${CHUKTA_SERVICES_OWNER:-}
  [ -n "$owner" ] || return 0
  printf '%s %s\n' "$owner" "$(started_at "$owner")" >"$run/owner"
  setsid bash -c 'tail --pid="$1" -f /dev/null; exec "$2" stop "$3"' \
    watchdog "$owner" "$self" "$name" </dev/null >/dev/null 2>&1 &
  printf '%s %s\n' "$!" "$(started_at "$!")" >"$run/watchdog"
}

stop_watchdog() {
  local pid since
  read -r pid since < <(noted watchdog) || return 0
  [ "$pid" != "$$" ] || return 0
  if alive "$pid" "$since"; then kill -TERM -- "-$pid" 2>/dev/null || true; fi
}

gone() {
  local try
  for try in $(seq 200); do
    # Z: it has ended and only waits to be taken note of by its parent.
    case "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)" in '' | Z*) return 0 ;; esac
    sleep 0.05
  done
  return 1
}

# A number in a file is our server only if that process is one and works in our folder.
is_ours() {
  local pid=$1 program=$2 folder=$3
  [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$program" ] &&
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$folder" ]
}

end_process() {
  local pid=$1 signal=$2
  kill "-$signal" "$pid" 2>/dev/null || true
  gone "$pid" || { kill -KILL "$pid" 2>/dev/null || true; gone "$pid" || true; }
}

stop() {
  local data pid
  stop_watchdog
  data=$(noted data-dir)
  if [ -n "$data" ] && [ -d "$data" ]; then
    data=$(readlink -f "$data")
    pid=$(head -n 1 "$data/postgres/postmaster.pid" 2>/dev/null || true)
    # QUIT is PostgreSQL's immediate stop: the data is thrown away with it.
    if is_ours "$pid" postgres "$data/postgres"; then end_process "$pid" QUIT; fi
    pid=$(cat "$data/redis.pid" 2>/dev/null || true)
    if is_ours "$pid" redis-server "$data"; then end_process "$pid" TERM; fi
    rm -rf "$data"
  fi
  rm -f "$run/data-dir" "$run/env" "$run/owner" "$run/watchdog" "$run/postgres-port" \
    "$run/redis-port"
}

start() {
  local pid since data
  read -r pid since < <(noted owner) || true
  if alive "${pid:-}" "${since:-}" && [ "$pid" != "${CHUKTA_SERVICES_OWNER:-}" ]; then
    die "the services '$name' already work for process $pid of this checkout"
  fi
  stop
  mkdir -p "$run"
  trap 'stop; exit 1' INT TERM HUP
  start_watchdog
  make_data_dir
  data=$(noted data-dir)
  start_postgres "$data"
  start_redis "$data"
  write_env
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  env) [ -s "$run/env" ] && cat "$run/env" || die "the services '$name' are not running" ;;
esac
