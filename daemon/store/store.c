/* SPDX-License-Identifier: MIT */

#include "store/store.h"

bool store_work(Core *core, usec_t now)
{
        bool any = false;
        Job *job;

        while ((job = core_next_request(core))) {
                core_complete(core, job, true, now);
                any = true;
        }
        return any;
}
