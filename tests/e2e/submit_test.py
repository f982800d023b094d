#!/usr/bin/env python3
"""A broker and two workers: what `zgrid submit` prints, where jobs run, and the documents."""

import json
import platform
import socket
import subprocess

import harness

RESULT = ["schema", "job", "name", "run", "index", "kind", "status", "attempt", "worker", "event",
          "output", "error", "usage", "times", "retry_of", "trace"]
WORKER = ["id", "name", "host", "os", "os_version", "arch", "version"]
USAGE = ["input_tokens", "output_tokens", "cost_usd", "estimated"]
TIMES = ["submitted", "started", "finished", "queued_ms", "run_ms"]


class Submit(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        (cls.grid.dir / "prompts.toml").write_text(
            '[[worker.provider]]\nname = "loud"\nkind = "command"\nargv = ["tr", "a-z", "A-Z"]\n')
        ann = cls.grid.worker("ann", "--config", "prompts.toml", wait=False)
        bob = cls.grid.worker("bob", "--tag", "gpu=yes", wait=False)
        ann.wait_for_log("worker ann ready")
        bob.wait_for_log("worker bob ready")

    def test_a_workflow_prints_its_bare_output(self):
        done = self.check(self.grid.run("submit", "workflow", "word-count", "--text",
                                        "to be or not to be\n"), 0)
        self.assertEqual(done.bytes, b"lines 1  words 6  bytes 19\n")

    def test_every_machine_gives_a_result_that_says_where_it_ran(self):
        done = self.grid.ok("submit", "workflow", "word-count", "--on", "all", "--json", "--run",
                            "both", "--text", "a b")
        results = done.lines
        self.assertEqual(sorted(result["worker"]["name"] for result in results), ["ann", "bob"])
        for result in results:
            self.assertEqual(list(result), RESULT)
            self.assertEqual(list(result["worker"]), WORKER)
            self.assertEqual(list(result["event"]), ["type", "data"])
            self.assertEqual(list(result["usage"]), USAGE)
            self.assertEqual(list(result["times"]), TIMES)
            self.assertEqual(result["schema"], "zgrid/1")
            self.assertEqual(result["name"], "word-count")
            self.assertEqual(result["run"], "both")
            self.assertEqual(result["kind"], "workflow")
            self.assertEqual(result["status"], "succeeded")
            self.assertEqual(result["attempt"], 1)
            self.assertEqual(result["worker"]["host"], socket.gethostname())
            self.assertEqual(result["worker"]["os"], platform.system())
            self.assertEqual(result["worker"]["arch"], platform.machine())
            self.assertEqual(result["event"]["type"], "StopEvent")
            self.assertEqual(result["output"], "lines 0  words 2  bytes 3\n")
            self.assertIsNone(result["error"])
            self.assertRegex(result["times"]["finished"],
                             r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_in_a_pipe_each_line_of_a_broadcast_names_its_machine(self):
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--on", "all", "--text", "x\ny")
        self.assertEqual(sorted(done.out.splitlines()), ["ann: x", "ann: y", "bob: x", "bob: y"])

    def test_a_job_runs_on_the_machine_that_was_named_or_has_the_tag(self):
        for where in ("bob", "tag:gpu=yes"):
            done = self.grid.ok("submit", "workflow", "zgrid.echo", "--on", where, "--json",
                                "--text", "x")
            self.assertEqual(done.json["worker"]["name"], "bob")

    def test_a_job_for_a_missing_machine_waits_and_with_no_queue_is_refused(self):
        job = self.grid.submit("zgrid.echo", "x", "--on", "nobody")
        self.assertEqual(self.grid.job(job)["status"], "queued")
        self.check(self.grid.run("result", job), 75)
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--text", "x", "--on", "nobody",
                             "--no-queue", "--json")
        self.check(done, 75)
        self.assertEqual(done.error["code"], "no_candidate")
        self.check(self.grid.run("submit", "workflow", "unheard-of", "--no-queue"), 75)
        self.grid.ok("cancel", job)

    def test_a_job_that_nobody_takes_says_why(self):
        done = self.grid.run("submit", "workflow", "unheard-of", "--timeout", "3s")
        self.check(done, 124, "queued", "unheard-of")
        self.grid.ok("cancel", "last")

    def test_workers_are_listed_with_all_their_fields(self):
        workers = self.grid.ok("workers", "--json").json["workers"]
        self.assertEqual(sorted(worker["name"] for worker in workers), ["ann", "bob"])
        for worker in workers:
            self.assertEqual(list(worker), ["id", "name", "host", "os", "arch", "version", "online",
                                            "draining", "slots", "free", "tags", "services",
                                            "wedged", "load"])
        bob = next(worker for worker in workers if worker["name"] == "bob")
        self.assertEqual(bob["tags"], {"gpu": "yes"})
        self.assertEqual((bob["online"], bob["draining"], bob["slots"]), (True, False, 2))
        self.assertIn("word-count", bob["services"])
        self.assertIn("zgrid.echo", bob["services"])

    def test_jobs_are_listed_newest_first_by_run_and_up_to_a_limit(self):
        ids = [self.grid.submit("zgrid.echo", str(i), "--run", "listed") for i in range(3)]
        self.grid.ok("wait", *ids)
        jobs = self.grid.ok("jobs", "--run", "listed", "--json").json["jobs"]
        self.assertEqual([job["job"] for job in jobs], ids[::-1])
        for job in jobs:
            self.assertEqual(list(job), ["job", "name", "run", "index", "kind", "status", "attempt",
                                         "worker", "times", "reason", "wedged",
                                         "idle_ms"])
            self.assertEqual(list(job["times"]), TIMES)
        jobs = self.grid.ok("jobs", "--run", "listed", "--limit", "1", "--json").json["jobs"]
        self.assertEqual([job["job"] for job in jobs], [ids[2]])

    def test_status_counts_workers_and_jobs(self):
        self.grid.ok("submit", "workflow", "zgrid.echo")
        status = self.grid.ok("status", "--json").json
        self.assertEqual(status["schema"], "zgrid/1")
        self.assertEqual(status["workers"]["online"], 2)
        self.assertGreater(status["jobs"]["succeeded"], 0)
        self.assertTrue(status["broker"]["durable"])
        self.assertIn(self.grid.endpoint, self.grid.ok("status").out)

    def test_input_comes_from_an_argument_a_file_or_stdin(self):
        def echo(*args, **options):
            done = self.grid.ok("submit", "workflow", "zgrid.echo", *args, **options)
            return done.bytes
        (self.grid.dir / "text").write_bytes(b"from a file\n")
        (self.grid.dir / "input.json").write_text('{"n": [1, 2]}')
        self.assertEqual(echo("--text", "words"), b"words")
        self.assertEqual(echo("--text", "@text"), b"from a file\n")
        self.assertEqual(echo("--text", "@@at"), b"@at")
        self.assertEqual(echo("--text", "-", input=b"from stdin"), b"from stdin")
        self.assertEqual(json.loads(echo("--input", '{"a": "ü", "b": 1.5}')), {"a": "ü", "b": 1.5})
        self.assertEqual(json.loads(echo("--input", "@input.json")), {"n": [1, 2]})
        self.assertEqual(json.loads(echo("--input", "-", input=b'{"s": true}')), {"s": True})
        self.assertEqual(json.loads(echo()), {})
        self.check(self.grid.run("submit", "workflow", "zgrid.echo", "--text", "@missing"), 66)

    def test_output_is_byte_for_byte_and_base64_in_a_document(self):
        wanted = b"\xff\x00\x01\n\xfe"
        self.assertEqual(self.grid.ok("submit", "workflow", "binary").bytes, wanted)
        result = self.grid.ok("submit", "workflow", "binary", "--json").json
        self.assertEqual(harness.text_of(result["output"]), wanted)
        big = self.grid.ok("submit", "workflow", "big").bytes
        self.assertEqual(big, b"".join(b"%d\n" % i for i in range(1, 200001)))

    def test_a_shell_can_keep_the_output_in_a_variable(self):
        script = 'x=$("$0" submit workflow word-count --text "a b c") && echo "[$x]"'
        done = subprocess.run(["sh", "-c", script, harness.binary()], env=self.grid.env,
                              capture_output=True, timeout=20, check=True)
        self.assertEqual(done.stdout, b"[lines 0  words 3  bytes 5]\n")

    def test_chosen_steps_run_alone(self):
        def chain(*args):
            return self.grid.ok("submit", "workflow", "chain", "--text", "abc", *args).out
        self.assertEqual(chain(), "> ABC")
        self.assertEqual(chain("--step", "upper"), "ABC")
        self.assertEqual(chain("--step", "quote"), "> abc")
        self.assertEqual(chain("--step", "upper", "--step", "quote"), "> ABC")
        done = self.grid.run("submit", "workflow", "chain", "--step", "absent", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["error"]["kind"], "unknown_step")

    def test_a_prompt_goes_to_a_machine_with_a_provider(self):
        result = self.grid.ok("submit", "prompt", "name three rivers", "--json").json
        self.assertEqual(result["output"], "NAME THREE RIVERS")
        self.assertEqual(result["kind"], "prompt")
        self.assertEqual(result["worker"]["name"], "ann")
        self.assertEqual(self.grid.ok("submit", "prompt", "-", input=b"rhine").out, "RHINE")

    def test_follow_and_attach_show_what_a_job_logs(self):
        done = self.grid.ok("submit", "workflow", "talk", "--follow")
        self.assertEqual(done.out, "done")
        self.assertRegex(done.err, r"(?s)one.*two")
        job = self.grid.ok("jobs", "--json", "--limit", "1").json["jobs"][0]["job"]
        again = self.grid.ok("attach", job)
        self.assertEqual(again.out, "done")
        documents = self.grid.ok("attach", job, "--json").lines
        self.assertEqual(documents[-1]["output"], "done")

    def test_attach_follows_a_job_that_runs(self):
        job = self.grid.submit("gate", "attached")
        self.grid.wait_for_start(job)
        attached = self.grid.start("attach", job, name="attach")
        self.grid.open_gate("attached")
        self.assertEqual(attached.popen.wait(10), 0)
        self.assertIn("attached by ", attached.out)


if __name__ == "__main__":
    harness.main()
