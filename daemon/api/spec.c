/* SPDX-License-Identifier: MIT */

#include "api/spec.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "io.brood.h"

/* Where a Spec is being read from. */
typedef struct Reader {
        const Request *request;
        const VarlinkNode *node;
        int index; /* in `jobs`; -1: it is `job` */
        JobSpec *spec;
} Reader;

void spec_clear(ParsedSpec *s)
{
        free(s->unescaped_key);
        free(s->blockers);
        free(s->units);
        s->unescaped_key = NULL;
        s->blockers = NULL;
        s->units = NULL;
}

static const VarlinkNode *field(const Reader *r, unsigned i)
{
        return varlink_field(r->request->scan, r->node, i);
}

static bool invalid(const Reader *r, const char *name)
{
        char path[96];

        if (r->index < 0)
                (void)snprintf(path, sizeof(path), "job.%s", name);
        else
                (void)snprintf(path, sizeof(path), "jobs[%d].%s", r->index, name);
        varlink_invalid_parameter(r->request->call, path);
        return false;
}

/* A whole number within limits; stays as it is if it is not given. */
static bool read_number(const Reader *r, unsigned i, uint16_t has, const char *name, int64_t min,
                        int64_t max, int64_t *to)
{
        const VarlinkNode *node = field(r, i);

        if (!node->present)
                return true;
        *to = varlink_int(r->request->scan, node);
        if (*to < min || *to > max)
                return invalid(r, name);
        r->spec->has |= has;
        return true;
}

static bool read_numbers(const Reader *r)
{
        int64_t priority = 0, run_at = 0, delay = 0, attempts = 0, timeout = 0, ttl = 0, keep = 0;
        bool good = read_number(r, IO_BROOD_SPEC_PRIORITY, JOB_HAS_PRIORITY, "priority", -1000,
                                1000, &priority) &&
                    read_number(r, IO_BROOD_SPEC_RUN_AT_USEC, JOB_HAS_RUN_AT, "run_at_usec", 0,
                                INT64_MAX, &run_at) &&
                    read_number(r, IO_BROOD_SPEC_DELAY_USEC, JOB_HAS_DELAY, "delay_usec", 0,
                                INT64_MAX, &delay) &&
                    read_number(r, IO_BROOD_SPEC_MAX_ATTEMPTS, JOB_HAS_MAX_ATTEMPTS, "max_attempts",
                                1, 1000000, &attempts) &&
                    read_number(r, IO_BROOD_SPEC_TIMEOUT_USEC, JOB_HAS_TIMEOUT, "timeout_usec", 0,
                                INT64_MAX, &timeout) &&
                    read_number(r, IO_BROOD_SPEC_TTL_USEC, JOB_HAS_TTL, "ttl_usec", 0, INT64_MAX,
                                &ttl) &&
                    read_number(r, IO_BROOD_SPEC_KEEP_USEC, JOB_HAS_KEEP, "keep_usec", 0, INT64_MAX,
                                &keep);

        if (!good)
                return false;
        if (r->spec->has & JOB_HAS_RUN_AT && r->spec->has & JOB_HAS_DELAY)
                return invalid(r, "delay_usec"); /* at most one of the two */
        r->spec->priority = (int)priority;
        r->spec->run_at = (usec_t)run_at;
        r->spec->delay = (usec_t)delay;
        r->spec->max_attempts = (uint32_t)attempts;
        r->spec->timeout = (usec_t)timeout;
        r->spec->ttl = (usec_t)ttl;
        r->spec->keep = (usec_t)keep;
        return true;
}

static bool read_handler(const Reader *r)
{
        const VarlinkScan *scan = r->request->scan;
        const VarlinkNode *node = field(r, IO_BROOD_SPEC_HANDLER);
        char small[256];
        Slice name = varlink_slice(scan, node);

        if (node->escaped && name.len <= sizeof(small))
                name = (Slice){ small, varlink_unescape(name, small) };
        r->spec->handler = core_find_handler(r->request->api->core, name);
        if (r->spec->handler && r->spec->handler->pool)
                return request_may_submit(r->request, r->spec->handler);
        api_error_string(r->request->call, "io.brood.NoSuchHandler", "handler", name);
        return false;
}

static bool read_args(const Reader *r)
{
        uint64_t limit = r->request->api->settings->max_args_size;

        r->spec->args = varlink_slice(r->request->scan, field(r, IO_BROOD_SPEC_ARGS));
        if (r->spec->args.len <= limit)
                return true;
        api_error_int(r->request->call, "io.brood.TooLarge", "limit_bytes", (int64_t)limit);
        return false;
}

static bool read_id(const Reader *r)
{
        const VarlinkNode *node = field(r, IO_BROOD_SPEC_ID);

        if (!node->present) {
                r->spec->id = uuid_new(r->request->now);
                return true;
        }
        r->spec->has |= JOB_HAS_ID;
        return uuid_parse(varlink_slice(r->request->scan, node), &r->spec->id) || invalid(r, "id");
}

static bool read_key(const Reader *r, ParsedSpec *parsed)
{
        const VarlinkScan *scan = r->request->scan;
        const VarlinkNode *node = field(r, IO_BROOD_SPEC_UNIQUE_KEY);

        if (!node->present)
                return true;
        r->spec->has |= JOB_HAS_UNIQUE_KEY;
        r->spec->unique_key = varlink_slice(scan, node);
        if (!node->escaped)
                return true;
        parsed->unescaped_key = varlink_string(scan, node);
        if (!parsed->unescaped_key)
                return invalid(r, "unique_key");
        r->spec->unique_key = slice_of(parsed->unescaped_key);
        return true;
}

static bool read_blockers(const Reader *r, ParsedSpec *parsed)
{
        const VarlinkScan *scan = r->request->scan;
        const VarlinkNode *list = field(r, IO_BROOD_SPEC_AFTER);
        unsigned n = 0;

        if (!list->present)
                return true;
        for (uint32_t at = list->child; at; at = varlink_node(scan, at)->next)
                n++;
        parsed->blockers = calloc(n ? n : 1, sizeof(*parsed->blockers));
        if (!parsed->blockers)
                return invalid(r, "after");
        for (uint32_t at = list->child; at; at = varlink_node(scan, at)->next)
                if (!uuid_parse(varlink_slice(scan, varlink_node(scan, at)),
                                &parsed->blockers[r->spec->n_blockers++]))
                        return invalid(r, "after");
        r->spec->blockers = parsed->blockers;
        r->spec->after = varlink_slice(scan, list);
        return true;
}

static bool known(const JobSpec *spec, const CoreSemaphore *s)
{
        for (unsigned i = 0; i < spec->n_units; i++)
                if (spec->units[i] == s)
                        return true;
        return false;
}

/* The semaphore that is named there, if the config has it; else the call is answered. */
static CoreSemaphore *find_semaphore(const Reader *r, const VarlinkNode *node)
{
        char *name = varlink_string(r->request->scan, node);
        CoreSemaphore *s =
                name ? core_find_semaphore(r->request->api->core, slice_of(name)) : NULL;

        if (!s || !s->size) {
                api_error_string(r->request->call, "io.brood.NoSuchSemaphore", "semaphore",
                                 slice_of(name ? name : ""));
                s = NULL;
        }
        free(name);
        return s;
}

static bool read_semaphores(const Reader *r, ParsedSpec *parsed)
{
        const VarlinkScan *scan = r->request->scan;
        const VarlinkNode *list = field(r, IO_BROOD_SPEC_SEMAPHORES);
        JobSpec *spec = r->spec;

        spec->semaphores = varlink_slice(scan, list);
        if (!list->present || !list->child)
                return true;
        parsed->units = calloc(CORE_MAX_UNITS, sizeof(CoreSemaphore *));
        if (!parsed->units)
                return invalid(r, "semaphores");
        spec->units = parsed->units;
        for (uint32_t at = list->child; at; at = varlink_node(scan, at)->next) {
                CoreSemaphore *s = find_semaphore(r, varlink_node(scan, at));

                if (!s)
                        return false;
                if (known(spec, s))
                        continue;
                if (spec->n_units == CORE_MAX_UNITS)
                        return invalid(r, "semaphores");
                parsed->units[spec->n_units++] = s;
        }
        return true;
}

static void read_rest(const Reader *r)
{
        const VarlinkScan *scan = r->request->scan;
        const VarlinkNode *durability = field(r, IO_BROOD_SPEC_DURABILITY);
        const VarlinkNode *attached = field(r, IO_BROOD_SPEC_ATTACHED);

        r->spec->tags = varlink_slice(scan, field(r, IO_BROOD_SPEC_TAGS));
        r->spec->memory = durability->present
                                  ? durability->child == IO_BROOD_SPEC_DURABILITY_MEMORY
                                  : r->request->api->settings->durability == DURABILITY_MEMORY;
        if (durability->present)
                r->spec->has |= JOB_HAS_DURABILITY;
        r->spec->attached = varlink_bool(scan, attached);
        if (r->spec->attached)
                r->spec->has |= JOB_HAS_ATTACHED;
        r->spec->uid = r->request->client->who.uid;
        r->spec->gid = r->request->client->who.gid;
}

bool spec_parse(const Request *request, const VarlinkNode *node, int index, ParsedSpec *ret)
{
        Reader r = { request, node, index, &ret->spec };

        *ret = (ParsedSpec){ 0 };
        if (!read_handler(&r) || !read_numbers(&r) || !read_id(&r) || !read_key(&r, ret) ||
            !read_blockers(&r, ret) || !read_semaphores(&r, ret) || !read_args(&r)) {
                spec_clear(ret);
                return false;
        }
        read_rest(&r);
        return true;
}
