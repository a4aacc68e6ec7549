/* SPDX-License-Identifier: MIT */
#pragma once

/* A cgroup of version 2, cgroups(7), as a directory that is held open.
 *
 * A group is named by a descriptor of its directory, so that whoever was given one needs no right
 * to the way there. Nothing here waits longer than the kernel takes. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CGROUP_PATH = 4096 };

/* The directory of the cgroup that a process is in, from the texts of its /proc/PID/cgroup and
 * /proc/PID/mountinfo (of a pure layout, or of a hybrid one). Returns 0, -ENOENT if it is in no
 * version 2 hierarchy or none is mounted where it can be seen, or -ENAMETOOLONG. */
int cgroup_find(const char *self, const char *mounts, char *to, size_t size);

/* Makes a group (or takes the one that is there) and opens it. Returns a descriptor or -errno. */
int cgroup_make(int parent, const char *name);
/* Opens one that is there; `name` may be a path. Returns a descriptor or -errno. */
int cgroup_open(int parent, const char *name);

/* Lets the members of a group of users make groups in it: its directory, and the files that the
 * kernel wants to go with it. It stays ours: we remove what they make. -1: our own group. Returns 0
 * or -errno.
 */
int cgroup_share(int group, gid_t gid);

/* Lets them move their processes into the group, or, where two groups are below it, from one to the
 * other; no more than that. Returns 0 or -errno. */
int cgroup_share_procs(int group, gid_t gid);

/* How to get into a group. */
typedef struct CgroupDoor {
        int group; /* its directory, for who may start processes there; -1: not known */
        int procs; /* its cgroup.procs, for everybody */
} CgroupDoor;

/* Its cgroup.procs, to enter it by. The kernel asks for the rights of whoever opened it, so it is
 * handed over to nobody who has fewer: he could move any process by it. Returns a descriptor or
 * -errno. */
int cgroup_open_procs(int group);
/* The calling process enters. Async-signal-safe. Returns 0 or -errno. */
int cgroup_enter(int procs);

/* Writes a file of the group, in one write. Returns 0 or -errno (-EACCES: there is none). */
int cgroup_write(int group, const char *file, const char *text);
/* The number in a file or, with a key, behind that key in one of its lines. Returns 0 or -errno
 * (-ENOENT: there is no such file; -ENODATA: no number). */
int cgroup_read(int group, const char *file, const char *key, uint64_t *ret);
/* Is a word in the file, which lists words (cgroup.controllers)? */
bool cgroup_lists(int group, const char *file, const char *word);

/* Does anything live in it or below it? Where that cannot be told: no. */
bool cgroup_populated(int group);
/* A process that is in the group itself, other than this one; 0: none; -errno. One of which this
 * namespace knows no number is told as -ESRCH. */
pid_t cgroup_other_process(int group);

/* SIGKILL for everything in it and below it, also what is just being forked. Returns 0 or -errno
 * (-EACCES: the kernel is older than 5.14 and cannot). */
int cgroup_kill(int group);

/* Removes the group and those below it. Returns 0 (also if it was not there) or -errno: -EBUSY if
 * something lives in it, or has only just died. */
int cgroup_remove(int parent, const char *name);

/* Kills and removes it and waits for that, up to `patience` milliseconds. Returns as
 * cgroup_remove(). */
int cgroup_end(int parent, const char *name, int patience);
