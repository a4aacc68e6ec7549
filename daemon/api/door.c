/* SPDX-License-Identifier: MIT */

/* Two limits: on all connections, and on those of one user. Of the first nobody is told more than
 * the log says, as there is nothing left to do it with; a few places are kept beyond it for who may
 * operate, or a crowd could keep out those who could end it.
 *
 * Varlink has no word that a service says first, so who is over the second one is let in for one
 * call, to be told. That is a courtesy, not a right: only so many of them at a time, and none for
 * longer than REFUSAL_TIME. */

#include "api/door.h"

#include "api/client.h"
#include "ops/log.h"

enum { KEPT_FOR_OPERATORS = 8, MOST_REFUSALS = 16 };

/* A flood is one line a second. */
static void tell(Api *api, const Peer *who, bool of_user, uint64_t value)
{
        const char *limit = of_user ? "MaxConnections of [Access]" : "MaxConnections of [Daemon]";
        usec_t now = clock_monotonic();

        api->turned_away++;
        refusals_note(&api->refusals, of_user ? SLICE("connections") : SLICE("MaxConnections"),
                      clock_steady());
        if (api->turned_away_told && now - api->turned_away_told < USEC_PER_SEC)
                return;
        log_warning("client uid=%u pid=%d is turned away: %s=%llu (%llu since the last such line)",
                    who->uid, (int)who->pid, limit, (unsigned long long)value,
                    (unsigned long long)api->turned_away);
        api->turned_away = 0;
        api->turned_away_told = now;
}

Verdict door_judge(Api *api, const Peer *who, Rights rights)
{
        uint64_t all = api->settings->max_connections + (rights.operate ? KEPT_FOR_OPERATORS : 0);
        uint64_t of_one = api->settings->user_max_connections;

        if (api->n_clients >= all) {
                tell(api, who, false, all);
                return DOOR_SHUT;
        }
        if (!of_one || access_is_unlimited(who->uid) || users_count(&api->users, who->uid) < of_one)
                return DOOR_IN;
        tell(api, who, true, of_one);
        return api->n_refused < MOST_REFUSALS ? DOOR_REFUSED : DOOR_SHUT;
}
