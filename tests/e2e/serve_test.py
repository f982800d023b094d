#!/usr/bin/env python3
"""Kept processes (mode = "serve"): one process serves many jobs, whatever becomes of some."""

import json
import signal

import harness

# Answers with its pid and the text, or does what the text says. It notes each start.
SERVANT = r"""
import json, os, sys, time
with open(NAME + ".starts", "a") as starts:
    starts.write(f"{os.getpid()}\n")
for line in sys.stdin:
    event = json.loads(line)
    text = event["data"].get("text", "")
    if text == "crash":
        print("it hurts", file=sys.stderr, flush=True)
        os._exit(7)
    if text == "hang":
        time.sleep(1000)
    if text == "garbage":
        print("this is no JSON", flush=True)
        continue
    if text == "spin":
        while True:
            pass
    if text == "log":
        print("said so", file=sys.stderr, flush=True)
    print(json.dumps({"pid": os.getpid(), "text": text, "version": VERSION, "job": event["job"],
                      "index": event["index"], "attempt": event["attempt"]}), flush=True)
"""


class Serve(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker(env={"ZGRID_BROKER__WEDGED_AFTER": "2s"})

    def setUp(self):
        self.name = self._testMethodName.removeprefix("test_").replace("_", "-")[:63]
        self.write(1)
        self.worker = self.grid.worker(self.name[:30], slots=1)

    def tearDown(self):
        if self.worker.popen.poll() is None:
            self.assertEqual(self.worker.end(), 0)
        self.assertFalse([pid for pid in self.starts() if harness.is_alive(pid)])

    def write(self, version):
        script = self.grid.jobs_dir / f"{self.name}.py"
        script.write_text(SERVANT.replace("NAME", json.dumps(self.name))
                          .replace("VERSION", str(version)))
        (self.grid.jobs_dir / f"{self.name}.toml").write_text(
            f'[[workflow.{self.name}.step]]\nid = "serve"\nmode = "serve"\noutput = "json"\n'
            f'run = ["python3", "{script.name}"]\n')

    def starts(self):
        path = self.grid.jobs_dir / f"{self.name}.starts"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ask(self, text, *args, code=0):
        """The result document of one job."""
        done = self.grid.run("submit", "workflow", self.name, "--text", text, "--json", *args)
        self.assertEqual(done.code, code, done)
        return done.json

    def test_many_jobs_are_served_by_one_process(self):
        lines = "".join(f"line {i}\n" for i in range(1, 501)).encode()
        done = self.grid.ok("submit", "workflow", self.name, "--each-line", "-", input=lines)
        answers = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual([answer["text"] for answer in answers], lines.decode().splitlines())
        self.assertEqual([answer["index"] for answer in answers], list(range(1, 501)))
        self.assertEqual(len({answer["job"] for answer in answers}), 500)
        self.assertEqual({answer["pid"] for answer in answers}, set(self.starts()))
        self.assertEqual(len(self.starts()), 1)

    def test_a_crash_is_told_and_a_retry_gets_another_process(self):
        error = self.ask("crash", code=1)["error"]
        self.assertEqual(error["message"],
                         "step 'serve' ended with exit code 7 before it answered")
        self.assertEqual((error["kind"], error["step"], error["exit_code"], error["stderr_tail"]),
                         ("workflow", "serve", 7, "it hurts\n"))
        result = self.ask("crash", "--retries", "1", code=1)
        self.assertEqual(result["attempt"], 2)
        self.assertEqual(len(self.starts()), 3)
        self.assertEqual(self.ask("well")["output"]["pid"], self.starts()[-1])

    def test_a_hang_ends_with_the_time_limit(self):
        first = self.ask("well")["output"]["pid"]
        result = self.ask("hang", "--time-limit", "300ms", code=1)
        self.assertEqual(result["status"], "timed_out")
        self.assertFalse(harness.is_alive(first))
        self.assertNotEqual(self.ask("well")["output"]["pid"], first)

    def test_garbage_names_the_step_and_costs_the_process_its_place(self):
        first = self.ask("well")["output"]["pid"]
        error = self.ask("garbage", code=1)["error"]
        self.assertEqual((error["kind"], error["step"]), ("validation", "serve"))
        self.assertIn("step 'serve': its output is not JSON", error["message"])
        self.assertFalse(harness.is_alive(first))
        self.assertNotEqual(self.ask("well")["output"]["pid"], first)

    def test_a_cancelled_job_takes_its_process_along(self):
        first = self.ask("well")["output"]["pid"]
        job = self.grid.submit(self.name, "hang")
        self.grid.wait_for_status(job, "running")
        self.grid.ok("cancel", job)
        harness.wait_until(lambda: not harness.is_alive(first))
        self.assertNotEqual(self.ask("well")["output"]["pid"], first)

    def test_log_lines_belong_to_their_job(self):
        first, second = self.ask("log")["job"], self.ask("well")["job"]
        self.assertIn("said so", self.grid.ok("logs", first).out)
        self.assertNotIn("said so", self.grid.run("logs", second).out)

    def test_a_silent_one_is_wedged_and_a_busy_one_is_not(self):
        second = self.grid.worker("second", slots=1)
        self.ask("well")
        jobs = {text: self.grid.submit(self.name, text) for text in ("hang", "spin")}
        for job in jobs.values():
            self.grid.wait_for_status(job, "running")
        harness.wait_until(lambda: self.grid.job(jobs["hang"])["wedged"], 15, "a wedged job")
        # It has run for as long, and CPU time is its only sign of life.
        self.assertFalse(self.grid.job(jobs["spin"])["wedged"])
        self.grid.ok("cancel", *jobs.values())
        self.assertEqual(second.end(), 0)

    def test_sighup_starts_it_anew(self):
        first = self.ask("well")["output"]
        self.write(2)
        self.worker.send(signal.SIGHUP)
        self.worker.wait_for_log("workflows reloaded")
        second = self.ask("well")["output"]
        self.assertEqual((first["version"], second["version"]), (1, 2))
        harness.wait_until(lambda: not harness.is_alive(first["pid"]))
        self.assertEqual(len(self.starts()), 2)

    def test_lines_that_are_no_answers_reach_no_job(self):
        script = 'while read -r line; do echo "ans:$line"; echo extra; done'
        (self.grid.jobs_dir / "two-lines.toml").write_text(
            '[[workflow.two-lines.step]]\nid = "serve"\nmode = "serve"\n'
            f"run = ['sh', '-c', '{script}']\nstdin = \"{{{{data.text}}}}\"\n")
        worker = self.grid.worker("two-lines", slots=2)
        lines = [f"line {i}" for i in range(1, 501)]
        done = self.grid.ok("submit", "workflow", "two-lines", "--retries", "3", "--each-line", "-",
                            input="".join(f"{line}\n" for line in lines).encode())
        self.assertEqual(done.out.splitlines(), [f"ans:{line}" for line in lines])
        self.assertEqual(worker.end(), 0)

    def test_a_killed_worker_leaves_no_orphan(self):
        idle = self.ask("well")["output"]["pid"]
        self.assertTrue(harness.is_alive(idle))
        self.worker.kill()
        harness.wait_until(lambda: not harness.is_alive(idle), 10, "the end of the kept process")

    def test_a_killed_worker_takes_a_busy_one_along(self):
        self.ask("well")
        job = self.grid.submit(self.name, "hang")
        self.grid.wait_for_status(job, "running")
        self.worker.kill()
        harness.wait_until(lambda: not harness.is_alive(self.starts()[0]), 10, "its end")
        self.grid.ok("cancel", job)


if __name__ == "__main__":
    harness.main()
