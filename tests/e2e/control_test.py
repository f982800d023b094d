#!/usr/bin/env python3
"""Keys, priorities, retries, deadlines, delays, runs and drains."""

import array
import fcntl
import json
import os
import signal
import subprocess
import termios
import time

import harness


def is_empty(pipe):
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] == 0


class Control(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        # One slot each: what runs keeps the next from running.
        cls.grid.worker("ann", slots=1, wait=False)
        cls.grid.worker("bob", slots=1, wait=False)
        for process in cls.grid.processes[1:]:
            process.wait_for_log("ready at")

    def setUp(self):
        self.gates = 0

    def occupy(self, worker):
        """A job that keeps the worker's slot, and what lets it go."""
        gate = f"{self.id().rpartition('.')[2]}-{worker}-{self.gates}"
        self.gates += 1
        job = self.grid.submit("gate", gate, "--on", worker)
        self.grid.wait_for_start(job)
        self.addCleanup(self.grid.open_gate, gate)
        return job, lambda: self.grid.open_gate(gate)

    def test_the_same_key_is_the_same_job_and_another_body_a_conflict(self):
        first = self.grid.submit("zgrid.echo", "body", "--key", "k1")
        again = self.grid.submit("zgrid.echo", "body", "--key", "k1")
        self.assertEqual(first, again)
        self.grid.ok("wait", first)
        self.assertEqual(self.grid.submit("zgrid.echo", "body", "--key", "k1"), first)
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "body", "--key", "k1")
        self.assertEqual(done.out, "body")
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--text", "other", "--key", "k1",
                             "--json")
        self.check(done, 65)
        self.assertEqual(done.error["code"], "conflict")

    def test_higher_priorities_run_first_and_equal_ones_in_order(self):
        _, let_go = self.occupy("ann")
        ids = [self.grid.submit("order", f"{name}", "--on", "ann", "--priority", priority)
               for name, priority in (("a4", "4"), ("b0", "0"), ("c9", "9"), ("d4", "4"),
                                      ("e9", "9"))]
        let_go()
        self.grid.ok("wait", *ids)
        order = (self.grid.jobs_dir / "order").read_text().split()
        self.assertEqual(order, ["c9", "e9", "a4", "d4", "b0"])

    def test_a_job_that_fails_twice_succeeds_with_retries(self):
        self.check(self.grid.run("submit", "workflow", "flaky"), 1)
        self.check(self.grid.run("submit", "workflow", "flaky", "--retries", "1"), 1)
        done = self.grid.ok("submit", "workflow", "flaky", "--retries", "2", "--json")
        self.assertEqual(done.json["output"], "attempt 3")
        self.assertEqual(done.json["attempt"], 3)

    def test_a_deadline_ends_a_job_that_waits_and_one_that_runs(self):
        begun = time.monotonic()
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--on", "nobody", "--deadline",
                             "300ms", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["status"], "timed_out")
        done = self.grid.run("submit", "workflow", "nap", "--text", "60", "--deadline", "300ms",
                             "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["status"], "timed_out")
        self.assertLess(time.monotonic() - begun, 15)

    def test_a_delayed_job_starts_no_sooner(self):
        result = self.grid.ok("submit", "workflow", "zgrid.echo", "--delay", "400ms",
                              "--json").json
        self.assertGreaterEqual(result["times"]["queued_ms"], 399)
        job = self.grid.submit("zgrid.echo", "x", "--delay", "1h")
        self.assertEqual(self.grid.job(job)["status"], "waiting")
        self.grid.ok("cancel", job)
        self.assertEqual(self.grid.job(job)["status"], "cancelled")

    def test_a_run_is_waited_for_listed_and_cancelled_as_one(self):
        ids = [self.grid.submit("zgrid.echo", str(i), "--run", "night") for i in range(4)]
        self.grid.ok("wait", "--run", "night")
        outputs = self.grid.ok("result", "--run", "night", "--json").lines
        self.assertEqual(sorted(result["output"] for result in outputs), ["0", "1", "2", "3"])
        self.assertEqual(sorted(result["job"] for result in outputs), sorted(ids))
        late = [self.grid.submit("zgrid.echo", "x", "--run", "late", "--on", "nobody")
                for _ in range(3)]
        self.grid.ok("cancel", "--run", "late", "--state", "queued")
        self.check(self.grid.run("wait", "--run", "late"), 3)
        self.assertTrue(all(self.grid.job(job)["status"] == "cancelled" for job in late))

    def test_ids_on_stdin_are_waited_for(self):
        ids = [self.grid.submit("zgrid.echo", str(i)) for i in range(3)]
        stdin = "\n".join(ids).encode()
        documents = self.grid.ok("wait", "-", "--json", input=stdin).lines
        self.assertEqual(sorted(document["job"] for document in documents), sorted(ids))
        for verb in ("result", "attach", "retry"):
            self.assertEqual(self.grid.ok(verb, "-", input=stdin).out, "0\n1\n2\n")
            self.assertEqual(self.grid.ok(verb, "-", input=ids[1].encode()).out, "1")
        self.assertEqual([why["job"] for why in
                          self.grid.ok("explain", "-", "--json", input=stdin).lines], ids)

    def test_outputs_of_a_run_end_with_newlines_even_if_it_is_one_job(self):
        self.grid.ok("wait", self.grid.submit("zgrid.echo", "x", "--run", "alone"))
        for verb in ("result", "attach", "retry"):
            self.assertEqual(self.grid.ok(verb, "--run", "alone").out.splitlines()[0], "x")
        self.assertEqual(self.grid.ok("result", "--run", "alone").out, "x\nx\n")

    def test_lines_of_several_jobs_say_whose_they_are(self):
        ids = [self.grid.submit("talk", "", "--run", "talks") for _ in range(2)]
        self.grid.ok("wait", *ids)
        done = self.grid.ok("attach", "--run", "talks")
        self.assertEqual(done.out, "done\ndone\n")
        for job in ids:
            self.assertIn(f"[{job.rpartition('-')[2]}] [talk] one\n", done.err)
        self.assertTrue(self.grid.ok("attach", ids[0]).err.startswith("[talk] one\n"))
        done = self.grid.ok("submit", "workflow", "talk", "--array", "7-8", "--follow")
        self.assertIn("[7] [talk] one\n", done.err)
        self.assertIn("[8] [talk] one\n", done.err)

    def test_no_ids_on_stdin_are_an_error_with_a_hint(self):
        for verb in ("wait", "result", "cancel", "retry", "attach", "explain"):
            done = self.grid.run(verb, "-", "--json", input=b" \n\n")
            self.check(done, 66)
            self.assertEqual(done.error["message"], "no ids on stdin")
            self.assertTrue(done.error["hint"])
        self.check(self.grid.run("dlq", "retry", "-"), 66, "no ids on stdin")

    def test_a_stdin_that_stays_open_gives_way_to_signals_and_the_timeout(self):
        for verb in (["wait"], ["cancel"], ["dlq", "purge"]):
            ours, theirs = os.pipe()
            command = subprocess.Popen([harness.binary(), *verb, "-"], stdin=ours,
                                       env=self.grid.env, cwd=self.grid.dir)
            harness.adopt(command.pid)
            try:
                os.write(theirs, b"0123\n")
                harness.wait_until(lambda pipe=ours: is_empty(pipe), what="the first id being read")
                command.send_signal(signal.SIGINT)
                self.assertEqual(command.wait(10), -signal.SIGINT)
                with os.fdopen(os.dup(ours)) as stdin:
                    done = subprocess.run([harness.binary(), *verb, "-", "--timeout", "100ms"],
                                          stdin=stdin, capture_output=True, env=self.grid.env,
                                          cwd=self.grid.dir, timeout=10, check=False)
                self.assertEqual(done.returncode, 124, done)
                self.assertIn(b"stdin did not end", done.stderr)
            finally:
                command.kill()
                command.wait()
                os.close(ours)
                os.close(theirs)

    def test_a_drained_worker_finishes_and_gets_nothing_until_undrained(self):
        running, let_go = self.occupy("ann")
        self.grid.ok("drain", "ann")
        workers = {worker["name"]: worker
                   for worker in self.grid.ok("workers", "--json").json["workers"]}
        self.assertTrue(workers["ann"]["draining"])
        self.assertFalse(workers["bob"]["draining"])
        pinned = self.grid.submit("zgrid.echo", "x", "--on", "ann")
        for _ in range(3):
            result = self.grid.ok("submit", "workflow", "zgrid.echo", "--json").json
            self.assertEqual(result["worker"]["name"], "bob")
        let_go()
        self.grid.ok("wait", running)
        self.assertEqual(self.grid.job(pinned)["status"], "queued")
        self.grid.ok("undrain", "ann")
        self.grid.ok("wait", pinned)
        self.assertEqual(self.grid.job(pinned)["worker"]["name"], "ann")

    def test_a_cancel_ends_the_processes_of_a_running_job(self):
        job = self.grid.submit("nap", "300")
        pid = int(self.grid.wait_for_start(job)[0]["pid"])
        self.assertTrue(harness.is_alive(pid))
        self.grid.ok("cancel", job)
        self.assertFalse(harness.is_alive(pid))

    def test_a_time_limit_ends_children_and_those_in_sessions_of_their_own(self):
        done = self.grid.run("submit", "workflow", "family", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["status"], "timed_out")
        pids = [int(line) for line in (self.grid.jobs_dir / "family").read_text().split()]
        self.assertEqual(len(pids), 2)
        self.assertFalse([pid for pid in pids if harness.is_alive(pid)])

    def test_a_second_worker_of_a_live_name_is_refused(self):
        other = {"XDG_STATE_HOME": str(self.grid.dir / "other-state")}
        done = self.grid.run("worker", "--name", "ann", env=other)
        self.check(done, 78, "ann")
        # Not even one that stands on the same state folder.
        self.check(self.grid.run("worker", "--name", "ann"), 78, "worker-ann")

    def test_events_of_a_stream_carry_job_attempt_and_order(self):
        followed = self.grid.start("submit", "workflow", "report", "--text", "reported", "--follow",
                                   "--json", name="follow")
        # They come while the job runs, not at its end.
        harness.wait_until(lambda: '"zero"' in followed.out, what="the first log line")
        self.grid.open_gate("reported")
        self.assertEqual(followed.popen.wait(10), 0)
        *events, result = [json.loads(line) for line in followed.out.splitlines()]
        self.assertEqual(result["output"], "done")
        for event in events:
            self.assertEqual(list(event), ["schema", "job", "attempt", "seq", "kind", "name",
                                           "step", "at", "data"])
            self.assertEqual((event["job"], event["attempt"]), (result["job"], 1))
        logs = [event for event in events if event["kind"] == "log"]
        self.assertEqual([log["data"] for log in logs],
                         [{"text": "zero"}, {"text": "one"}, {"text": "two"}])
        self.assertEqual([log["seq"] for log in logs], sorted(log["seq"] for log in logs))
        self.assertEqual({log["step"] for log in logs}, {"report"})

    def test_who_attaches_later_sees_what_was_logged_before(self):
        followed = self.grid.start("submit", "workflow", "report", "--text", "joined", "--follow",
                                   name="first")
        harness.wait_until(lambda: "zero" in followed.log, what="the first log line")
        attached = self.grid.start("attach", "last", name="second")
        harness.wait_until(lambda: "zero" in attached.log, what="the same line, later")
        self.grid.open_gate("joined")
        self.assertEqual(attached.popen.wait(10), 0)
        self.assertRegex(attached.log, r"(?s)zero.*one.*two")
        self.assertEqual(attached.out, "done")


if __name__ == "__main__":
    harness.main()
