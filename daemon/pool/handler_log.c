/* SPDX-License-Identifier: MIT */

#include "pool/handler_log.h"

#include "base/parse.h"
#include "ops/log.h"
#include "ops/message_ids.h"

void handler_log_change(const CoreHandler *h, uint32_t broken, const Uuid *job, usec_t now)
{
        LogFields fields = { .id = MESSAGE_HANDLER_RECOVERED,
                             .pool = h->pool ? h->pool->name : NULL,
                             .handler = h->name,
                             .job = job };
        char rest[64];

        if (!h->breaker.broken) {
                log_event(&fields, LEVEL_NOTICE,
                          "handler=%s: a worker has survived a job of it, the breaker closes",
                          h->name);
                return;
        }
        fields.id = MESSAGE_HANDLER_RESTS;
        format_span(h->breaker.until > now ? h->breaker.until - now : 0, rest, sizeof(rest));
        if (broken)
                log_event(&fields, LEVEL_WARNING,
                          "handler=%s: the one job of it that was tried killed its worker, too: "
                          "the breaker stays open for %s",
                          h->name, rest);
        else
                log_event(&fields, LEVEL_ERROR,
                          "handler=%s: %u different jobs of it in a row killed their workers: the "
                          "breaker is open, one is tried in %s",
                          h->name, h->breaker.killers, rest);
}
