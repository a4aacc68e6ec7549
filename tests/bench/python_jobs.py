# SPDX-License-Identifier: MIT
"""The job that does nothing, for each that runs it: a handler of brood.worker, a task of Celery, a
function for the others. Celery and RQ import this in their workers; $BENCH_REDIS is the socket."""
import os


def noop(job):
    return None


if "BENCH_REDIS" in os.environ:
    from celery import Celery

    url = "redis+socket://" + os.environ["BENCH_REDIS"]
    app = Celery("python_jobs", broker=url, backend=url)
    app.conf.task_ignore_result = False
    celery_noop = app.task(name="noop")(noop)
elif "BENCH_HANDLER" in os.environ:
    from brood.worker import handler

    handler(lambda job: None, name="noop")
