#!/bin/sh
# SPDX-License-Identifier: MIT
#
#     sh packaging/build-deb.sh [--version=VERSION] [OUTDIR]
#
# Makes the Debian packages broodd, broodd-python, libbrood0, libbrood-dev and python3-brood of this
# tree, as it is now, in OUTDIR (build-deb). Installs the packages that are missing, which is all
# that needs root; the build itself is done on a copy in a temporary directory, and without the
# network. --version= is for a package that is to be newer than another one of the same source.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
top=$(pwd)

say() {
    printf '== %s\n' "$*"
}

die() {
    printf 'build-deb: %s\n' "$*" >&2
    exit 1
}

version=
out=$top/build-deb
while [ $# -gt 0 ]; do
    case $1 in
    --version=*) version=${1#*=} ;;
    -*) die "unknown option $1: expected [--version=VERSION] [OUTDIR]" ;;
    /*) out=$1 ;;
    *) out=$top/$1 ;;
    esac
    shift
done

# What Build-Depends: asks for, and what dpkg takes for granted.
needed() {
    sed -n '/^Build-Depends:/,/^[^ B]/{s/^Build-Depends://;s/([^)]*)//;s/,//;s/:any//;p;}' \
        packaging/debian/control | sed '/:/d;s/ *$//;s/^ *//' |
        sed 's/^debhelper-compat/debhelper/;/^dh-sequence-/d'
    echo build-essential
}

install_packages() {
    command -v dpkg-query >/dev/null || die "no dpkg here: this makes Debian packages"
    missing=
    for package in $(needed); do
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

# The tree without what was built in it, with debian/ where dpkg wants it.
copy_tree() {
    mkdir "$t/brood"
    tar -c --exclude=./.git --exclude='./build*' --exclude=__pycache__ --exclude='./core.*' . |
        tar -x -C "$t/brood"
    mv "$t/brood/packaging/debian" "$t/brood/debian"
    [ -z "$version" ] || {
        printf 'brood (%s) unstable; urgency=medium\n\n  * Built of the same source.\n\n' "$version"
        printf ' -- The brood authors <brood@example.org>  Sun, 01 Nov 2026 12:00:00 +0000\n\n'
        cat packaging/debian/changelog
    } >"$t/brood/debian/changelog"
}

build() {
    say "Building the packages"
    if ! (cd "$t/brood" &&
        DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=2 noautodbgsym}" \
            dpkg-buildpackage -us -uc -b) >"$t/build.log" 2>&1; then
        grep -v '^\[[0-9]*/[0-9]*\] ' "$t/build.log" | tail -n 40 >&2
        die "the build failed"
    fi
    mkdir -p "$out"
    cp "$t/build.log" "$out/build.log"
    cp "$t"/*.deb "$t"/*.changes "$t"/*.buildinfo "$out"
    (cd "$t" && ls ./*.deb) | sed "s|^\\.|$out|"
}

t=$(mktemp -d "${TMPDIR:-/tmp}/brood-deb.XXXXXX")
trap 'rm -rf "$t"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

install_packages
copy_tree
build
