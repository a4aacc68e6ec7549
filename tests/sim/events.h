/* SPDX-License-Identifier: MIT */
#pragma once

/* What can happen in the simulated world. Each has to happen in a long run. */

#define SIM_EVENTS(X)                                                                              \
        X(SUBMIT, "submit")                                                                        \
        X(BATCH, "batch")                                                                          \
        X(SAME_ID, "same-id")                                                                      \
        X(SAME_KEY, "same-key")                                                                    \
        X(TWIN, "id-of-another-user")                                                              \
        X(REPEAT, "repeat-unknown")                                                                \
        X(NO_BLOCKER, "no-blocker")                                                                \
        X(QUOTA, "quota")                                                                          \
        X(FULL, "full")                                                                            \
        X(ADMITTED, "admitted")                                                                    \
        X(REFUSED, "refused")                                                                      \
        X(CANCEL, "cancel")                                                                        \
        X(CANCEL_BEGUN, "cancel-begun")                                                            \
        X(RETRY, "retry")                                                                          \
        X(NO_RETRY, "retry-refused")                                                               \
        X(PIN, "pin")                                                                              \
        X(UNPIN, "unpin")                                                                          \
        X(FETCH, "fetch")                                                                          \
        X(FETCHED, "fetched")                                                                      \
        X(CLAIM, "claim")                                                                          \
        X(CLAIM_ARRIVING, "claim-arriving")                                                        \
        X(CLAIM_UNITS, "claim-with-semaphores")                                                    \
        X(GIVE, "give")                                                                            \
        X(GIVE_AHEAD, "give-ahead")                                                                \
        X(GIVE_FAILS, "give-fails")                                                                \
        X(BEGIN, "begin")                                                                          \
        X(UNCLAIM, "unclaim")                                                                      \
        X(EXECUTE, "execute")                                                                      \
        X(ANSWER_SUCCESS, "answer-success")                                                        \
        X(ANSWER_ERROR, "answer-error")                                                            \
        X(ANSWER_NO_RETRY, "answer-no-retry")                                                      \
        X(ANSWER_COMMAND, "answer-command-failed")                                                 \
        X(ANSWER_CANCELLED, "answer-cancelled")                                                    \
        X(ANSWER_TIMEOUT, "answer-timeout")                                                        \
        X(ANSWER_RECALLED, "answer-recalled")                                                      \
        X(PROGRESS, "progress")                                                                    \
        X(STALE, "stale")                                                                          \
        X(DIED, "worker-died")                                                                     \
        X(DIED_UNTOUCHED, "worker-died-untouched")                                                 \
        X(SHUTDOWN, "shutdown")                                                                    \
        X(TIMEOUT, "timeout")                                                                      \
        X(RECALL, "recall")                                                                        \
        X(BIRTH, "worker-born")                                                                    \
        X(BREAKER, "breaker-open")                                                                 \
        X(HELD, "held-by-breaker")                                                                 \
        X(PAUSE, "pause")                                                                          \
        X(RESUME, "resume")                                                                        \
        X(DRAIN, "drain")                                                                          \
        X(RELOAD, "reload")                                                                        \
        X(MOVED, "moved")                                                                          \
        X(UNSERVED, "unserved")                                                                    \
        X(POOL_GONE, "pool-gone")                                                                  \
        X(COMMIT, "commit")                                                                        \
        X(COMMIT_FAILED, "commit-failed")                                                          \
        X(NO_ROW_MEMORY, "no-memory-for-a-request")                                                \
        X(KEPT, "kept-until-it-works")                                                             \
        X(PROBE, "probe")                                                                          \
        X(ROW_RUNS, "row-runs")                                                                    \
        X(ROW_MARKED, "row-marked")                                                                \
        X(CANCEL_TOLD, "cancel-told")                                                              \
        X(ROW_WAITS, "row-waits-again")                                                            \
        X(ROW_GONE, "row-gone")                                                                    \
        X(LOADED, "args-loaded")                                                                   \
        X(NOT_LOADED, "args-not-loaded")                                                           \
        X(TO_SCHEDULED, "scheduled")                                                               \
        X(TO_BLOCKED, "blocked")                                                                   \
        X(TO_QUEUED, "queued")                                                                     \
        X(TO_RUNNING, "running")                                                                   \
        X(TO_SUCCEEDED, "succeeded")                                                               \
        X(TO_FAILED, "failed")                                                                     \
        X(TO_QUARANTINED, "quarantined")                                                           \
        X(TO_CANCELLED, "cancelled")                                                               \
        X(TO_EXPIRED, "expired")                                                                   \
        X(TICK, "tick")                                                                            \
        X(JUMP, "clock-jump")                                                                      \
        X(FORGET, "forget")                                                                        \
        X(CRASH, "crash")                                                                          \
        X(CRASH_COMMITTED, "crash-after-commit")                                                   \
        X(CRASH_LOST, "crash-before-commit")                                                       \
        X(RESTORED, "restored")                                                                    \
        X(RESTORED_RUNNING, "restored-running")                                                    \
        X(KINDNESS, "kindness")

typedef enum SimEvent {
#define EVENT(name, word) SIM_##name,
        SIM_EVENTS(EVENT)
#undef EVENT
                SIM_N_EVENTS,
} SimEvent;
