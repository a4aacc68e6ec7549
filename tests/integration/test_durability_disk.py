# SPDX-License-Identifier: MIT
"""A disk that is full, and a disk that fails: submits are refused, what was acknowledged stays."""

import contextlib
import ctypes
import shutil
import uuid

from durable import *

CLONE_NEWNS = 0x00020000
MS_REMOUNT, MS_REC, MS_PRIVATE, MNT_DETACH = 32, 0x4000, 1 << 18, 2


def check_call(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise Skip("%s: %s" % (what, os.strerror(error)))


class SmallDisk:
    """The state directory of a daemon, for this test's processes alone: a disk of this size."""

    def __init__(self, d, size):
        unless(os.geteuid() == 0, "needs root, to mount a tmpfs")
        self.d, self.path = d, d.path("state").encode()
        self.libc = ctypes.CDLL(None, use_errno=True)
        check_call(self.libc.unshare(CLONE_NEWNS), "unshare")
        self.mount(b"/", None, MS_REC | MS_PRIVATE, None)
        self.mount(self.path, b"tmpfs", 0, b"mode=0700,size=" + size)

    def mount(self, path, kind, flags, options):
        check_call(self.libc.mount(b"none", path, kind, flags, options), "mount")

    def grow(self, size):
        self.mount(self.path, b"tmpfs", MS_REMOUNT, b"size=" + size)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """With room for everything it must stop in good order."""
        try:
            if kind is None:
                self.grow(b"100m")
                self.d.stop()
        finally:
            self.d.end()
            self.libc.umount2(self.path, MNT_DETACH)
            shutil.rmtree(self.d.directory, ignore_errors=True)


class Submits:
    """What was acknowledged, and what was refused with StoreFailed. The jobs do not begin."""

    def __init__(self, d, size):
        self.d, self.pad = d, "p" * size
        self.kept, self.refused = {}, []

    def spec(self, n):
        return {"handler": "tally", "id": str(uuid.uuid4()), "delay_usec": HOUR,
                "args": {"n": n, "pad": self.pad}}

    def submit(self):
        """One job. Returns whether it was acknowledged."""
        n = len(self.kept) + len(self.refused)
        spec = self.spec(n)
        try:
            self.d.call("Submit", job=spec)
        except VarlinkError as error:
            assert error.name == "StoreFailed" and error.parameters["message"], error
            self.refused.append(spec["id"])
            return False
        self.kept[spec["id"]] = n
        return True

    def submit_many(self, count):
        specs = [self.spec(n) for n in range(count)]
        try:
            self.d.call("SubmitMany", jobs=specs)
        except VarlinkError as error:
            assert error.name == "StoreFailed" and error.parameters["message"], error
            self.refused += [s["id"] for s in specs]
            return False
        self.kept.update((s["id"], s["args"]["n"]) for s in specs)
        return True

    def check_kept(self, some=None):
        """Everything that was acknowledged is there as it was; or the first `some` of it."""
        for id, n in list(self.kept.items())[:some]:
            job = self.d.get(id)
            assert job["state"] == "scheduled" and job["attempts"] == [], job
            assert job["spec"]["args"] == {"n": n, "pad": self.pad}

    def check_refused(self):
        """Nothing that was refused is there."""
        there = [id for id in self.refused if is_known(self.d, id)]
        assert not there, "%d of %d refused jobs are there" % (len(there), len(self.refused))


def check_life_without_a_store(d, jobs, held):
    """What runs goes on to its end, the daemon answers, what is kept can be read, and jobs in
    memory run."""
    open_gate(d)
    until(lambda: ended(d, held), "the handler has finished")
    began = time.monotonic()
    assert d.status()["state"] == "running"
    assert time.monotonic() - began < slow(1)
    jobs.check_kept(10)
    assert time.monotonic() - began < slow(1.5), "reads wait for the store to work again"
    assert d.run("tally", {"n": 7}, durability="memory")["result"]["square"] == 49
    assert d.get(held)["state"] in ("running", "succeeded")


def check_recovery(d, jobs, held):
    """Submits are taken again, by themselves; the job that ran has one attempt and its result."""
    until(jobs.submit, "a submit is taken again", 5)
    assert jobs.submit_many(10)
    job = d.wait(held)
    assert job["state"] == "succeeded" and outcomes(job) == ["succeeded"], job
    assert job["result"]["square"] == 9
    assert d.run("tally", {"n": 8})["result"]["square"] == 64
    jobs.check_kept()
    jobs.check_refused()


def check_after_a_restart(d, jobs, held):
    crash(d)
    check_store(d)
    d.start()
    jobs.check_kept()
    job = d.get(held)
    assert job["state"] == "succeeded" and outcomes(job) == ["succeeded"], job
    assert begun(d, held) == [1]


@limit(120)
def test_a_full_disk():
    """Full: StoreFailed, and life goes on. With room again submits work within seconds, and after
    a kill -9 everything that was acknowledged is there, and nothing that was refused."""
    d = durable(start=False)
    with SmallDisk(d, b"16m"):
        d.start()
        jobs = Submits(d, 20000)
        held = hold(d)
        ballast = d.path("state", "ballast")
        with open(ballast, "wb") as f:
            f.write(b"b" * (8 << 20))
        for _ in range(1000):
            if not jobs.submit():
                break
        assert len(jobs.kept) > 20 and jobs.refused, (len(jobs.kept), len(jobs.refused))
        for _ in range(5):
            jobs.submit_many(5)
        check_life_without_a_store(d, jobs, held)
        os.unlink(ballast)
        check_recovery(d, jobs, held)
        check_after_a_restart(d, jobs, held)
        jobs.check_refused()


@limit(120)
def test_killed_while_the_disk_is_full():
    """kill -9 on a full disk: a new daemon starts on it, and has everything acknowledged."""
    d = durable(start=False)
    with SmallDisk(d, b"16m"):
        d.start()
        jobs = Submits(d, 20000)
        done = d.run("tally", {"n": 5})
        ballast = d.path("state", "ballast")
        with open(ballast, "wb") as f:
            f.write(b"b" * (8 << 20))
        for _ in range(1000):
            if not jobs.submit():
                break
        with contextlib.suppress(OSError), open(d.path("state", "crumbs"), "wb", 0) as f:
            while True:
                f.write(b"c" * 4096)  # not a page is left
        again(d)
        jobs.check_kept()
        assert d.get(done["id"]) == done
        assert not jobs.submit()
        os.unlink(d.path("state", "crumbs"))
        os.unlink(ballast)
        until(jobs.submit, "a submit is taken again", 5)
        again(d)
        jobs.check_kept()


# --- errors ---

class Faults:
    """The disk that fails; see faulty_io.c."""

    def __init__(self, d):
        self.d, self.control = d, d.path("faults")
        d.env.update(LD_PRELOAD=build("tests", "integration", "faulty_io.so"),
                     BROOD_FAULTS=self.control)
        if SANITIZED:  # its runtime wants to be the first of all libraries
            os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [
                os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))

    def begin(self, order):
        self.d.write("faults.new", order)
        os.rename(self.d.path("faults.new"), self.control)

    def end(self):
        os.unlink(self.control)

    def count(self):
        """How many there were."""
        try:
            return os.path.getsize(self.control + ".count")
        except FileNotFoundError:
            return 0


@contextlib.contextmanager
def failing_disk():
    d = durable(start=False)
    faults = Faults(d)
    with d:
        d.start()
        yield d, faults


def check_failing_log(call, error):
    """A call that fails on the write-ahead log."""
    with failing_disk() as (d, faults):
        jobs = Submits(d, 3000)
        held = hold(d)
        done = d.run("tally", {"n": 5})
        for _ in range(10):
            assert jobs.submit()
        faults.begin("%s %s wal" % (call, error))
        assert not jobs.submit(), (call, error)
        assert not jobs.submit_many(5)
        assert faults.count() > 0
        check_life_without_a_store(d, jobs, held)
        for _ in range(5):
            assert not jobs.submit()
        faults.end()
        check_recovery(d, jobs, held)
        check_after_a_restart(d, jobs, held)
        jobs.check_refused()
        assert d.get(done["id"]) == done


def test_writes_that_fail():
    """EIO and ENOSPC from pwrite64 on the log."""
    for error in "EIO", "ENOSPC":
        check_failing_log("pwrite64", error)


def test_writes_that_fail_half_way():
    """A page of the log of which half is written, and the rest fails."""
    for error in "EIO", "ENOSPC":
        check_failing_log("short", error)


def test_a_sync_that_fails():
    """EIO and ENOSPC from fdatasync on the log: what was not known to be kept is refused."""
    for error in "EIO", "ENOSPC":
        check_failing_log("fdatasync", error)


def test_killed_while_the_disk_fails():
    """kill -9 amid the errors: everything that was acknowledged before is there."""
    for order in "pwrite64 EIO", "short ENOSPC", "fdatasync EIO", "* EIO":
        with failing_disk() as (d, faults):
            jobs = Submits(d, 3000)
            held = hold(d, max_attempts=3)
            for _ in range(10):
                assert jobs.submit()
            assert jobs.submit_many(30)
            faults.begin(order)
            for _ in range(5):
                assert not jobs.submit(), order
            crash(d)
            faults.end()
            d.start()
            jobs.check_kept()
            open_gate(d)
            assert d.wait(held)["state"] == "succeeded"
            until(jobs.submit, "a submit is taken", 5)
            again(d)
            jobs.check_kept()


@limit(180)
def test_the_file_itself_fails():
    """Errors where the log is carried over into the database: nothing is lost, and it is made up
    for when they are over."""
    for order in ("pwrite64 EIO !-", "pwrite64 ENOSPC !-", "fdatasync EIO !-", "ftruncate EIO",
                  "short EIO !-"):
        with failing_disk() as (d, faults):
            jobs = Submits(d, 100000)
            held = hold(d)
            for _ in range(10):
                assert jobs.submit()
            faults.begin(order)
            for _ in range(200):  # 20 MB: more than a log is let grow to
                jobs.submit()
            assert faults.count() > 0 or order.startswith("ftruncate"), order
            check_life_without_a_store(d, jobs, held)
            faults.end()
            check_recovery(d, jobs, held)
            again(d)
            jobs.check_kept()
            jobs.check_refused()


def test_a_start_that_fails():
    """A disk that fails while the daemon starts: it says so and exits, or starts with everything;
    and the next start, on a sound disk, has everything."""
    for order in "pwrite64 EIO", "fdatasync EIO", "* ENOSPC":
        with failing_disk() as (d, faults):
            jobs = Submits(d, 3000)
            assert jobs.submit_many(50)
            held = hold(d, max_attempts=5)
            crash(d)
            faults.begin(order)
            d.start(ready=False)
            until(lambda: d.process.poll() is not None or can_connect(d), "its start")
            if d.process.poll() is None:
                crash(d)
            else:
                assert d.process.returncode == 1, d.process.returncode
                d.wait_log("brood.db")
            faults.end()
            d.start()
            jobs.check_kept()
            open_gate(d)
            assert d.wait(held)["state"] == "succeeded"


def can_connect(d):
    try:
        d.connect().close()
    except OSError:
        return False
    return True


def test_settlements_wait_for_the_disk():
    """Jobs that end while the disk fails are not told as ended before that is kept, and are not
    run again."""
    with failing_disk() as (d, faults):
        jobs = [hold(d), hold(d)]
        with d.connect() as c:
            c.send("WaitMany", {"ids": jobs}, more=True)
            faults.begin("fdatasync EIO")
            open_gate(d)
            until(lambda: all(ended(d, id) for id in jobs), "both have finished")
            try:
                c.receive(0.3)
                raise AssertionError("told before it was kept")
            except TimeoutError:
                pass
            faults.end()
            assert [c.receive()["job"]["state"] for _ in jobs] == ["succeeded"] * 2
        again(d)
        for id in jobs:
            assert outcomes(d.get(id)) == ["succeeded"] and begun(d, id) == [1]
