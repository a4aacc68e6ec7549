/* SPDX-License-Identifier: MIT */

/* The daemon's own batches: what of a job is copied when it is handed over is under test, too. */

#include "store/batch.c"
