/* SPDX-License-Identifier: MIT */
#pragma once

/* What all cases share: a table of them, lines to print, and words for what a call returns; as in
 * cases.py. */

#include <stdbool.h>

#include <brood/connection.h>
#include <brood/process.h>

/* CASE(name) { … } */
#define CASE(name_)                                                                                \
        static void case_##name_(void);                                                            \
        __attribute__((constructor)) static void register_##name_(void)                            \
        {                                                                                          \
                case_register(#name_, case_##name_);                                               \
        }                                                                                          \
        static void case_##name_(void)
void case_register(const char *name, void (*run)(void));

#define LENGTH(array_) (sizeof(array_) / sizeof(*(array_)))

/* One line, in one write: children print to the same pipe. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *yes(bool value);

/* How a call ended, in a word. */
const char *word(int r);

/* What was returned, which is no error; else the program ends. */
int must(int r, const char *what);
#define MUST(call_) must((call_), #call_)

/* A child by fork; it gets these ends of pipes (n of them), and no other. */
BroodProcess *child(BroodTarget target, void *context);
BroodProcess *child_with(BroodTarget target, void *context, unsigned n, ...);
/* A child by any method, with arguments and descriptors. */
BroodProcess *child_by(BroodStartMethod method, const char *entry, json_t *args, const int *fds,
                       unsigned n_fds);

/* Joins it, says how it ended, frees it. */
void ended(BroodProcess *p);
/* Says how it is. */
void say_exit(const char *before, BroodProcess *p);
/* Whether a child ends within this time; if not, it is killed; freed. */
bool ends_within(BroodProcess *p, double seconds);

void nap(double seconds);
int64_t usec(double seconds);
int for_ever(BroodChild *self);
