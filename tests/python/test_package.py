# SPDX-License-Identifier: MIT
"""What the package says, beside the interface that it is about."""

import dataclasses
import os
import re
import unittest
from datetime import datetime, timedelta, timezone

import brood
from brood import _errors, _records, _spec, _wire

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def interface(name="io.brood"):
    with open(os.path.join(TREE, "lib", name + ".varlink"), encoding="utf-8") as f:
        return re.sub(r"#.*", "", f.read())


def fields(text):
    """The names of the members that stand on the first level of round brackets."""
    depth, names, word = 0, [], ""
    for c in text:
        if c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
        elif c == ":" and depth == 1:
            names.append(word.strip().split()[-1])
        word = "" if c in "(,)" else word + c
    return names


def declared(kind):
    """{name: fields} of the types or errors of io.brood."""
    return {m.group(1): fields(m.group(2)) for m in
            re.finditer(r"^%s (\w+) (\(.*?\))\s*(?=^type|^method|^error|\Z)" % kind, interface(),
                        re.M | re.S)}


def method_output(name):
    """The brackets behind the arrow."""
    return re.search(r"^method %s\(.*?\) -> (\(.*?\))\s*(?=^method|^error)" % name, interface(),
                     re.M | re.S).group(1)


class Interface(unittest.TestCase):
    def test_every_error_is_an_exception_with_its_parameters(self):
        for name, parameters in declared("error").items():
            kind = getattr(brood, name)
            self.assertIs(_errors.ERRORS["io.brood." + name], kind)
            values = {p: 7 if p in ("limit", "line", "limit_bytes") else "x" for p in parameters}
            error = _errors.call_error("io.brood." + name, values)
            self.assertIsInstance(error, kind)
            for p, value in values.items():
                self.assertEqual(getattr(error, p), value, (name, p))
            self.assertTrue(str(error).startswith(name), str(error))

    def test_all_names_are_there(self):
        self.assertEqual(set(" ".join(brood._HOMES.values()).split()), set(brood.__all__))
        for name in brood.__all__:
            self.assertTrue(getattr(brood, name).__doc__, name)
        with self.assertRaises(AttributeError):
            brood.Nothing

    def test_an_unknown_error_is_a_call_error(self):
        error = _errors.call_error("org.example.Odd", {"a": 1})
        self.assertIs(type(error), brood.CallError)
        self.assertEqual((error.name, error.parameters), ("org.example.Odd", {"a": 1}))

    def test_every_record_has_the_fields_of_its_type(self):
        types = declared("type")
        types.update(Status=fields(method_output("Status")), Change=fields(method_output("Watch")),
                     Reason=fields(method_output("Why")))
        for name in set(types) - {"State", "Spec"}:
            kind = getattr(_records, {"Warning": "DaemonWarning"}.get(name, name))
            known = {f.name for f in dataclasses.fields(kind)} - {"raw"}
            self.assertEqual(known, set(types[name]), name)

    def test_every_field_of_a_spec_can_be_said(self):
        known = {f.name + ("_usec" if f.name in ("run_at", "delay", "timeout", "ttl", "keep")
                           else "") for f in dataclasses.fields(brood.Spec)}
        self.assertEqual(known, set(declared("type")["Spec"]))

    def test_the_interface_file_is_there(self):
        self.assertIn("interface io.brood.Worker", _wire.text_of_interface("io.brood.Worker"))


class Specs(unittest.TestCase):
    def test_units(self):
        said = brood.Spec("h", delay=0.25, timeout=timedelta(minutes=1), ttl=2,
                          run_at=datetime(2030, 1, 1, tzinfo=timezone.utc)).message()
        self.assertEqual(said["delay_usec"], 250000)
        self.assertEqual(said["timeout_usec"], 60000000)
        self.assertEqual(said["ttl_usec"], 2000000)
        self.assertEqual(said["run_at_usec"], 1893456000 * 1000000)

    def test_arguments(self):
        self.assertEqual(brood.Spec("h", {"a": 1}).message()["args"], {"a": 1})
        self.assertEqual(brood.Spec("h", [1]).message()["args"], {"value": [1]})
        self.assertNotIn("args", brood.Spec("h").message())

    def test_a_spec_keeps_its_id(self):
        spec = brood.Spec("h")
        self.assertEqual(spec.message()["id"], spec.message()["id"])

    def test_nothing_beside_a_spec(self):
        with self.assertRaises(TypeError):
            _spec.spec_of(brood.Spec("h"), {"a": 1}, {})

    def test_ids_are_uuids_of_version_7_in_order(self):
        ids = [brood.new_id() for _ in range(1000)]
        for id in ids:
            self.assertRegex(id, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                 r"[0-9a-f]{12}$")
        self.assertEqual(len(set(ids)), 1000)
        times = [id[:18] for id in ids]
        self.assertEqual(times, sorted(times))


class Records(unittest.TestCase):
    JOB = {"id": "i", "spec": {"handler": "h"}, "pool": "p", "state": "failed", "uid": 1, "gid": 2,
           "submitted_usec": 3, "attempts": [{"number": 1, "started_usec": 4, "error": "bad"}],
           "result": {"why": "so"}, "of_tomorrow": True}

    def test_a_job_that_failed(self):
        job = brood.Job.of(self.JOB)
        self.assertEqual((job.error, job.ended, job.handler), ("bad", True, "h"))
        with self.assertRaises(brood.JobFailed) as caught:
            job.get()
        self.assertIs(caught.exception.job, job)
        self.assertIn("bad", str(caught.exception))
        self.assertTrue(job.raw["of_tomorrow"])

    def test_output(self):
        self.assertEqual(brood.Output.of({"stream": "stdout", "data": "ä"}).text, "ä")
        self.assertEqual(brood.Output.of({"stream": "stderr", "data_base64": "AAE="}).data,
                         b"\0\1")


class Wire(unittest.TestCase):
    def test_messages_in_any_pieces(self):
        messages = [b'{"a":%d}' % i for i in range(20)]
        whole = b"".join(m + b"\0" for m in messages)
        for size in (1, 2, 3, 7, 64, len(whole)):
            splitter, got = _wire.Splitter(), []
            for at in range(0, len(whole), size):
                got += splitter.feed(whole[at:at + size])
            self.assertEqual(got, messages)

    def test_what_is_no_message(self):
        for text in (b"", b"[]", b"{", b"\xff"):
            with self.assertRaises(brood.ProtocolError):
                _wire.read(text)

    def test_the_socket(self):
        kept = dict(os.environ)
        try:
            os.environ["BROOD_SOCKET"] = "/x/y"
            self.assertEqual(_wire.default_socket(), "/x/y")
            os.environ["BROOD_SOCKET"] = ""
            if os.getuid() == 0:
                self.assertEqual(_wire.default_socket(), "/run/brood/brood.sock")
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def test_nobody_there(self):
        with self.assertRaises(brood.Unreachable) as caught:
            brood.Client("/nowhere/sock")
        self.assertIn("/nowhere/sock", str(caught.exception))
        self.assertIsInstance(caught.exception, ConnectionError)


if __name__ == "__main__":
    unittest.main()
