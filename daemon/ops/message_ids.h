/* SPDX-License-Identifier: MIT */
#pragma once

/* MESSAGE_ID= of what an administrator looks for, one for each kind of event. They are for ever:
 * what stands in a journal is found by them. packaging/journal/brood.catalog says to each what it
 * means and what to do; a test compares the two. */

/* the daemon serves */
#define MESSAGE_READY               "8fa7911dc69744f28e2e353ea53ab8b3"
/* it was told to stop, or can not go on */
#define MESSAGE_STOPPING            "73f9145440034741ae24690a495e2d7f"
/* the obituary of a worker, expected or not */
#define MESSAGE_WORKER_DIED         "ae2c8b4f41234a4e90b7b085b9b6caa0"
/* a pool can not start its workers, or its fork server: the breaker opens */
#define MESSAGE_POOL_FAILED         "3236eebea16a42c4a482d19e3068b32d"
/* a worker of it is ready again: the breaker closes */
#define MESSAGE_POOL_RECOVERED      "c14c8c3fd7584bdf8299911563d3f46e"
/* a fork server died, or can not serve */
#define MESSAGE_FORK_SERVER_FAILED  "a06334228b924d90b59c46bfc4efc32e"
/* jobs of a handler kill their workers: its breaker opens */
#define MESSAGE_HANDLER_RESTS       "d205e634f1074c45ad9ec443f6b3d2f2"
/* one of them has let its worker live: it closes */
#define MESSAGE_HANDLER_RECOVERED   "908e248f005b4f71b233d93cc74a0225"
/* a job failed for good */
#define MESSAGE_JOB_FAILED          "3e6b6d1c3c5c40da8fec8dbdb94cf915"
/* a job killed too many workers */
#define MESSAGE_JOB_QUARANTINED     "0675a9c8b9114db98bdd118c0e4a355f"
/* a job waited longer than its ttl */
#define MESSAGE_JOB_EXPIRED         "afe76b2428844d65b2c9bc7efdd3f509"
/* more jobs ended badly than are named one by one */
#define MESSAGE_JOBS_UNNAMED        "39e51928fcc64accb32427bf37c9c2d7"
/* a run lasts longer than SlowAfter= of its pool: where its worker is */
#define MESSAGE_JOB_SLOW            "0b7b57ef26d346f5b3d980c743eb34f7"
/* a job that was only in memory, when the daemon stops */
#define MESSAGE_JOB_DROPPED         "fe8b5c539d954c849e918e9770630d65"
/* how many of them there were */
#define MESSAGE_JOBS_DROPPED        "59377816465d4e1f90cc92c2b02f70ac"
/* the store can not write */
#define MESSAGE_STORE_FAILS         "f73b216e24864954b46e5cb05877463e"
/* it can again */
#define MESSAGE_STORE_WORKS         "af0691c4eea74b729627e2cfc9b7bb85"
/* the config is wrong, at the start or at a reload */
#define MESSAGE_CONFIG_REFUSED      "1d2eddbbda5e4eda9c54a4a22d9b0f26"
/* a new config is in force */
#define MESSAGE_RELOADED            "27093dc974dd4ea9bdbac138fa8e2f62"
/* a client that does not read its replies */
#define MESSAGE_CLIENT_DROPPED      "a66d10d49a364cbd835681c44e1b09c6"
/* journald did not take what was sent */
#define MESSAGE_LINES_LOST          "4645006e4ca84773b61f0a69eafad7c1"
