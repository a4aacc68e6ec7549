# SPDX-License-Identifier: MIT
"""Where brood differs from Python's multiprocessing on purpose: why, and what each prints."""

DIFFERENCES = {
    # --- processes ---
    "name_of_a_grandchild": {
        "why": "Every process counts its own children; Python puts the parent's numbers in front.",
        "python": ["I am Process-1:1"],
        "brood": ["I am Process-1"],
    },
    "daemon_with_children": {
        "why": "Python refuses, because a daemon's children would be left behind when it is ended. "
               "Brood's children never outlive their parent.",
        "python": ["refused", "exit code 0"],
        "brood": ["ok", "exit code 0"],
    },
    "parent_killed": {
        "why": "A child of brood never outlives its parent, unless it was started with `outlive`.",
        "python": ["it runs", "exit code -9", "it outlived its parent"],
        "brood": ["it runs", "exit code -9", "it has ended"],
    },
    "free_of_one_that_runs": {
        "why": "brood_process_free() waits, and so never fails; Process.close() is a ValueError.",
        "python": ["refused"],
        "brood": ["ok"],
    },
    "descriptors_that_were_not_given": {
        "why": "By fork, too, a child of brood has only the descriptors that were named.",
        "python": ["it is here", "exit code 0"] + ["it is not here", "exit code 0"] * 2,
        "brood": ["it is not here", "exit code 0"] * 3,
    },

    # --- semaphores ---
    "semaphore_too_large": {
        "why": "Units are counted per process, in 16 bits: no more than 32767.",
        "python": ["ok"],
        "brood": ["refused"],
    },
    "lock_of_a_killed_process": {
        "why": "What a dead process held comes back, and who gets it is told; Python's stays "
               "locked for ever.",
        "python": ["exit code -9", "timed out"],
        "brood": ["exit code -9", "ok, owner died"],
    },
    "lock_of_an_ended_process": {
        "why": "Likewise, when a process ends without a release.",
        "python": ["exit code 0", "timed out"],
        "brood": ["exit code 0", "ok, owner died"],
    },

    # --- queues ---
    "queue_too_large_element": {
        "why": "A queue lives in shared memory, which does not grow; an element that could never "
               "fit is refused. Python's feeder thread holds any number of bytes.",
        "python": ["ok"],
        "brood": ["refused"],
    },
    "queue_get_after_close": {
        "why": "Closing means that nothing more is put, and the rest can be got; Python closes "
               "both directions of this process.",
        "python": ["refused", "refused"],
        "brood": ["ok", "refused"],
    },
    "queue_closed_by_another": {
        "why": "A queue is closed for all; Python's for one process.",
        "python": ["exit code 0", "ok"],
        "brood": ["exit code 0", "refused"],
    },
    "queue_after_a_terminated_getter": {
        "why": "Python's getters wait with the reader's lock in their hands, which dies with them; "
               "nobody can get any more. Brood's wait with nothing.",
        "python": ["timed out"],
        "brood": ["ok"],
    },
    "queue_element_of_a_killed_process": {
        "why": "When brood_queue_put() returns, the element is in the queue. Python's is in a "
               "thread of the process that put it, and dies with that; torn, if it had begun.",
        "python": ["exit code -9", "nothing comes"],
        "brood": ["exit code -9", "it is there"],
    },
    "queue_of_a_process_that_ends": {
        "why": "For the same reason Python's process can not end before somebody gets.",
        "python": ["it has ended: no"],
        "brood": ["it has ended: yes"],
    },
    "joinable_of_a_dead_consumer": {
        "why": "What a dead process had got counts as done; Python waits for ever.",
        "python": ["exit code -9", "joined: no"],
        "brood": ["exit code -9", "joined: yes"],
    },

    # --- shared memory ---
    "value_locked_by_a_dead_process": {
        "why": "As with any lock: it comes back, and the next owner is told.",
        "python": ["exit code -9", "timed out"],
        "brood": ["exit code -9", "ok, owner died"],
    },

    # --- pools ---
    "map_with_a_failure": {
        "why": "Every task has a result of its own; Python's map() raises the first exception and "
               "drops all results.",
        "python": ["failed: three is"],
        "brood": ["0 1 2 failed: three is 4"],
    },
    "initializer_that_fails": {
        "why": "After ten workers that could not begin, the pool gives up and cancels its tasks; "
               "Python starts workers for ever, and the caller waits for ever.",
        "python": ["nothing comes"],
        "brood": ["cancelled"],
    },
    "worker_killed_at_work": {
        "why": "The task that was at work is hit, and no other; Python's map() hangs.",
        "python": ["nothing comes"],
        "brood": ["0 1 2 killed 4 5"],
    },
    "worker_killed_by_its_task": {
        "why": "As above; so does Python's apply().",
        "python": ["nothing comes"],
        "brood": ["killed"],
    },
    "worker_left_by_its_task": {
        "why": "A task that ends its process is no different.",
        "python": ["nothing comes"],
        "brood": ["killed"],
    },
    "idle_worker_killed": {
        "why": "Each worker of brood has a line of its own; an idle one of Python's holds the lock "
               "of the queue of tasks, which dies with it, and so does the pool.",
        "python": ["nothing comes"],
        "brood": ["25"],
    },
    "result_after_terminate": {
        "why": "A task that was not run to its end is cancelled, and says so; Python's never "
               "becomes ready.",
        "python": ["nothing comes"],
        "brood": ["cancelled"],
    },
}
