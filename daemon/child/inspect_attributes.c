/* SPDX-License-Identifier: MIT */

/* What a process is: the attributes of POSIX, its state, and what it may use. */

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "child/inspect.h"

#define DIRECTORIES "the program, the working directory and the root directory"

/* --- users and groups --- */

static json_t *named(unsigned id, const char *name)
{
        json_t *o = json_pack("{s:I}", "id", (json_int_t)id);

        json_put(o, "name", name ? json_of_text(name) : NULL);
        return o;
}

static json_t *user(unsigned uid)
{
        const struct passwd *entry = getpwuid(uid);

        return named(uid, entry ? entry->pw_name : NULL);
}

static json_t *group(unsigned gid)
{
        const struct group *entry = getgrgid(gid);

        return named(gid, entry ? entry->gr_name : NULL);
}

static json_t *three(const char *ids, json_t *(*describe)(unsigned id))
{
        unsigned real, effective, saved;

        if (!ids || sscanf(ids, "%u %u %u", &real, &effective, &saved) != 3)
                return NULL;
        return json_pack("{s:o,s:o,s:o}", "real", describe(real), "effective", describe(effective),
                         "saved", describe(saved));
}

static json_t *groups(const char *ids)
{
        json_t *list = json_array();
        size_t left = ids ? line_length(ids) : 0;

        while (left) {
                char *end;
                unsigned long gid = strtoul(ids, &end, 10);

                if (end == ids || (size_t)(end - ids) > left)
                        break;
                (void)json_array_append_new(list, group((unsigned)gid));
                left -= (size_t)(end - ids);
                ids = end;
                while (left && isblank((unsigned char)*ids)) {
                        ids++;
                        left--;
                }
        }
        return list;
}

/* --- from status --- */

static const struct {
        char letter;
        const char *words;
} states[] = {
        { 'R', "running" }, { 'S', "sleeping" }, { 'D', "disk sleep" }, { 'T', "stopped" },
        { 't', "traced" },  { 'Z', "dead" },     { 'X', "dead" },       { 'I', "idle" },
};

static json_t *state(const char *text)
{
        for (size_t i = 0; text && i < ELEMENTS(states); i++)
                if (states[i].letter == *text)
                        return json_string(states[i].words);
        return NULL;
}

static json_t *number(const char *text)
{
        return text ? json_integer(strtoll(text, NULL, 10)) : NULL;
}

static json_t *flag(const char *text)
{
        return text ? json_boolean(*text == '1') : NULL;
}

static json_t *rest_of_line(const char *text)
{
        return text ? json_of_bytes(text, line_length(text)) : NULL;
}

static void put_status(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        const char *text;

        if (target_read(t, "status", NULL, &b) < 0)
                return;
        text = buffer_bytes(&b);
        json_put(o, "parent", number(line_after(text, "PPid")));
        json_put(o, "name", rest_of_line(line_after(text, "Name")));
        json_put(o, "state", state(line_after(text, "State")));
        json_put(o, "umask", rest_of_line(line_after(text, "Umask")));
        json_put(o, "user", three(line_after(text, "Uid"), user));
        json_put(o, "group", three(line_after(text, "Gid"), group));
        json_put(o, "groups", groups(line_after(text, "Groups")));
        json_put(o, "threads", number(line_after(text, "Threads")));
        json_put(o, "no_new_privileges", flag(line_after(text, "NoNewPrivs")));
        json_put(o, "voluntary_switches", number(line_after(text, "voluntary_ctxt_switches")));
        json_put(o, "involuntary_switches", number(line_after(text, "nonvoluntary_ctxt_switches")));
}

/* --- from stat --- */

/* The name of a device as sysfs has it; NULL: not known. */
static json_t *device_name(unsigned device)
{
        char path[64], line[128];
        json_t *name = NULL;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/uevent", major(device),
                       minor(device));
        f = fopen(path, "re");
        while (f && !name && fgets(line, sizeof(line), f))
                if (strncmp(line, "DEVNAME=", 8) == 0)
                        name = json_sprintf("/dev/%.*s", (int)line_length(line + 8), line + 8);
        if (f)
                (void)fclose(f);
        return name;
}

static json_t *terminal(int number)
{
        unsigned device = (unsigned)number;
        json_t *name;

        if (!device)
                return json_null();
        if (major(device) >= 136 && major(device) <= 143) /* devices.txt of the kernel */
                return json_sprintf("/dev/pts/%u", (major(device) - 136) * 256 + minor(device));
        name = device_name(device);
        return name ? name : json_sprintf("%u:%u", major(device), minor(device));
}

/* Ticks since the boot, as a time of day. */
static json_t *time_of(unsigned long long ticks)
{
        usec_t per_tick = USEC_PER_SEC / (usec_t)sysconf(_SC_CLK_TCK);
        usec_t booted = clock_read(CLOCK_REALTIME) - clock_read(CLOCK_BOOTTIME);

        return json_integer((json_int_t)(booted + ticks * per_tick));
}

/* Fields as proc(5) counts them; the name, in parentheses, may hold anything. */
static void put_stat(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        usec_t per_tick = USEC_PER_SEC / (usec_t)sysconf(_SC_CLK_TCK);
        int process_group, session, tty;
        unsigned long user_ticks, system_ticks;
        unsigned long long start;
        long nice;
        const char *rest;

        if (target_read(t, "stat", NULL, &b) < 0)
                return;
        rest = strrchr(buffer_bytes(&b), ')');
        if (!rest ||
            sscanf(rest + 2,
                   "%*c %*d %d %d %d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %ld %*d "
                   "%*d %llu",
                   &process_group, &session, &tty, &user_ticks, &system_ticks, &nice, &start) != 7)
                return;
        json_put(o, "process_group", json_integer(process_group));
        json_put(o, "session", json_integer(session));
        json_put(o, "controlling_terminal", terminal(tty));
        json_put(o, "nice", json_integer(nice));
        json_put(o, "cpu_usec", json_integer((json_int_t)((user_ticks + system_ticks) * per_tick)));
        json_put(o, "started_usec", time_of(start));
}

/* --- from files of their own --- */

static void put_link(json_t *o, const char *key, Target *t, const char *link)
{
        AUTO(free) char *text = target_link(t, link, DIRECTORIES);

        json_put(o, key, text ? json_of_text(text) : NULL);
}

/* Words between NULs. */
static void put_command(json_t *o, Target *t)
{
        enum { MOST = 4096 };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        json_t *words = json_array();
        const char *at, *end;

        if (target_read(t, "cmdline", NULL, &b) == 0) {
                at = buffer_bytes(&b);
                end = at + MIN(buffer_len(&b) - 1, (size_t)MOST);
                while (at < end) {
                        size_t n = strnlen(at, (size_t)(end - at));

                        (void)json_array_append_new(words, json_of_bytes(at, n));
                        at += n + 1;
                }
        }
        json_put(o, "command", words);
}

/* Where in the kernel it sleeps; without the right to know, and where it does not, the kernel says
 * 0. */
static void put_wchan(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        if (target_read(t, "wchan", NULL, &b) == 0 && strcmp(buffer_bytes(&b), "0") != 0 &&
            *buffer_bytes(&b))
                json_put(o, "wchan", json_of_text(buffer_bytes(&b)));
}

/* Where its registers point, while it waits in a system call. */
static void put_registers(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        char stack[32], counter[32];

        if (target_read(t, "syscall", NULL, &b) < 0)
                return;
        if (sscanf(buffer_bytes(&b), "-1 %31s %31s", stack, counter) == 2 ||
            sscanf(buffer_bytes(&b), "%*d %*s %*s %*s %*s %*s %*s %31s %31s", stack, counter) ==
                    2) {
                json_put(o, "stack_pointer", json_of_text(stack));
                json_put(o, "program_counter", json_of_text(counter));
        }
}

static void put_oom_score(json_t *o, Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        if (target_read(t, "oom_score_adj", NULL, &b) == 0)
                json_put(o, "oom_score_adjust", number(buffer_bytes(&b)));
}

json_t *inspect_attributes(Target *t)
{
        json_t *o = json_object();

        json_put(o, "pid", json_integer(t->pid));
        put_status(o, t);
        put_stat(o, t);
        put_command(o, t);
        put_link(o, "program", t, "exe");
        put_link(o, "cwd", t, "cwd");
        put_link(o, "root", t, "root");
        put_wchan(o, t);
        put_registers(o, t);
        put_oom_score(o, t);
        return o;
}

/* --- limits --- */

static const struct {
        const char *theirs, *ours; /* in /proc/PID/limits, and in [Process] */
} limits[] = {
        { "Max address space", "LimitAS" },  { "Max core file size", "LimitCORE" },
        { "Max cpu time", "LimitCPU" },      { "Max data size", "LimitDATA" },
        { "Max file size", "LimitFSIZE" },   { "Max locked memory", "LimitMEMLOCK" },
        { "Max open files", "LimitNOFILE" }, { "Max processes", "LimitNPROC" },
        { "Max stack size", "LimitSTACK" },
};

/* A number, or null for none. */
static json_t *limit_value(const char *text)
{
        return isdigit((unsigned char)*text) ? json_integer(strtoll(text, NULL, 10)) : json_null();
}

static json_t *limit(const char *line)
{
        char soft[32], hard[32];

        if (!line || sscanf(line, "%31s %31s", soft, hard) != 2)
                return NULL;
        return json_pack("{s:o,s:o}", "soft", limit_value(soft), "hard", limit_value(hard));
}

static const char *find_limit(const char *text, const char *name)
{
        size_t n = strlen(name);

        for (const char *line = text; line; line = line_next(line))
                if (strncmp(line, name, n) == 0)
                        return line + n;
        return NULL;
}

json_t *inspect_limits(Target *t)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        json_t *o;

        if (target_read(t, "limits", "limits", &b) < 0)
                return NULL;
        o = json_object();
        for (size_t i = 0; i < ELEMENTS(limits); i++)
                json_put(o, limits[i].ours, limit(find_limit(buffer_bytes(&b), limits[i].theirs)));
        return o;
}
