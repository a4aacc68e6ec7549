/* SPDX-License-Identifier: MIT */

/* Waiting for the ends of jobs. */

#include <errno.h>
#include <string.h>

#include "client/inside.h"
#include "varlink/json.h"

/* --- one --- */

static int read_record(const BroodReply *reply, void *to)
{
        return brood_reply_record(reply, to);
}

int brood_client_wait_record(BroodClient *client, const char *id, int64_t timeout_usec,
                             BroodRecord **ret)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        ClientAsk ask = { .method = "io.brood.Wait", .parameters = &b, .read = read_record,
                          .to = ret, .timed = true, .until = clock_until(timeout_usec) };
        int r = client_usable(client, true);

        if (r == 0)
                r = client_write_id(client, &b, id);
        return r < 0 ? r : client_ask(client, &ask);
}

int client_take_result(BroodClient *c, BroodRecord *record, char **ret)
{
        char *text = NULL;
        int r = 0;

        if (record->state != BROOD_SUCCEEDED)
                r = client_fail_job(c, record);
        else if (!(text = strdup(record->result ? record->result : JSON_EMPTY)))
                r = client_fail_errno(c, -ENOMEM);
        brood_record_free(record);
        if (r == 0)
                *ret = text;
        return r;
}

int brood_client_wait(BroodClient *client, const char *id, int64_t timeout_usec, char **ret_result)
{
        BroodRecord *record;
        int r = brood_client_wait_record(client, id, timeout_usec, &record);

        return r < 0 ? r : client_take_result(client, record, ret_result);
}

int brood_client_start_wait(BroodClient *client, const char *id, int64_t timeout_usec,
                            BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = client_usable(client, false);

        if (r == 0)
                r = client_write_id(client, &b, id);
        if (r < 0)
                return r;
        if (timeout_usec >= 0)
                emit_int_member(&b, "timeout_usec", timeout_usec);
        return client_start(client, "io.brood.Wait", false, &b, replied, context);
}

/* --- many --- */

enum { CHUNK_IDS = 50000 };

/* Where an id stands in ids[], found by the id. */
typedef struct Place {
        BroodId id;
        uint32_t index;
        bool told;
} Place;

/* A chunk of ids, and which of them are still waited for. */
typedef struct Waiting {
        Place *places; /* sorted by id */
        size_t n, base;
        BroodVisit visit;
        void *context;
        int stopped;   /* what `visit` returned */
        bool heard;    /* in this try */
} Waiting;

/* Replies spell ids in lower case. */
static void normalize(BroodId *id)
{
        for (char *p = id->text; *p; p++)
                if (*p >= 'A' && *p <= 'F')
                        *p = (char)(*p - 'A' + 'a');
}

static int compare_places(const void *a, const void *b)
{
        const Place *x = a, *y = b;
        int order = strcmp(x->id.text, y->id.text);

        return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* The first with this id that was not told of; an id may be given twice. */
static Place *find_place(Waiting *w, const char *id)
{
        size_t low = 0, high = w->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(w->places[middle].id.text, id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        while (low < w->n && strcmp(w->places[low].id.text, id) == 0 && w->places[low].told)
                low++;
        return low < w->n && strcmp(w->places[low].id.text, id) == 0 ? &w->places[low] : NULL;
}

static int read_end(const BroodReply *reply, void *to)
{
        BroodRecord *record;
        Waiting *w = to;
        Place *place;
        int r = brood_reply_record(reply, &record);

        if (r < 0)
                return r;
        place = find_place(w, record->id);
        if (!place) {
                brood_record_free(record);
                return client_fail_errno(reply->client, -EBADMSG);
        }
        place->told = w->heard = true;
        w->stopped = w->visit(record, w->base + place->index, w->context);
        return w->stopped ? 1 : 0;
}

/* Writes those that are still waited for, in their order. Returns how many. */
static size_t write_rest(BroodClient *c, Buffer *b, const Waiting *w, BroodId *room, bool ordered,
                         int *ret)
{
        size_t n = 0;

        for (size_t i = 0; i < w->n; i++)
                room[w->places[i].index] = w->places[i].told ? (BroodId){ "" } : w->places[i].id;
        for (size_t i = 0; i < w->n; i++)
                if (room[i].text[0])
                        room[n++] = room[i];
        *ret = client_write_ids(c, b, room, n, ordered);
        return n;
}

static int wait_once(BroodClient *c, Waiting *w, BroodId *room, bool ordered, usec_t until)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        ClientAsk ask = { .method = "io.brood.WaitMany", .parameters = &b, .read = read_end,
                          .to = w, .more = true, .once = true, .timed = true, .until = until };
        int r = 0;

        if (!write_rest(c, &b, w, room, ordered, &r) || r < 0)
                return r;
        w->heard = false;
        return client_ask_aside(c, &ask);
}

static int wait_chunk(BroodClient *c, Waiting *w, const BroodId *ids, bool ordered, usec_t until)
{
        AUTO(free) Place *places = calloc(w->n, sizeof(*places));
        AUTO(free) BroodId *room = calloc(w->n, sizeof(*room));
        ClientPatience patience = { .began = clock_monotonic() };
        int r;

        if (!places || !room)
                return client_fail_errno(c, -ENOMEM);
        w->places = places;
        for (size_t i = 0; i < w->n; i++) {
                places[i] = (Place){ .id = ids[i], .index = (uint32_t)i };
                places[i].id.text[sizeof(ids->text) - 1] = '\0';
                normalize(&places[i].id);
        }
        qsort(places, w->n, sizeof(*places), compare_places);
        do {
                r = wait_once(c, w, room, ordered, until);
                if (w->stopped)
                        return w->stopped;
                if (w->heard)
                        patience.until = 0;
        } while (client_again(c, &patience, r));
        return r;
}

int brood_client_wait_many(BroodClient *client, const BroodId *ids, size_t n, int ordered,
                           int64_t timeout_usec, BroodVisit visit, void *context)
{
        usec_t until = clock_until(timeout_usec);
        int r = client_usable(client, true);

        if (r == 0)
                client_forget_error(client);
        for (size_t i = 0; i < n && r == 0; i += CHUNK_IDS) {
                Waiting w = { .n = MIN(n - i, (size_t)CHUNK_IDS), .base = i, .visit = visit,
                              .context = context };

                r = wait_chunk(client, &w, ids + i, ordered, until);
        }
        return r;
}

int brood_client_start_wait_many(BroodClient *client, const BroodId *ids, size_t n, int ordered,
                                 BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        int r = client_usable(client, false);

        if (r == 0)
                r = client_write_ids(client, &b, ids, n, ordered);
        return r < 0 ? r : client_start(client, "io.brood.WaitMany", true, &b, replied, context);
}
