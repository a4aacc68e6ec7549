/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls that wait for something of the daemon's (a restart, a reload, a drain), in a list of it. */

#include "varlink/service.h"

/* Enters the call; false after it was answered with an error. */
bool pending_add(VarlinkCall *call, List *list);

/* Takes the oldest out, to be answered; NULL: the list is empty. */
VarlinkCall *pending_take(List *list);

/* The call's connection goes. */
void pending_gone(VarlinkCall *call);
