/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "base/cleanup.h"
#include "ctl/connect.h"
#include "ctl/map/map.h"
#include "ctl/raw.h"
#include "ctl/words.h"

/* An empty lane, else the one with the fewest jobs. */
static MapLane *choose_lane(Map *m)
{
        MapLane *best = &m->lanes[0];

        for (unsigned i = 1; i < m->n_lanes; i++)
                if (m->lanes[i].n_jobs < best->n_jobs)
                        best = &m->lanes[i];
        return best;
}

static int ask(Map *m, MapLane *lane, const List *jobs)
{
        Buffer *b = call_begin(&lane->ctl, "WaitMany", VARLINK_MORE);
        const MapJob *job;

        emit_key(b, "ids");
        emit_open(b, '[');
        LIST_FOREACH(jobs, job, list)
                emit_uuid(b, &job->id);
        emit_close(b, ']');
        emit_bool_member(b, "ordered", m->ordered);
        return call_send(&lane->ctl);
}

int map_wait(Map *m, List *jobs)
{
        MapLane *lane = choose_lane(m);
        bool anew = lane->n_jobs && !m->ordered;
        int status = STATUS_DONE;
        List fresh;
        MapJob *job;

        list_init(&fresh);
        list_splice(&fresh, jobs);
        LIST_FOREACH(&fresh, job, list) {
                job->lane = lane;
                lane->n_jobs++;
        }
        if (anew) {
                list_splice(&fresh, &lane->jobs);
                connect_end(&lane->ctl);
        }
        if (!lane->ctl.client)
                status = connect_again(m->ctl, &lane->ctl);
        if (status == STATUS_DONE)
                status = ask(m, lane, &fresh);
        list_splice(&lane->jobs, &fresh);
        /* While it was sent, ends may have been received: poll() does not know of those. */
        return status ? status : map_lane_read(m, lane);
}

static int lane_refused(Map *m, MapLane *lane, Slice message)
{
        json_t *reply = json_loadb(message.data, message.len, 0, NULL);
        const char *error = json_string_value(json_object_get(reply, "error"));
        Buffer words = BUFFER_INIT;
        int status = STATUS_REFUSED;

        if (error) {
                words_append_error(&words, "map", error, json_object_get(reply, "parameters"));
                map_say(m, "map: %.*s", (int)buffer_len(&words),
                        words.data ? buffer_bytes(&words) : "");
        } else {
                status = connect_lost(&lane->ctl, -EBADMSG);
        }
        buffer_fini(&words);
        json_decref(reply);
        return status;
}

static int take_end(Map *m, MapLane *lane, Slice message)
{
        static const char *const names[] = { "parameters", "error" };
        Slice values[ELEMENTS(names)], text;
        MapJob *job;
        Uuid id;

        raw_members(message, names, values, ELEMENTS(names));
        if (raw_present(values[1]))
                return lane_refused(m, lane, message);
        text = raw_member(values[0], "job");
        if (!uuid_parse(raw_string(raw_member(text, "id")), &id))
                return connect_lost(&lane->ctl, -EBADMSG);
        job = map_job_find(m, &id);
        if (!job || job->lane != lane)
                return connect_lost(&lane->ctl, -EBADMSG);
        map_print(m, job, text);
        map_job_free(m, job);
        m->retry_at = 0; /* there is room in the queue */
        return STATUS_DONE;
}

int map_lane_read(Map *m, MapLane *lane)
{
        int status = STATUS_DONE;

        while (status == STATUS_DONE && lane->n_jobs) {
                Slice message;
                int r = varlink_client_receive(lane->ctl.client, 0, &message);

                if (r == 0)
                        break;
                if (r < 0)
                        progress_clear(&m->progress);
                status = r < 0 ? connect_lost(&lane->ctl, r) : take_end(m, lane, message);
        }
        return status;
}

static void cancel_list(Ctl *ctl, const List *jobs, unsigned *n)
{
        const MapJob *job;

        LIST_FOREACH(jobs, job, list) {
                Buffer *b = call_begin(ctl, "Cancel", 0);

                emit_key(b, "id");
                emit_uuid(b, &job->id);
                varlink_write_end(b, 0);
                (*n)++;
        }
}

void map_cancel(Map *m)
{
        unsigned n = 0;
        Slice answer;
        Ctl ctl;

        if (m->n_submitting) /* what is not yet accepted cannot be cancelled */
                (void)varlink_client_receive(m->ctl->client, USEC_PER_SEC, &answer);
        if (connect_again(m->ctl, &ctl) == STATUS_DONE) {
                cancel_list(&ctl, &m->submitting, &n);
                for (unsigned i = 0; i < m->n_lanes; i++)
                        cancel_list(&ctl, &m->lanes[i].jobs, &n);
                if (varlink_client_flush(ctl.client) == 0)
                        while (n && varlink_client_receive(ctl.client, USEC_PER_SEC, &answer) > 0)
                                n--;
        }
        connect_end(&ctl);
}
