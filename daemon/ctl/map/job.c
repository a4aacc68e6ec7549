/* SPDX-License-Identifier: MIT */

#include <stdlib.h>

#include "ctl/map/map.h"
#include "ctl/raw.h"

/* Is the line an object? Otherwise *ret is the parsed value, or NULL after saying what is wrong. */
static bool is_object(Map *m, Slice line, json_t **ret)
{
        json_error_t error;

        *ret = NULL;
        if (varlink_scan_object(&m->scan, line) == 0)
                return true;
        *ret = json_loadb(line.data, line.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        if (!*ret)
                map_say(m, "map: line %llu is not JSON: column %d: %s",
                        (unsigned long long)m->lines.number, error.column, error.text);
        return false;
}

static int write_args(Map *m, Slice line, Buffer *to)
{
        json_t *value;

        if (is_object(m, line, &value)) {
                raw_compact(to, line);
        } else if (value) {
                buffer_append_literal(to, "{\"value\":");
                raw_compact(to, line);
                buffer_append_char(to, '}');
                json_decref(value);
        } else {
                return STATUS_USAGE;
        }
        return to->failed ? ctl_no_memory() : STATUS_DONE;
}

int map_job_new(Map *m, Slice line)
{
        Buffer args = BUFFER_INIT;
        int status = write_args(m, line, &args);
        MapJob *job = status == STATUS_DONE ? calloc(1, sizeof(*job)) : NULL;

        if (!job) {
                buffer_fini(&args);
                return status ? status : ctl_no_memory();
        }
        job->id = uuid_new(clock_read(CLOCK_REALTIME));
        job->index = m->next_index++;
        job->line = m->lines.number;
        job->args = args.data; /* nothing was read from the buffer: they start where it does */
        job->args_len = buffer_len(&args);
        list_init(&job->list);
        if (hashtable_add(&m->jobs, &job->link, hash_bytes(&job->id, sizeof(job->id))) < 0) {
                free(job->args);
                free(job);
                return ctl_no_memory();
        }
        list_append(&m->waiting, &job->list);
        m->n_waiting++;
        m->n_jobs++;
        m->waiting_bytes += job->args_len;
        return STATUS_DONE;
}

void map_job_free(Map *m, MapJob *job)
{
        if (job->lane)
                job->lane->n_jobs--;
        list_remove(&job->list);
        hashtable_remove(&m->jobs, &job->link);
        m->n_jobs--;
        free(job->args);
        free(job);
}

MapJob *map_job_find(const Map *m, const Uuid *id)
{
        HashLink *link = hashtable_first(&m->jobs, hash_bytes(id, sizeof(*id)));

        for (; link; link = hashtable_next(&m->jobs, link)) {
                MapJob *job = CONTAINER_OF(link, MapJob, link);

                if (uuid_equal(&job->id, id))
                        return job;
        }
        return NULL;
}
