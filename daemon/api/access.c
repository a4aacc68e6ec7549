/* SPDX-License-Identifier: MIT */

#include "api/access.h"

#include <unistd.h>

bool access_operate(uint32_t uid)
{
        return uid == 0 || uid == geteuid();
}
