/* SPDX-License-Identifier: MIT */

#include "process/rlimits.h"

#include <sys/resource.h>

const RlimitName rlimit_names[N_RLIMITS] = {
        { "LimitAS", RLIMIT_AS },
        { "LimitCORE", RLIMIT_CORE },
        { "LimitCPU", RLIMIT_CPU },
        { "LimitDATA", RLIMIT_DATA },
        { "LimitFSIZE", RLIMIT_FSIZE },
        { "LimitLOCKS", RLIMIT_LOCKS },
        { "LimitMEMLOCK", RLIMIT_MEMLOCK },
        { "LimitMSGQUEUE", RLIMIT_MSGQUEUE },
        { "LimitNICE", RLIMIT_NICE },
        { "LimitNOFILE", RLIMIT_NOFILE },
        { "LimitNPROC", RLIMIT_NPROC },
        { "LimitRSS", RLIMIT_RSS },
        { "LimitRTPRIO", RLIMIT_RTPRIO },
        { "LimitRTTIME", RLIMIT_RTTIME },
        { "LimitSIGPENDING", RLIMIT_SIGPENDING },
        { "LimitSTACK", RLIMIT_STACK },
};
