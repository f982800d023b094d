#!/usr/bin/env python3
"""Exit codes, signals and closed pipes: what scripts hold on to."""

import os
import signal
import socket
import subprocess

import harness


class Exits(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("ann", slots=4)

    def test_another_secret_is_refused_with_77(self):
        other = self.grid.dir / "other"
        self.grid.ok("secret", "new", "--out", str(other))
        done = self.grid.run("workers", "--broker", self.grid.endpoint, "--secret-file", str(other),
                             "--json", "--timeout", "8s")
        self.check(done, 77, "wrong secret")
        self.assertEqual(done.error["code"], "auth")

    def test_no_broker_is_69(self):
        nobody = f"tcp://127.0.0.1:{harness.free_port(socket.SOCK_STREAM)}"
        self.check(self.grid.run("workers", "--broker", nobody, "--timeout", "500ms"), 69)
        port = str(harness.free_port(socket.SOCK_DGRAM))
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--timeout", "500ms", "--json",
                             env={"ZGRID_GRID__PEERS": None, "ZGRID_GRID__BEACON_PORT": port,
                                  "XDG_CACHE_HOME": str(self.grid.dir / "empty")})
        self.check(done, 69)
        self.assertEqual(done.error["code"], "no_broker")

    def test_no_broker_is_69_also_where_a_reconnection_would_get_less_time(self):
        nobody = f"tcp://127.0.0.1:{harness.free_port(socket.SOCK_STREAM)}"
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--broker", nobody, "--json",
                             env={"ZGRID_CLIENT__CONNECT_TIMEOUT": "1s",
                                  "ZGRID_CLIENT__RECONNECT": "200ms"})
        self.check(done, 69)
        self.assertEqual(done.error["code"], "no_broker")

    def test_a_worker_that_cannot_be_right_says_so_and_ends(self):
        tags = [part for number in range(70) for part in ("--tag", f"t{number}=1")]
        self.check(self.grid.run("worker", *tags), 78, "64 tags")
        self.check(self.grid.run("worker", "--broker", "tcp://127.0.0.1"), 2,
                   "tcp://HOST:PORT")

    def test_a_missing_secret_is_78_and_says_how_to_make_one(self):
        for verb in (["workers"], ["broker"], ["worker"], ["submit", "workflow", "zgrid.echo"]):
            done = self.grid.run(*verb, env={"ZGRID_SECRET_FILE": None})
            self.check(done, 78, "secret new")

    def test_a_failing_step_is_1_and_tells_step_exit_code_and_stderr(self):
        self.assertEqual(self.grid.run("submit", "workflow", "fail").err.count("exit code"), 1)
        done = self.grid.run("submit", "workflow", "fail", "--json")
        self.assertEqual(done.code, 1, done)
        result = done.json
        self.assertEqual(result["status"], "failed")
        self.assertIsNone(result["event"])
        error = result["error"]
        self.assertEqual(list(error), ["kind", "message", "retryable", "took_effect", "step",
                                       "exit_code", "stderr_tail"])
        self.assertEqual(error["kind"], "workflow")
        self.assertEqual(error["step"], "break")
        self.assertEqual(error["exit_code"], 7)
        self.assertIn("made of cheese", error["stderr_tail"])
        done = self.check(self.grid.run("submit", "workflow", "fail"), 1, "made of cheese", "break")
        self.assertEqual(done.bytes, b"")

    def test_a_time_limit_is_1_and_the_job_timed_out(self):
        done = self.grid.run("submit", "workflow", "nap", "--text", "60", "--time-limit", "200ms",
                             "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["status"], "timed_out")
        self.assertEqual(done.json["error"]["kind"], "timeout")

    def test_timeout_ends_the_command_with_124_and_the_job_goes_on(self):
        done = self.grid.run("submit", "workflow", "gate", "--text", "after-124", "--timeout",
                             "300ms")
        job = self.grid.ok("jobs", "--json", "--limit", "1").json["jobs"][0]["job"]
        self.check(done, 124, job)
        self.assertEqual(self.grid.job(job)["status"], "running")
        self.check(self.grid.run("wait", job, "--timeout", "200ms"), 124)
        self.check(self.grid.run("result", job), 75)
        self.grid.open_gate("after-124")
        self.grid.ok("wait", job)
        self.assertEqual(self.grid.ok("result", job).out, "after-124 by ann")

    def test_a_cancelled_job_is_3_for_whoever_waits(self):
        job = self.grid.submit("gate", "never")
        self.grid.wait_for_start(job)
        waiting = self.grid.start("wait", job, name="waiting")
        self.grid.ok("cancel", job)
        self.assertEqual(waiting.popen.wait(10), 3)
        told = self.check(self.grid.run("result", job), 3).err
        self.assertEqual(told.count("cancelled"), 1, told)
        self.assertEqual(self.grid.run("result", job, "--json").json["status"], "cancelled")
        self.grid.ok("cancel", job)  # again: it is

    def test_cancelling_what_ended_otherwise_is_1(self):
        job = self.grid.submit("zgrid.echo", "x")
        self.grid.ok("wait", job)
        self.check(self.grid.run("cancel", job), 1)

    def test_of_several_jobs_the_worst_exit_counts(self):
        good = self.grid.submit("zgrid.echo", "x")
        bad = self.grid.submit("fail")
        gone = self.grid.submit("zgrid.echo", "x", "--on", "nobody")
        self.grid.ok("cancel", gone)
        self.check(self.grid.run("wait", good), 0)
        self.check(self.grid.run("wait", good, gone), 3)
        self.check(self.grid.run("wait", gone, bad, good), 1)
        self.assertEqual(self.grid.run("wait", "-", input=f"{good}\n{bad}\n".encode()).code, 1)

    def test_bad_input_is_65_bad_usage_2_and_an_unknown_job_66(self):
        submit = ["submit", "workflow", "zgrid.echo"]
        self.check(self.grid.run(*submit, "--input", '{"a":'), 65, "JSON")
        self.check(self.grid.run(*submit, "--frobnicate"), 2, "--frobnicate")
        self.check(self.grid.run(*submit, "--priority", "11"), 2)
        self.check(self.grid.run(*submit, "--delay", "soon"), 2)
        self.check(self.grid.run("sumbit"), 2)
        self.check(self.grid.run("wait"), 2)
        absent = "01a1fdbe-0000-7000-8000-000000000000"
        for verb in ("wait", "result", "cancel", "attach"):
            self.check(self.grid.run(verb, absent), 66)
        self.check(self.grid.run("wait", "--run", "no-such-run"), 66)
        self.check(self.grid.run("drain", "nobody"), 66)

    def test_a_part_of_an_id_is_enough_if_it_is_unique(self):
        job = self.grid.submit("zgrid.echo", "tail")
        self.grid.ok("wait", job)
        self.assertEqual(self.grid.ok("result", job[-8:]).out, "tail")
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "newest")
        self.assertEqual(self.grid.ok("result", "last").out, "newest")

    def test_an_address_in_use_and_a_locked_store_are_73(self):
        state = {"XDG_STATE_HOME": str(self.grid.dir / "state2")}
        done = self.grid.run("broker", "--bind", self.grid.endpoint, env=state)
        self.check(done, 73, str(self.grid.port))
        other = f"tcp://127.0.0.1:{harness.free_port(socket.SOCK_STREAM)}"
        self.check(self.grid.run("broker", "--bind", other), 73, "broker.db")

    def test_a_closed_pipe_ends_a_command_silently(self):
        script = ('{ "$0" submit workflow big; echo "$?" > code; } 2> errors | head -c1')
        done = subprocess.run(["sh", "-c", script, harness.binary()], env=self.grid.env,
                              cwd=self.grid.dir, capture_output=True, timeout=20, check=True)
        self.assertEqual(done.stdout, b"1")
        self.assertEqual((self.grid.dir / "errors").read_text(), "")
        self.assertEqual(int((self.grid.dir / "code").read_text()), 128 + signal.SIGPIPE)

    def test_followers_end_when_nobody_reads_them_any_more_though_nothing_happens(self):
        job = self.grid.submit("report", "unread")
        self.grid.wait_for_start(job)
        for words in (["events", "-f"], ["logs", "-f"], ["logs", job, "-f"], ["logs", "ann", "-f"],
                      ["attach", job, "--json"]):
            pair = socket.socketpair()
            for reader, writer in (os.pipe(), (pair[0].detach(), pair[1].detach())):
                command = subprocess.Popen([harness.binary(), *words], env=self.grid.env,
                                           cwd=self.grid.dir, stdout=writer, stderr=subprocess.PIPE)
                os.close(writer)
                self.assertTrue(os.read(reader, 1))  # so it follows
                os.close(reader)
                self.assertEqual(command.wait(10), -signal.SIGPIPE, words)
                self.assertEqual(command.communicate()[1], b"")
        self.assertEqual(self.grid.job(job)["status"], "running")
        self.grid.open_gate("unread")
        self.grid.ok("wait", job)

    def test_a_signal_detaches_and_the_command_dies_by_it(self):
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            gate = f"gate-{signum}"
            command = self.grid.start("submit", "workflow", "gate", "--text", gate, name=gate)
            harness.wait_until(lambda: any(job["name"] == "gate" and job["status"] == "running"
                                           for job in self.grid.ok("jobs", "--json").json["jobs"]))
            job = self.grid.ok("jobs", "--limit", "1", "--json").json["jobs"][0]["job"]
            self.assertEqual(command.end(signum), -signum, command.log)
            self.assertIn("zgrid attach", command.log)
            self.assertEqual(self.grid.job(job)["status"], "running")
            self.grid.open_gate(gate)
            self.grid.ok("wait", job)

    def test_brokers_and_workers_end_with_0_when_told_to(self):
        for signum in (signal.SIGINT, signal.SIGTERM):
            with harness.Grid() as grid:
                broker = grid.broker()
                worker = grid.worker("zoe")
                self.assertEqual(worker.end(signum), 0, worker.log)
                self.assertEqual(broker.end(signum), 0, broker.log)

    def test_help_is_0_and_on_stdout(self):
        verbs = [[], ["submit"], ["submit", "workflow"], ["broker"], ["worker"], ["secret", "new"],
                 ["jobs"], ["wait"], ["config", "show"]]
        for verb in verbs:
            done = self.grid.run(*verb, "--help", env={"ZGRID_SECRET_FILE": None})
            self.check(done, 0)
            self.assertIn("zgrid", done.out)
            self.assertEqual(done.err, "")


if __name__ == "__main__":
    os.environ.pop("NO_COLOR", None)
    harness.main()
