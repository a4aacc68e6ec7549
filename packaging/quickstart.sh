#!/bin/sh
# SPDX-License-Identifier: MIT
#
#     sh packaging/quickstart.sh
#
# Shows brood at work, on a bare Debian 12: installs the packages that are missing (the one thing
# that needs root), builds into build-quickstart, and starts broodd in a temporary directory. It
# converts temperatures, then checksums and compresses real files while it kills the workers, and
# compares every result with what sha256sum and gzip say. It leaves nothing but build-quickstart.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
top=$(pwd)
build=$top/build-quickstart
files_wanted=1200

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

# --- what is needed, and the build ---

install_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: meson says what is missing
    missing=
    for package in gcc libc6-dev meson ninja-build pkg-config \
        libevent-dev libjansson-dev libsystemd-dev libinih-dev libsqlite3-dev libncurses-dev; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) in
        *' installed') ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "Installing packages (this needs root, nothing after it does):$missing"
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "not root, and no sudo: first run apt-get install --no-install-recommends$missing"
        root=sudo
    fi
    # shellcheck disable=SC2086 # a list of words
    if ! { $root apt-get -q update &&
        $root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends $missing; } \
        >"$t/apt.log" 2>&1; then
        cat "$t/apt.log" >&2
        die "apt-get failed"
    fi
}

build_brood() {
    say "Building into ${build#"$top"/} (release; nothing is installed)"
    if ! { { [ -e "$build/build.ninja" ] ||
        meson setup -Dbuildtype=release -Dtests=false "$build"; } &&
        ninja -C "$build"; } >"$t/build.log" 2>&1; then
        tail -n 40 "$t/build.log" >&2
        die "the build failed"
    fi
    broodd=$(built broodd)
    broodctl=$(built broodctl)
    forkserver=$(built brood-forkserver)
    "$broodd" --version
}

# The path of a program that was built.
built() {
    found=$(find "$build" -name "$1" -type f -perm -u+x | head -n 1)
    [ -n "$found" ] || die "the build has made no $1"
    printf '%s\n' "$found"
}

# --- the daemon ---

ctl() {
    "$broodctl" --socket="$t/brood.sock" "$@"
}

# Shows the command first. What follows "map HANDLER" is a file in the temporary directory.
show() {
    printf '+ broodctl %s\n' "$*"
    ctl "$@"
}

# The numbers of `key` in the objects of a reply that hold `text`; the objects hold no others.
numbers() { # key text
    tr '{' '\n' | sed -n "/$2/s/.*\"$1\": *\\([0-9]*\\).*/\\1/p"
}

start_daemon() {
    say "Starting broodd with two pools, celsius and exec, each of 2 workers and a warm spare"
    mkdir -p "$t/config/pools" "$t/state" "$t/run" "$t/gz"
    cat >"$t/config/pools/celsius.pool" <<EOF
[Pool]
Handlers=celsius
Module=celsius.so
MinWorkers=2
SpareWorkers=1
EOF
    cat >"$t/config/pools/exec.pool" <<EOF
[Pool]
Handlers=exec
Builtin=exec
MinWorkers=2
SpareWorkers=1
# We are going to kill workers: no job is to be blamed for it.
MaxAttempts=1000
PoisonDeaths=0
Backoff=10ms
BackoffMax=100ms
EOF
    launch
}

# Starts it, and waits until both pools have their workers.
launch() {
    BROOD_MODULE_PATH=$build/lib/modules BROOD_LIBEXEC=$(dirname "$forkserver") \
        "$broodd" --config="$t/config" --socket="$t/brood.sock" \
        --state-directory="$t/state" --runtime-directory="$t/run" >>"$t/log" 2>&1 &
    daemon=$!
    tries=0
    until [ "$(ctl status --json 2>/dev/null | numbers idle '"idle": *2[,}]' | wc -l)" = 2 ]; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 "$daemon" 2>/dev/null; then
            fail "broodd did not start"
        fi
        sleep 0.05
    done
    printf 'broodd is process %s\n' "$daemon"
}

# Ends with the daemon's last words.
fail() {
    printf -- '--- the last lines of the log of broodd:\n' >&2
    tail -n 20 "$t/log" >&2
    die "$*"
}

# "pid start-time" of every process, or of all below one.
processes() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) /\1 /' |
        awk '$2 != "Z" { print $1, $21, $3 }'
}

descendants() {
    processes | awk -v top="$1" '
        { born[$1] = $2; parent[$1] = $3 }
        END {
            for (p in parent) {
                for (q = p; q != top && q in parent; q = parent[q]) {}
                if (q == top && p != top)
                    print p, born[p]
            }
        }'
}

# Waits until the process is over; fails after 10 seconds.
await_end() { # pid
    tries=0
    while processes | grep -q "^$1 "; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || return 1
        sleep 0.05
    done
}

stop_daemon() {
    say "Stopping broodd with SIGTERM"
    descendants "$daemon" >"$t/family"
    [ -s "$t/family" ] || fail "found no process of the daemon"
    kill -TERM "$daemon"
    await_end "$daemon" || fail "broodd does not end"
    status=0
    wait "$daemon" || status=$?
    pid=$daemon
    daemon=
    [ $status = 0 ] || fail "broodd ended with status $status"
    tries=0
    while processes | cut -d ' ' -f 1,2 | grep -Fxq -f "$t/family"; do
        tries=$((tries + 1))
        [ $tries -le 20 ] || fail "processes of the daemon are left"
        sleep 0.05
    done
    printf 'broodd (pid %s) ended with status 0, and none of the %s processes below it is left\n' \
        "$pid" "$(wc -l <"$t/family")"
}

# --- what it shows ---

celsius() {
    say "Four conversions, each a job for a worker that was forked before the job existed"
    for f in 110 120 130 140; do
        printf '{"fahrenheit": %s}\n' $f
    done | tee "$t/fahrenheit"
    printf '+ broodctl map celsius\n'
    ctl map celsius "$t/fahrenheit" >"$t/celsius" || fail "map celsius failed"
    sed -n 's/.*"text": *"\([^"]*\)".*/\1/p' "$t/celsius" >"$t/lines"
    cat "$t/lines"
    sed 's/ (pid [0-9]*)$//' "$t/lines" >"$t/got"
    cat >"$t/want" <<EOF
110.000000 F is 43.333333 C
120.000000 F is 48.888889 C
130.000000 F is 54.444444 C
140.000000 F is 60.000000 C
EOF
    cmp -s "$t/got" "$t/want" || fail "these are not the right temperatures"
    printf 'Ran 4 jobs in %s processes from %s\n' \
        "$(sed 's/.*(pid/(pid/' "$t/lines" | sort -u | wc -l)" "$daemon"
}

# Files whose names need no quoting in JSON, evenly from all that there are. None is so large that
# its job would take longer than its worker is let live.
choose_files() {
    find /usr/share/doc /usr/include /usr/share -type f -readable -size +0 -size -257k \
        2>/dev/null | grep -E '^[A-Za-z0-9/._+,:@=~-]+$' | awk '!seen[$0]++' >"$t/all"
    awk -v all="$(wc -l <"$t/all")" -v wanted=$files_wanted \
        'int(NR * wanted / all) > int((NR - 1) * wanted / all) || all < wanted' "$t/all" >"$t/files"
    jobs=$(wc -l <"$t/files")
    [ "$jobs" -ge 1000 ] || die "found only $jobs files in /usr/share and /usr/include"
    xargs -d '\n' cat <"$t/files" >"$t/cat"
    bytes=$(wc -c <"$t/cat")
    rm "$t/cat"
}

# Kills a busy worker of our daemon about every 50 ms as long as the file `kill` is there.
kill_workers() {
    while [ -e "$t/kill" ]; do
        victim=$(ctl workers exec --json 2>/dev/null | numbers pid '"state": *"busy"' | shuf -n 1)
        if [ -n "$victim" ] && kill -KILL "$victim" 2>/dev/null; then
            echo "$victim" >>"$t/killed"
        fi
        sleep 0.05
    done
}

start_killing() {
    : >"$t/killed"
    : >"$t/kill"
    kill_workers &
    killer=$!
}

stop_killing() {
    rm -f "$t/kill"
    wait "$killer" || true
    killer=
}

# Sends the jobs in the file `name`.jobs; leaves the first word that each printed in `name`.got.
map_exec() { # name
    printf '+ broodctl map exec  (%s lines like %s)\n' "$jobs" "$(head -n 1 "$t/$1.jobs")"
    ctl map exec "$t/$1.jobs" >"$t/$1.results" || fail "map exec failed"
    sed 's/.*"stdout": *"\([0-9a-f]\{64\}\).*/\1/' "$t/$1.results" >"$t/$1.got"
    results=$((results + $(grep -Ecx '[0-9a-f]{64}' "$t/$1.got" || true)))
}

compare() { # name command
    if ! cmp -s "$t/$1.got" "$t/$1.want"; then
        diff "$t/$1.got" "$t/$1.want" | head -n 10 >&2
        fail "results differ from those of $2"
    fi
    printf 'all %s results are those of %s\n' "$(wc -l <"$t/$1.got")" "$2"
}

checksums() {
    say "Checksums of the $jobs files, while a worker is killed about every 50 ms"
    awk '{ printf "{\"argv\": [\"sha256sum\", \"%s\"]}\n", $0 }' "$t/files" >"$t/sums.jobs"
    map_exec sums
    xargs -d '\n' sha256sum <"$t/files" | cut -c 1-64 >"$t/sums.want"
    compare sums "sha256sum, run without brood"
}

# An attempt that is cut off leaves a file of its own; only a whole one gets the right name.
compressions() {
    say "Compressing them into a directory, while a worker is killed about every 50 ms"
    # shellcheck disable=SC2016 # for the sh of the job
    awk -v dir="$t/gz" -v script='gzip -9nc $1 >$2.$$ && mv $2.$$ $2 && sha256sum <$2' '{
        printf "{\"argv\": [\"sh\", \"-c\", \"%s\", \"sh\", \"%s\", \"%s/%d.gz\"]}\n",
            script, $0, dir, NR
    }' "$t/files" >"$t/gzips.jobs"
    map_exec gzips
    n=0
    while read -r file; do
        n=$((n + 1))
        gzip -9nc "$file" >"$t/want.gz"
        cmp -s "$t/want.gz" "$t/gz/$n.gz" || fail "$t/gz/$n.gz is not what gzip makes of $file"
        sha256sum <"$t/want.gz" | cut -c 1-64
    done <"$t/files" >"$t/gzips.want"
    compare gzips "gzip -9n, run without brood"
}

summary() {
    say "What the daemon counted"
    show status
    deaths=$(ctl status --json | numbers deaths '"name": *"exec"')
    killed=$(wc -l <"$t/killed")
    again=$(ctl list --pool=exec --json --limit=100000 | grep -o '"number": *2[,}]' | wc -l)
    total=$((jobs * 2))
    printf '\n%s jobs, %s results, %s lost, %s workers killed, %s jobs run again\n' \
        $total $results $((total - results)) "$killed" "$again"
    [ $results = $total ] || fail "jobs were lost"
    [ "$killed" -gt 0 ] || fail "no worker could be killed"
    [ "$deaths" = "$killed" ] || fail "the daemon counted $deaths deaths"
}

# The daemon itself is killed with jobs queued and one running.
kill_daemon() {
    say "Killing broodd itself with SIGKILL, while a job runs and 50 wait"
    : >"$t/fifty.ids"
    running=$(ctl submit exec '{"argv": ["sh", "-c", "sleep 1; echo done"]}' --tag=survivor)
    other=$(ctl submit exec '{"argv": ["sleep", "1"]}')
    for i in $(seq 50); do
        ctl submit exec "{\"argv\": [\"echo\", \"$i\"]}" >>"$t/fifty.ids"
    done
    tries=0
    until ctl get "$running" --json | grep -q '"state": *"running"'; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || fail "the job does not begin"
        sleep 0.05
    done
    printf '+ kill -9 %s\n' "$daemon"
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    daemon=
    launch
    ctl wait "$running" "$other" >/dev/null || fail "the job that ran is lost"
    n=0
    while read -r id; do
        n=$((n + 1))
        ctl wait "$id" --json | grep -q "\"stdout\": *\"$n\\\\n\"" || fail "job $id is lost"
    done <"$t/fifty.ids"
    printf 'all %s that waited have run; the one that ran has two attempts:\n' $n
    show get "$running"
    ctl get "$running" --json | grep -q supervisor_died || fail "nobody says that the daemon died"
    show check-store "$t/state"
}

# --- from the beginning to the end, which cleans up whatever it is ---

clean_up() {
    status=$?
    trap - EXIT INT TERM HUP
    rm -f "$t/kill"
    [ -z "$killer" ] || wait "$killer" || true
    if [ -n "$daemon" ]; then
        kill -TERM "$daemon" 2>/dev/null || true
        await_end "$daemon" || kill -KILL "$daemon"
        wait "$daemon" || true
    fi
    rm -rf "$t"
    exit $status
}

daemon=
killer=
results=0
t=$(mktemp -d "${TMPDIR:-/tmp}/brood-quickstart.XXXXXX")
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

install_packages
build_brood
start_daemon
celsius
choose_files
say "Real work: $jobs files of /usr/share and /usr/include, $bytes bytes"
start_killing
checksums
compressions
stop_killing
summary
kill_daemon
stop_daemon
say "Done: nothing was installed, nothing is running; what was built is in ${build#"$top"/}"
