#!/bin/sh
# SPDX-License-Identifier: MIT
#
# On a bare Debian 12: installs what is missing, builds with gcc, clang and the sanitizers, and
# runs every test. The last line is "N passed, N failed[, N skipped]"; the exit status is 0 if none
# failed.

usage() {
        cat <<'EOF'
sh tests/run.sh [OPTION...] [PATTERN]

  --quick     only the gcc build and its tests
  --asan      only the build with ASan and UBSan and its tests
  --fuzz      runs each fuzzer for 10 minutes instead of 10 seconds
  --torture   runs the tests of deaths 20 times more, and the torture for 3 minutes
              and 20,000 deaths within lib/ipc
  --soak      runs the integration tests 10 times
  PATTERN     only integration tests, those whose file.function contains it
EOF
}

set -u
cd "$(dirname "$0")/.." || exit 1
top=$(pwd)
work=$top/build-test
logs=$work/logs

quick= asan= pattern= fuzz_seconds=10 torture= repeat=1
for arg; do
        case $arg in
        --quick) quick=1 ;;
        --asan) asan=1 ;;
        --fuzz) fuzz_seconds=600 ;;
        --torture) torture=1 ;;
        --soak) repeat=10 ;;
        --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) pattern=$arg ;;
        esac
done

passed=0 failed=0 skipped=0 summary=

# say WORDS: a heading with the time that has passed.
began=$(date +%s)
say() {
        echo
        echo "=== $* ($(($(date +%s) - began)) s)"
}

# count NAME PASSED FAILED SKIPPED
count() {
        passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
        summary="$summary$(printf '%-28s %5d passed %5d failed %5d skipped' "$@")
"
}

# made NAME COMMAND...: runs a command; its output is shown, and a failure counted, when it fails.
made() {
        name=$1
        shift
        "$@" >"$logs/$name.log" 2>&1 && return 0
        echo "FAIL $name"
        tail -n 60 "$logs/$name.log" | sed 's/^/     | /'
        count "$name" 0 1 0
        return 1
}

# step NAME COMMAND...: the same as a test of its own.
step() {
        made "$@" || return 1
        echo "ok   $1"
        count "$1" 1 0 0
}

finish() {
        say "summary"
        printf '%s' "$summary"
        tail="$passed passed, $failed failed"
        [ $skipped = 0 ] || tail="$tail, $skipped skipped"
        echo
        echo "$tail"
        [ $failed = 0 ] && exit 0
        exit 1
}

# --- what it needs ---

packages="meson ninja-build pkg-config gcc clang libc6-dev libevent-dev libjansson-dev
        libsystemd-dev libinih-dev libsqlite3-dev libcmocka-dev varlink-go python3
        libclang-rt-14-dev sqlite3 strace systemd build-essential debhelper
        lintian scdoc man-db socat zsh dbus libpam-systemd util-linux iproute2 procps
        elfutils libncurses-dev tmux golang-go golang-github-varlink-go-dev nodejs mypy
        dh-python prometheus python3-prometheus-client debootstrap python3-dev"

install_packages() {
        command -v dpkg-query >/dev/null || return 0
        missing=
        for p in $packages; do
                dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' ||
                        missing="$missing $p"
        done
        [ -n "$missing" ] || return 0
        if [ "$(id -u)" != 0 ]; then
                echo "run.sh: as root, first:  apt-get install$missing" >&2
                return 1
        fi
        say "installing$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update &&
                apt-get -qq install --no-install-recommends -y $missing >"$logs/apt.log" 2>&1 &&
                return 0
        tail -n 20 "$logs/apt.log" >&2
        return 1
}

# --- the parts ---

# options_of NAME: the compiler and the options of a build tree.
options_of() {
        case $1 in
        gcc) echo gcc -Dwerror=true ;;
        clang) echo clang -Dwerror=true -Dfuzz=true -Db_lundef=false -Doptimization=1 ;;
        # no -Werror: with the sanitizers gcc warns of what cannot be
        asan) echo gcc -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 ;;
        tsan) echo gcc -Db_sanitize=thread -Db_lundef=false -Doptimization=1 ;;
        esac
}

# What has threads, under TSan. That sees the threads of each process, and not what processes do to
# each other's memory: killing them is what tests/torture does about that. A child may be forked
# amid threads here (die_after_fork), and does not join those of its parent (report_thread_leaks).
threaded="client ipc_connection ipc_heap ipc_members ipc_queue ipc_semaphore ipc_shared mp_pool
        mp_process slot_page store store_found worker_job"

# targets_of NAME: what is built of it; nothing: all.
targets_of() {
        [ "$1" != tsan ] || for t in $threaded; do echo "tests/unit/test-$t"; done
}

# build NAME
build() {
        tree=$1
        set -- $(options_of "$tree")
        compiler=$1
        shift
        if [ ! -e "$work/$tree/build.ninja" ]; then
                rm -rf "${work:?}/$tree"
                made "setup-$tree" env CC="$compiler" \
                        meson setup "$work/$tree" "$@" || return 1
        fi
        made "build-$tree" ninja --quiet -C "$work/$tree" $(targets_of "$tree")
}

# The trees of the later parts are built with what time the tests of the first leave. What goes
# wrong is seen when it is their turn.
ahead=
build_ahead() {
        (
                renice -n 19 -p "$(exec sh -c 'echo $PPID')" >/dev/null
                for tree in clang tsan asan; do
                        build $tree >/dev/null
                done
                PYTHONDONTWRITEBYTECODE=1 python3 tests/debian13/run.py --ahead \
                        >"$logs/debian13-ahead.log" 2>&1
        ) &
        ahead=$!
}

built_ahead() {
        [ -z "$ahead" ] || wait "$ahead"
        ahead=
}

# tally NAME COMMAND...: runs tests. All that they say but what went well is shown; their last line
# is counted.
tally() {
        name=$1
        shift
        PYTHONDONTWRITEBYTECODE=1 "$@" >"$logs/$name.log" 2>&1
        grep -v '^ok ' "$logs/$name.log"
        set -- "$name" $(tail -n 1 "$logs/$name.log" | grep '^[0-9]* passed, [0-9]* failed' |
                tr -cd '0-9 \n')
        count "$name" "${2:-0}" "${3:-1}" "${4:-0}"
}

# meson_tests TREE ARG...
meson_tests() {
        tree=$1
        shift
        tally "meson-$tree" python3 tests/meson_tests.py "$work/$tree" "$@"
}

# integration TREE ARG...
integration() {
        tree=$1
        shift
        tally "integration-$tree" env BROOD_BUILD="$work/$tree" \
                python3 tests/integration/run.py -j4 "$@"
}

checks() {
        step check-includes python3 tests/checks/includes.py
        step check-style python3 tests/checks/style.py
        step check-installed python3 tests/checks/installed.py "$work/gcc"
        step check-units python3 tests/checks/units.py "$work/gcc"
        step mutants tests/mutants/run --smoke
        step bench-smoke python3 tests/bench/run --smoke --no-build --build="$work/gcc"
}

# A walk of every fuzzer, from its corpus. (A short, fixed one is a test of each build.)
fuzz() {
        found=
        for program in "$work"/clang/tests/fuzz/libfuzzer-*; do
                [ -f "$program" ] && [ -x "$program" ] || continue
                found=1
                name=$(basename "$program")
                mkdir -p "$work/corpus/$name"
                step "$name" "$program" -max_total_time=$fuzz_seconds -timeout=10 \
                        -rss_limit_mb=2048 -artifact_prefix="$work/" "$work/corpus/$name" \
                        "tests/fuzz/corpus/${name#libfuzzer-}"
        done
        [ -n "$found" ] || step libfuzzer false
}

# Tests that mostly wait for time to pass, are of words, or of workers in which no C is ours: with
# the sanitizers they run by --asan.
patient=service.,status.,thumbnails.,alerts.,manual.,library_manual.,completion.,how_it_works.
patient=$patient,operations.,python_doc.,languages.,bench.,python.
patient=$patient,models.python_command_,models.node_,models.go_

sanitized() {
        export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1
        export LSAN_OPTIONS=suppressions=$top/tests/lsan.supp:print_suppressions=0
        export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:abort_on_error=1
        say "ASan and UBSan"
        build asan || return
        [ -n "$pattern" ] || meson_tests asan
        [ -n "$asan$pattern" ] && patient=
        integration asan --repeat=$repeat --but="$patient" $pattern
}

threads() {
        export TSAN_OPTIONS=die_after_fork=0:report_thread_leaks=0:log_path=$logs/race
        say "TSan"
        rm -f "$logs"/race.*
        build tsan || return
        set --
        for t in $threaded; do
                set -- "$@" "unit $t"
        done
        meson_tests tsan "$@"
        grep -h '^not under TSan' "$work/tsan/meson-logs/testlog.txt"
        step races sh -c "! cat '$logs'/race.* 2>/dev/null"
}

plain() {
        say "gcc"
        build gcc || return
        [ -n "$quick$pattern" ] || build_ahead
        if [ -z "$pattern" ]; then
                meson_tests gcc
                say "checks"
                checks
                say "packaging"
                tally packaging python3 tests/packaging/run.py
                say "systemd"
                tally systemd python3 tests/systemd/run.py -j3
        fi
        say "integration"
        integration gcc --repeat=$repeat $pattern
        [ -z "$torture" ] || integration gcc --repeat=20 death.
        [ -z "$torture" ] || step torture tests/torture/torture --bin="$work/gcc" --seconds=180
        ipc=$work/gcc/tests/torture/ipc
        [ -z "$torture" ] || step ipc-torture "$ipc/ipc-torture" --kills=20000
        [ -z "$torture" ] || step ipc-steps "$ipc/ipc-steps" --sample=200
}

mkdir -p "$logs"
install_packages || { count packages 0 1 0; finish; }
[ -n "$asan" ] || plain
built_ahead
if [ -z "$asan$quick$pattern" ]; then
        say "clang"
        build clang && {
                meson_tests clang --suite unit
                say "fuzz"
                fuzz
        }
        threads
        say "Debian 13"
        tally debian13 python3 tests/debian13/run.py -j3
fi
[ -n "$quick" ] || sanitized
finish
