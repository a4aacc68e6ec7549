# SPDX-License-Identifier: MIT
#
# make_dev ROOT: a /dev for what runs in another root, with only what is harmless. Never the
# machine's own: /dev/log and /dev/initctl of what is within would be left there.
make_dev() {
        mount -t tmpfs -o mode=755 tmpfs "$1/dev"
        mkdir "$1"/dev/{pts,shm,mqueue}
        for node in null zero full random urandom tty; do cp -a "/dev/$node" "$1/dev/"; done
        ln -s pts/ptmx "$1/dev/ptmx"
        ln -s /proc/self/fd "$1/dev/fd"
        ln -s fd/0 "$1/dev/stdin"
        ln -s fd/1 "$1/dev/stdout"
        ln -s fd/2 "$1/dev/stderr"
        mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$1/dev/pts"
        mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
}
