/* SPDX-License-Identifier: MIT */
#pragma once

/* The resource limits of setrlimit(2), by the names that systemd.exec(5) gives them. */

typedef struct RlimitName {
        const char *key; /* "LimitNOFILE" */
        int resource;    /* RLIMIT_NOFILE */
} RlimitName;

enum { N_RLIMITS = 16 };

extern const RlimitName rlimit_names[N_RLIMITS];
