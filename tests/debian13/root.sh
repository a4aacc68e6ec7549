#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A root of Debian 13 for what Debian 12 does not have, such as a Python whose interpreters have a
# GIL each. It is made by debootstrap and kept between runs.
#
# A root is whole or not there: it is made beside its place and renamed. What it was made of is
# written in it, so that another list of packages makes it anew. Who makes it has the lock alone,
# who runs in it shares the lock. What runs in it does so in namespaces of its own, with the root
# and the source read-only: when its first process ends, no process or mount is left.

# What brood needs to be built and to be tested, and no more: this is a minute for whoever has none.
suite=trixie
packages="meson ninja-build pkg-config gcc libc6-dev libevent-dev libjansson-dev libsystemd-dev
        libinih-dev libsqlite3-dev libncurses-dev libcmocka-dev python3-dev"
layout=1 # one more when a root that is there has to be made anew for another reason

usage() {
        cat >&2 <<'END'
root.sh check                          whether there can be a root here
root.sh make                           makes it if it is not there, and says of what it was made
root.sh run SECONDS BUILD COMMAND...   runs a command in it, for SECONDS at most; the source is
                                       /src there, read-only, and the directory BUILD is /build

Environment: BROOD_TEST_CACHE=DIR   where it is kept (/var/cache/brood-tests)
             BROOD_TEST_MIRROR=URL  from where the packages come (http://deb.debian.org/debian)
             TEST_ENV="NAME=VALUE..." run: more for the environment of the command
Exit status: 77 where there can be none.
END
        exit 2
}

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../dev.sh"
source=$(cd "$here/../.." && pwd)
cache=${BROOD_TEST_CACHE:-/var/cache/brood-tests}
mirror=${BROOD_TEST_MIRROR:-http://deb.debian.org/debian}
root=$cache/$suite
stamp=etc/brood-root
recipe="$suite, layout $layout: $(echo $packages)"

die() { echo "root.sh: $1" >&2; exit 1; }
cannot() { echo "$1" >&2; exit 77; }

# apart OPTION... COMMAND...: in namespaces that end with this script, whatever ends it.
apart() { setpriv --pdeathsig KILL unshare --fork --kill-child --pid --mount "$@"; }

check() {
        [ "$(id -u)" = 0 ] || cannot "a root of Debian 13 needs root"
        command -v debootstrap >/dev/null || cannot "a root of Debian 13 needs debootstrap"
        apart --net --ipc --uts true 2>/dev/null ||
                cannot "a root of Debian 13 needs the right to make namespaces"
}

# What is in it is run as root. (A symbolic link is one that others may write, says find.)
private_cache() {
        mkdir -p "$(dirname "$cache")"
        [ -d "$cache" ] || mkdir -m 700 "$cache" || [ -d "$cache" ] # somebody else was first
        [ -O "$cache" ] && [ -z "$(find "$cache" -maxdepth 0 -perm /022)" ] ||
                die "$cache has to be a directory of root's that nobody else may write"
}

whole() { [ "$(head -n 1 "$root/$stamp" 2>/dev/null)" = "$recipe" ]; }

# lock OPTION: shared (-s) or alone (-x).
lock() { flock "$1" -w 1800 9 || die "$cache/lock: not to be had within 30 minutes"; }

make_root() {
        echo "making $root" >&2
        rm -rf --one-file-system "$root.new"
        apart timeout -s KILL 1500 debootstrap --variant=minbase \
                --include="$(echo $packages | tr ' ' ,)" "$suite" "$root.new" "$mirror" \
                >"$cache/log" 2>&1 || {
                status=$?
                tail -n 20 "$cache/log" >&2
                tail -n 20 "$root.new/debootstrap/debootstrap.log" >&2 2>/dev/null || :
                ! grep -q "^E: \(Failed getting\|Couldn't download\)" "$cache/log" ||
                        die "$suite is not to be had from $mirror"
                die "debootstrap of $suite from $mirror: status $status; its log is $cache/log"
        }
        rm -rf "$root.new"/var/cache/apt/* "$root.new"/var/lib/apt/lists/*
        mkdir "$root.new/src" "$root.new/build"
        printf '%s\nmade %(%F %T)T, %s\n' "$recipe" -1 "$(cat /proc/sys/kernel/random/uuid)" \
                >"$root.new/$stamp"
        sync -f "$root.new/$stamp"
        rm -rf --one-file-system "$root"
        mv "$root.new" "$root"
}

# The root is there, and stays as long as descriptor 9 is open. Changing the lock is letting it go
# and taking it: another may have made the root meanwhile, and of another list.
have_root() {
        check
        private_cache
        exec 9>"$cache/lock"
        while lock -s && ! whole; do
                lock -x
                whole || make_root
        done
}

make() {
        have_root
        cat "$root/$stamp"
}

run() {
        [ $# -ge 3 ] || usage
        mkdir -p "$2"
        have_root
        apart --net --ipc --uts bash "$here/root.sh" inside "$@"
}

bind() {
        mount --bind "$1" "$2"
        [ "${3:-}" != ro ] || mount -o remount,bind,ro "$2"
}

# The first process of the namespaces; what it leaves behind ends with it.
inside() {
        seconds=$1 build=$2
        shift 2
        bind "$root" "$root" ro
        bind "$source" "$root/src" ro
        bind "$build" "$root/build"
        mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
        for at in tmp run var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$at"; done
        make_dev "$root"
        ip link set lo up
        timeout -s KILL "$seconds" env -i TERM=dumb LANG=C.UTF-8 HOME=/root CI="${CI:-}" \
                PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
                PYTHONDONTWRITEBYTECODE=1 BROOD_BUILD=/build ${TEST_ENV:-} \
                chroot "$root" "$@" </dev/null 9>&-
}

[ $# -ge 1 ] || usage
op=$1
shift
case $op in
check | make | run | inside) $op "$@" ;;
*) usage ;;
esac
