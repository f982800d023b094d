#!/usr/bin/env python3
"""The log of a broker, a worker and both in one, with --log-format json: every line is a JSON
object that says when, how grave and what, the first and the last line included."""

import json
import signal
import unittest

import harness


class JsonLogs(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())

    def lines(self, process):
        found = [json.loads(line) for line in process.log.splitlines()]
        self.assertTrue(found)
        for line in found:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))
            self.assertTrue(line["message"])
        return found

    def messages(self, process):
        return [line["message"] for line in self.lines(process)]

    def test_of_a_broker_and_a_worker_through_their_lives(self):
        broker = self.grid.broker("--log-format", "json", "--log-level", "debug")
        worker = self.grid.worker("ann", "--log-format", "json", "--log-level", "debug", wait=False)
        worker.wait_for_log("worker ready")
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", 'a "quoted" \\ line\nand more')
        self.grid.run("submit", "workflow", "fail")
        (self.grid.jobs_dir / "bad.toml").write_text("[workflow.\xff")
        worker.send(signal.SIGHUP)
        worker.wait_for_log("not reloaded")
        self.grid.ok("drain", "ann")
        self.assertEqual(worker.end(), 0)
        broker.wait_for_log("a worker left")
        self.assertEqual(broker.end(), 0)
        told = self.messages(broker)
        for message in ("broker ready", "a worker joined", "a worker is drained", "a worker left"):
            self.assertIn(message, told)
        joined = next(line for line in self.lines(broker) if line["message"] == "a worker joined")
        self.assertEqual(joined["worker"], "ann")
        self.lines(worker)

    def test_the_last_words_of_what_cannot_start(self):
        self.grid.broker()
        second = self.grid.broker("--log-format", "json", name="second", wait=False)
        self.assertEqual(second.popen.wait(10), 73)
        last = self.lines(second)[-1]
        self.assertEqual((last["level"], last["code"]), ("error", "cannot_create"))
        self.assertTrue(last["hint"] is not None)
        lost = self.grid.start("worker", "--name", "bob", name="bob",
                               env={"ZGRID_SECRET_FILE": "/none", "ZGRID_GRID__LOG_FORMAT": "json"})
        self.assertEqual(lost.popen.wait(10), 78)
        self.assertEqual(self.lines(lost)[-1]["code"], "config")

    def test_of_a_grid_in_one_process(self):
        up = self.grid.start("up", "--bind", self.grid.endpoint, "--name", "one", "--log-format",
                             "json", name="up")
        up.wait_for_log("worker ready")
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x")
        self.assertEqual(up.end(), 0)
        self.lines(up)

    def test_what_is_no_utf8_is_replaced(self):
        name = b"odd-\xff\xfe.toml"
        folder = bytes(self.grid.jobs_dir)
        with open(folder + b"/" + name, "w", encoding="utf-8") as file:
            file.write("[workflow.x]\n")
        broken = self.grid.start("worker", "--name", "bob", "--log-format", "json", "--workflows",
                                 (folder + b"/" + name).decode("utf-8", "surrogateescape"),
                                 name="bob")
        broken.popen.wait(10)
        self.assertIn("odd-\ufffd\ufffd.toml", self.lines(broken)[-1]["message"])


if __name__ == "__main__":
    harness.main()
