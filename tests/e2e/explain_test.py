#!/usr/bin/env python3
"""`explain`, `workflows`, `events` and `logs`: why a job is where it is, and what happened."""

import json
import unittest

import harness


class Explain(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("ann", "--tag", "gpu=no")
        cls.grid.worker("bob", slots=1)

    def why(self, job, *args):
        return self.grid.ok("explain", job, "--json", *args).json

    def rules(self, why):
        return {worker["name"]: worker["rule"] for worker in why["workers"]}

    def test_each_worker_has_a_rule_or_the_terms_of_its_score(self):
        job = self.grid.submit("gate", "g1", "--on", "ann")
        self.grid.wait_for_start(job)
        why = self.why(job)
        self.assertEqual(why["schema"], "zgrid/1")
        self.assertEqual((why["status"], why["worker"], why["attempt"]), ("running", "ann", 1))
        self.assertIsNone(why["waits_for"])
        self.assertEqual(self.rules(why), {"ann": None, "bob": "name"})
        ann = next(worker for worker in why["workers"] if worker["name"] == "ann")
        self.assertEqual((ann["score"]["rank"], ann["score"]["load"]), (1, 0.5))
        self.assertEqual(list(why["needs"]), ["service", "on", "version", "alone"])
        self.grid.open_gate("g1")
        self.grid.ok("wait", job)

    def test_a_busy_worker_is_named_and_so_is_the_queue(self):
        jobs = [self.grid.submit("gate", "g2", "--on", "bob", "--time-limit", "60s")
                for _ in range(40)]
        self.grid.wait_for_start(jobs[0])
        last = jobs[-1]
        harness.wait_until(lambda: self.why(last)["waits_for"] == "slot", 5, "a slot")
        self.grid.open_gate("g2")
        self.grid.ok("wait", *jobs)

    def test_it_is_explained_after_its_end_with_the_time_in_each_state(self):
        job = self.grid.submit("flaky", "", "--retries", "3", "--delay", "300ms")
        self.grid.ok("wait", job)
        why = self.why(job)
        self.assertEqual((why["status"], why["attempt"]), ("succeeded", 3))
        self.assertEqual(why["retries"]["used"], 2)
        self.assertGreaterEqual(why["spent_ms"]["waiting"], 300 + 1000 + 2000)
        self.assertIn("succeeded on", why["reason"])
        self.assertIsNone(why["fix"])
        text = self.grid.ok("explain", job).out
        self.assertIn("2 of 3 retries used", text)

    def test_a_failure_names_step_message_and_what_to_do(self):
        job = self.grid.submit("fail")
        self.grid.run("wait", job)
        why = self.why(job)
        self.assertIn("in step 'break'", why["reason"])
        self.assertEqual(why["reason"].count("exit code"), 1)
        self.assertIn(f"zgrid logs {job}", why["fix"])

    def test_several_jobs_and_shortened_ids(self):
        jobs = [self.grid.submit("zgrid.echo", "x") for _ in range(2)]
        self.grid.ok("wait", *jobs)
        found = self.grid.ok("explain", jobs[0][-12:], "last", "--json").lines
        self.assertEqual([why["job"] for why in found], jobs)
        self.check(self.grid.run("explain", "0000ffff"), 66, "no job ends in")
        self.check(self.grid.run("explain"), 2, "JOB")

    def test_submit_says_after_two_seconds_why_a_job_waits_and_what_to_do(self):
        done = self.grid.run("submit", "workflow", "zgrid.ecko", "--timeout", "3s")
        self.check(done, 124, "none of the 2 workers online offers 'zgrid.ecko'",
                   "did you mean 'zgrid.echo'?")
        self.grid.ok("cancel", "last")

    def test_workflows_tells_what_is_offered_and_by_whom(self):
        document = self.grid.ok("workflows", "--json").json
        offers = {offer["name"]: offer for offer in document["workflows"]}
        echo = offers["zgrid.echo"]
        self.assertEqual([worker["name"] for worker in echo["workers"]], ["ann", "bob"])
        self.assertEqual((echo["kind"], echo["slots"]), ("workflow", 3))
        self.assertIn("word-count", offers)
        self.assertIn("word-count", self.grid.ok("workflows").out)


class Feed(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())

    def names(self, *args):
        return [line["event"] for line in self.grid.ok("events", "--json", *args).lines]

    def test_events_has_workers_and_bad_ends_and_a_follower_sees_every_job(self):
        self.grid.broker()
        ann = self.grid.worker("ann")
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x")
        bad = self.grid.submit("fail")
        self.grid.run("wait", bad)
        self.assertEqual(self.names(), ["worker_joined", "job_failed"])
        self.assertEqual(self.names("--limit", "1"), ["job_failed"])
        last = self.grid.ok("events", "--json").lines[-1]
        self.assertEqual((last["job"], last["worker"], last["level"]), (bad, "ann", "warn"))
        follower = self.grid.start("events", "-f", "--json", name="follower")
        harness.wait_until(lambda: "job_failed" in follower.out, 10, "the old events")
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x")
        harness.wait_until(lambda: "job_succeeded" in follower.out, 10, "a job's end")
        self.grid.ok("drain", "ann")
        harness.wait_until(lambda: "worker_drained" in follower.out, 10, "the drain")
        ann.kill()
        harness.wait_until(lambda: "worker_lost" in follower.out, 10, "the loss")
        seen = [json.loads(line)["event"] for line in follower.out.splitlines()]
        for name in ("job_queued", "job_running"):
            self.assertIn(name, seen)
        self.assertEqual(follower.end(), -15)

    def test_a_restart_of_the_broker_is_a_gap_for_who_follows(self):
        broker = self.grid.broker()
        self.grid.worker("ann")
        follower = self.grid.start("events", "-f", "--json", name="follower")
        harness.wait_until(lambda: "worker_joined" in follower.out, 10, "the old events")
        broker.end()
        self.grid.broker()
        harness.wait_until(lambda: '"event":"gap"' in follower.out, 15, "the gap")
        harness.wait_until(lambda: follower.out.count("worker_joined")
                           + follower.out.count("worker_back") > 1, 15, "the worker's return")
        follower.end()

    def test_logs_of_a_job_while_it_runs_and_after_its_end(self):
        (self.grid.jobs_dir / "lines.toml").write_text(
            '[workflow.lines]\n[[workflow.lines.step]]\nid = "lines"\n'
            'run = ["sh", "-c", "echo first >&2; while ! [ -e go ]; do sleep 0.01; done; '
            'echo second >&2; printf out"]\n')
        self.grid.broker()
        self.grid.worker("ann")
        job = self.grid.submit("lines")
        harness.wait_until(lambda: "first" in self.grid.ok("logs", job).out, 10, "a line")
        self.assertEqual(self.grid.ok("logs", job).out, "first\n")
        follower = self.grid.start("logs", "-f", job, name="follower")
        harness.wait_until(lambda: "first" in follower.out, 10, "the old line")
        worker = self.grid.ok("logs", "ann").out
        self.assertIn("worker_joined", worker)
        self.assertIn(f"{job[-12:]} first", worker)
        self.grid.open_gate("go")
        self.assertEqual(follower.popen.wait(10), 0, follower.log)
        self.assertEqual(follower.out, "first\nsecond\n")
        self.assertEqual(self.grid.ok("logs", job).out, "first\nsecond\n")
        line = self.grid.ok("logs", job, "--json").lines[0]
        self.assertEqual((line["job"], line["kind"], line["data"]), (job, "log", {"text": "first"}))
        silent = self.grid.submit("zgrid.echo", "x")
        self.grid.ok("wait", silent)
        done = self.grid.ok("logs", silent)
        self.assertEqual(done.out, "")
        self.assertIn("wrote nothing", done.err)
        unknown = self.grid.run("logs", "nobody")
        self.assertEqual(unknown.code, 66, unknown)
        self.assertIn("neither a job nor a worker", unknown.err)

    def test_after_a_restart_a_failed_job_still_has_the_end_of_its_lines(self):
        broker = self.grid.broker()
        self.grid.worker("ann")
        job = self.grid.submit("fail")
        self.grid.run("wait", job)
        self.assertEqual(self.grid.ok("logs", job).out, "the disk is made of cheese\n")
        broker.end()
        self.grid.broker()
        done = self.grid.ok("logs", job)
        self.assertEqual(done.out, "the disk is made of cheese\n")
        self.assertIn("only the end", done.err)

    def test_logs_without_a_name_is_the_brokers(self):
        self.grid.broker()
        self.grid.worker("ann")
        self.grid.ok("drain", "ann")
        self.assertIn("worker_drained", self.grid.ok("logs").out)


if __name__ == "__main__":
    harness.main()
