#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A box: systemd as PID 1 of its own pid, mount, net, ipc, uts and cgroup namespaces, on a
# throw-away overlay of this machine's root. Nothing that happens in it is seen outside, and after
# `stop` no process, mount or cgroup of it is left. The machine itself need not run systemd.
#
# What is not private are the kernel's own settings and the clock (root inside is root outside):
# therefore /proc/sys and /sys are read-only, and /dev has only what is harmless.

usage() {
        cat >&2 <<'END'
box.sh check NAME              whether a box can be run here
box.sh start NAME [SECONDS]    boots a box, which is killed after SECONDS (600) at the latest
box.sh run NAME COMMAND...     runs a command beside its PID 1
box.sh pid NAME                the pid of its PID 1 outside: /proc/PID/root are its files
box.sh save NAME FILE          keeps what has changed on its root file system as a tar file
box.sh stop NAME [now]         powers it off; with "now" by SIGKILL

Environment: BOX_FILES=FILE     start: begins with what was saved
             BOX_V1=1           start: limits work through the v1 controllers, if there are any
             BOX_DIR=DIR        where the boxes are kept (/tmp/brood-boxes)
Exit status: 77 where no box can be run.
END
        exit 2
}

set -eu
. "$(dirname "$0")/../dev.sh"
[ $# -ge 2 ] || usage
op=$1 name=$2
shift 2
cannot() { echo "$1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || cannot "a box needs root"
unified=$(findmnt -nrt cgroup2 -o TARGET | head -n 1)
[ -n "$unified" ] || cannot "a box needs a cgroup2 file system"
[ -x /lib/systemd/systemd ] || cannot "a box needs the package systemd"
controllers=$(findmnt -nrt cgroup -o TARGET | grep -v /cpuset) || controllers=
dir=${BOX_DIR:-/tmp/brood-boxes}/$name
group=$unified/box-$name

# v1_group MOUNT: this box's directory in a v1 hierarchy, below this process's own.
v1_group() {
        echo "$1$(sed -n "s/^[0-9]*:\(name=\)\?${1##*/}:\(.*\)/\2/p" /proc/self/cgroup)/box-$name"
}

# The zombie that nobody reaps keeps its /proc/PID: only the cgroup tells the truth.
alive() { grep -qs 'populated 1' "$group/cgroup.events"; }

inside() {
        nsenter -t "$(cat "$dir/pid")" -a -r -w -- env -i TERM=dumb LANG=C.UTF-8 \
                PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

remove_groups() {
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +
        [ -z "$controllers" ] || find $controllers -depth -type d \
                \( -path "*/box-$name" -o -path "*/box-$name/*" \) -exec rmdir {} +
        rm -rf --one-file-system "$dir"
}

check() {
        unshare --fork --pid --mount --uts --ipc --net --cgroup true 2>/dev/null ||
                cannot "a box needs the right to make namespaces"
        { mkdir "$group" && rmdir "$group"; } 2>/dev/null ||
                cannot "a box needs the right to make control groups in $unified"
}

start() {
        ! alive || { echo "box $name is up" >&2; exit 1; }
        remove_groups
        mkdir -p "$dir/m" "$group"
        setsid timeout -s KILL "${1:-600}" \
                unshare --fork --kill-child --pid --mount --uts --ipc --net \
                bash "$0" enter_groups "$name" </dev/null >"$dir/log" 2>&1 3>&- &
        for _ in {1..600}; do
                state=$(inside systemctl is-system-running --wait 2>/dev/null) || :
                case $state in running | degraded) echo "$state"; exit 0 ;; esac
                kill -0 $! 2>/dev/null || break
                sleep .1
        done
        cat "$dir/log" >&2
        bash "$0" stop "$name" now
        exit 1
}

# First into the groups, then they become the root of a namespace: otherwise every box would
# share, and leave behind, /system.slice and /init.scope.
enter_groups() {
        echo 0 >"$group/cgroup.procs"
        if [ -n "${BOX_V1:-}" ]; then
                for mount in $controllers; do
                        v1=$(v1_group "$mount")
                        mkdir -p "$v1"
                        echo 0 >"$v1/cgroup.procs"
                done
        fi
        exec unshare --cgroup bash "$0" boot "$name"
}

mount_groups() {
        at=$root/sys/fs/cgroup
        if [ -n "${BOX_V1:-}" ]; then
                mount -t tmpfs -o mode=755 tmpfs "$at"
                for mount in $controllers; do
                        kind=${mount##*/}
                        mkdir "$at/$kind"
                        [ "$kind" != systemd ] || kind=none,name=systemd
                        mount -t cgroup -o "$kind" cgroup "$at/${mount##*/}"
                done
                at=$at/unified
                mkdir "$at"
        fi
        mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$at"
}

# A machine of its own: none of the services that this one has enabled, and no policy-rc.d, which
# would have packages install their units without starting them.
make_etc() {
        rm -rf "$root/usr/sbin/policy-rc.d" "$root"/etc/systemd/system/*.wants
        rm -f "$root/var/lib/man-db/auto-update" # seconds for each package
        : >"$root/etc/fstab"
        echo "127.0.1.1 $name" >>"$root/etc/hosts"
}

boot() {
        root=$dir/m/root
        mount -t tmpfs -o mode=755 box "$dir/m"
        mkdir "$dir"/m/{up,work,root}
        [ -z "${BOX_FILES:-}" ] ||
                tar -C "$dir/m/up" --xattrs --xattrs-include='*' -xpf "$BOX_FILES"
        mount -t overlay box \
                -o "lowerdir=/,upperdir=$dir/m/up,workdir=$dir/m/work" "$root"
        mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
        mount --bind "$root/proc/sys" "$root/proc/sys"
        mount -o remount,bind,ro "$root/proc/sys"
        mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
        mount -o remount,bind,rw "$root/proc/sys/net"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount_groups
        mount -t tmpfs -o mode=755 tmpfs "$root/run"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        make_dev "$root"
        ip link set lo up
        echo "$name" >"$root/etc/hostname"
        [ -n "${BOX_FILES:-}" ] || make_etc
        tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id.new"
        mv "$root/etc/machine-id.new" "$root/etc/machine-id"
        mkdir -m 700 "$root/run/box-changes"
        mount --bind "$dir/m/up" "$root/run/box-changes"
        read -r pid _ </proc/self/stat # of the outer /proc
        echo "$pid" >"$dir/pid"
        cd "$root"
        pivot_root . mnt
        umount -l /mnt
        mount --make-rshared / # otherwise LoadCredential= finds nothing
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
                /lib/systemd/systemd --log-target=journal
}

save() {
        inside tar -C /run/box-changes --xattrs --xattrs-include='*' -cf - \
                --exclude=./var/log/journal --exclude=./var/lib/systemd/random-seed . >"$1"
}

stop() {
        if alive && [ "${1:-}" != now ]; then
                kill -RTMIN+4 "$(cat "$dir/pid")" # as `systemctl poweroff`
                for _ in {1..300}; do alive || break; sleep .1; done
        fi
        ! alive || echo 1 >"$group/cgroup.kill"
        while alive; do sleep .02; done
        remove_groups
}

case $op in
check | start | stop | save | enter_groups | boot) $op "$@" ;;
run) alive && inside "$@" ;;
pid) alive && cat "$dir/pid" ;;
*) usage ;;
esac
