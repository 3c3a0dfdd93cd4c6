#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The node of this checkout, without systemd:  tools/node.sh up|down|status|logs|demo
#
#   QMN_LISTEN     where it answers   (127.0.0.1:8022; several: A,B)
#   QMN_DATA_DIR   what it keeps      (var/data)
#
# They count when it starts; later calls ask the node that runs.  var/qmnd.pid names its process,
# var/qmnd.log is what it says, var/admin-key the copy of its key for whoever said `sudo make up`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

listen=${QMN_LISTEN:-127.0.0.1:8022}
data=${QMN_DATA_DIR:-var/data}
program=$root/build/qmnd
pid_file=$root/var/qmnd.pid
log=$root/var/qmnd.log
ready_seconds=${QMN_READY_SECONDS:-30}
stop_seconds=${QMN_STOP_SECONDS:-10}

fail() {
    echo "qmn: $*" >&2
    exit 1
}

# The address to talk to: the first that is not one service's own; any-address means loopback.
find_address() {
    address=$(tr ',' '\n' <<<"$listen" | grep -v = | head -1 || true)
    [ -n "$address" ] || address=$(cut -d, -f1 <<<"$listen" | cut -d= -f2)
    port=${address##*:}
    host=${address%:*}
    case $host in
    0.0.0.0) host=127.0.0.1 ;;
    '[::]') host='[::1]' ;;
    esac
    url=http://$host:$port
}
find_address

# Is process $1 a qmnd of this checkout?  The link to its program tells, also after a rebuild; a node
# hides that link from all but root, its command line stays readable.
is_ours() {
    local pid=$1 exe argv0
    [ -d "/proc/$pid" ] || return 1
    if exe=$(readlink "/proc/$pid/exe" 2>/dev/null); then
        [ "${exe% (deleted)}" = "$program" ]
    else
        IFS= read -r -d '' argv0 <"/proc/$pid/cmdline" || return 1
        [ "$argv0" = "$program" ]
    fi 2>/dev/null
}

# Prints the pid of our running node; fails if there is none.
running() {
    local pid
    [ -r "$pid_file" ] && read -r pid <"$pid_file" && [[ $pid =~ ^[0-9]+$ ]] || return 1
    is_ours "$pid" || return 1
    echo "$pid"
}

# From here on data, listen and url are those of the running node $1, which may have been started with
# others than this call asks for.  Its command line says them, and cannot go stale as a file could.
look_at() {
    local words i asked
    mapfile -d '' -t words <"/proc/$1/cmdline" || return 0
    asked=$data,$listen listen=
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
        --data-dir) data=${words[i + 1]} ;;
        --listen) listen+=${listen:+,}${words[i + 1]} ;;
        esac
    done
    find_address
    if [ "$asked" != "$data,$listen" ] && [ -n "${QMN_DATA_DIR:-}${QMN_LISTEN:-}" ]; then
        echo "qmn: it was started with QMN_DATA_DIR=$data QMN_LISTEN=$listen; to change: make down up"
    fi
}

# Says who listens on the port, if anybody does.
port_holder() {
    local hex inode uid pid='' found
    hex=$(printf ':%04X' "$port")
    found=$(awk -v p="$hex" '$4 == "0A" && substr($2, length($2) - 4) == p { print $10, $8; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [ -n "$found" ] || return 1
    read -r inode uid <<<"$found"
    pid=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null | head -1 | cut -d/ -f3 || true)
    if [ -n "$pid" ]; then
        echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-200)"
    else
        echo "a process of user $(id -nu "$uid" 2>/dev/null || echo "$uid"), which only root may look at"
    fi
}

# GET $1 on the node; prints the status code.  Needs nothing but bash, since a fresh machine has no curl.
http_status() {
    local line plain=${host#[}
    exec 3<>"/dev/tcp/${plain%]}/$port" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$address" >&3
    IFS= read -r -t 2 line <&3 || line=
    exec 3>&- 3<&-
    cut -d' ' -f2 <<<"$line"
}

ready() { [ "$(http_status /readyz 2>/dev/null)" = 200 ]; }

start() {
    local pid item flags=() holder deadline
    if holder=$(port_holder); then
        fail "port $port is taken by $holder
     Stop that, or choose another address: QMN_LISTEN=127.0.0.1:$((port + 1)) make up"
    fi
    for item in ${listen//,/ }; do flags+=(--listen "$item"); done
    mkdir -p var
    : >"$log"
    # A session of its own: closing the terminal, or Ctrl-C in it, does not reach the node.
    setsid bash -c 'echo $$ >"$1"; shift; exec "$@"' start "$pid_file" \
        "$program" --data-dir "$data" "${flags[@]}" </dev/null >>"$log" 2>&1 &
    deadline=$((SECONDS + ready_seconds))
    sleep 0.1
    until pid=$(running) && ready; do
        if ! kill -0 $! 2>/dev/null && ! running >/dev/null; then
            explain "the node ended before it was ready"
        fi
        if [ $SECONDS -ge $deadline ]; then
            explain "the node is not ready after $ready_seconds s (GET $url/readyz: $(http_status /readyz 2>/dev/null || echo no answer))"
        fi
        sleep 0.1
    done
    echo "qmn: node started, process $pid"
}

explain() {
    echo "qmn: $1; the end of $log:" >&2
    tail -n 15 "$log" | sed 's/^/  /' >&2
    exit 1
}

# Under sudo the node belongs to nobody and its admin key to root, but the person at the terminal is
# going to use it: a copy for them, and what was made in their checkout is theirs again.
hand_over() {
    [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" -ne 0 ] || return 0
    if install -m 600 -o "$SUDO_UID" -g "$SUDO_GID" "$data/admin-key" var/admin-key; then
        key=var/admin-key
    fi
    chown -h "$SUDO_UID:$SUDO_GID" var "$log" "$pid_file"
    chown -hR "$SUDO_UID:$SUDO_GID" build
}

demo() { # [OPTION]
    QMN_URL=$url QMN_DATA_DIR=$data "$root/build/qmn" demo "$@"
}

up() {
    local pid key
    if pid=$(running); then
        echo "qmn: the node is running already, process $pid"
        look_at "$pid"
        ready || explain "it does not answer on $url"
        if readlink "/proc/$pid/exe" 2>/dev/null | grep -q deleted; then
            echo "qmn: it is an older build; to change: make down up"
        fi
    else
        start
        demo --once
    fi
    key=$data/admin-key
    hand_over
    echo
    echo "  node       $url"
    echo "  admin key  $key$([ -r "$key" ] || echo '   (not yours to read: sudo make up makes you a copy)')"
    echo "  log        make logs        stop  make down"
}

# Whose process $1 is.
owner_of() {
    local uid
    uid=$(awk '$1 == "Uid:" { print $2 }' "/proc/$1/status")
    echo "user $(id -nu "$uid" 2>/dev/null || echo "$uid")"
}

down() {
    local pid waited=0
    if ! pid=$(running); then
        echo "qmn: no node of this checkout is running"
        rm -f "$pid_file"
        return
    fi
    if ! kill -TERM "$pid" 2>/dev/null && is_ours "$pid"; then
        fail "process $pid runs as $(owner_of "$pid"), so you may not stop it; try: sudo make down"
    fi
    while is_ours "$pid" && [ $waited -lt $((stop_seconds * 10)) ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    if is_ours "$pid"; then
        kill -KILL "$pid"
        echo "qmn: process $pid did not stop within $stop_seconds s and was killed; nothing acknowledged is lost"
    else
        echo "qmn: node stopped"
    fi
    rm -f "$pid_file"
}

status() {
    local pid
    if pid=$(running); then
        look_at "$pid"
        echo "qmn: running, process $pid, $url, ready: $(ready && echo yes || echo no)"
    else
        echo "qmn: not running"
        return 1
    fi
}

case "${1:-}" in
up) up ;;
down) down ;;
status) status ;;
demo)
    pid=$(running) || fail "no node is running; start one with: make up"
    look_at "$pid"
    demo
    ;;
logs)
    [ -e "$log" ] || fail "there is no log yet; start a node with: make up"
    exec tail -n 100 -F "$log"
    ;;
*)
    sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
