#!/usr/bin/env python3
"""Jobs that ended and run again: `retry`, and the dead-letter list."""

import harness


class Retry(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("ann")

    def test_a_retry_is_a_new_job_that_names_the_old_one_and_exits_as_it_does(self):
        old = self.grid.submit("zgrid.echo", "once more", "--run", "r1")
        self.grid.ok("wait", old)
        self.assertEqual(self.grid.ok("retry", old).out, "once more")
        result = self.grid.ok("retry", "last", "--json").json
        self.assertEqual((result["status"], result["output"]), ("succeeded", "once more"))
        self.assertEqual(result["run"], "r1")
        self.assertNotIn(result["job"], (old, result["retry_of"]))
        failed = self.grid.submit("fail")
        self.check(self.grid.run("retry", failed, "--timeout", "10s"), 1, "made of cheese")

    def test_detached_it_prints_the_new_ids_in_the_order_of_the_old_ones(self):
        old = [self.grid.submit("zgrid.echo", str(i), "--run", "r2") for i in range(5)]
        self.grid.ok("wait", *old)
        new = self.grid.ok("retry", "--detach", *reversed(old)).out.split()
        self.assertEqual(len(set(new)), 5)
        self.grid.ok("wait", *new)
        self.assertEqual(self.grid.ok("result", *new).out, "4\n3\n2\n1\n0\n")
        results = self.grid.ok("result", *new, "--json").lines
        self.assertEqual({result["job"]: result["retry_of"] for result in results},
                         dict(zip(new, reversed(old))))
        document = self.grid.ok("retry", "--detach", "--json", old[0]).json
        self.assertEqual(document["jobs"][0]["retry_of"], old[0])
        self.grid.ok("wait", document["jobs"][0]["job"])

    def test_what_failed_in_a_run_is_repeated(self):
        good = self.grid.submit("zgrid.echo", "x", "--run", "r3")
        bad = self.grid.submit("fail", "", "--run", "r3")
        self.grid.run("wait", good, bad)
        new = self.grid.ok("retry", "--run", "r3", "--state", "failed", "--detach").out.split()
        self.assertEqual(len(new), 1)
        self.check(self.grid.run("result", "-", input=self._ended(new)), 1, "cheese")
        self.assertEqual(self.grid.run("result", "--json", *new).json["retry_of"], bad)

    def _ended(self, jobs):
        self.grid.run("wait", *jobs)
        return "\n".join(jobs).encode()

    def test_the_key_goes_along_with_the_new_job(self):
        submit = ("zgrid.echo", "keyed", "--key", "night")
        old = self.grid.submit(*submit)
        self.grid.ok("wait", old)
        new = self.grid.ok("retry", old, "--detach").out.strip()
        self.assertEqual(self.grid.submit(*submit), new)
        self.grid.ok("wait", new)

    def test_an_unfinished_job_is_75_and_an_unknown_one_66(self):
        job = self.grid.submit("gate", "unfinished")
        self.grid.wait_for_start(job)
        done = self.grid.run("retry", job, "--json")
        self.check(done, 75, job)
        self.assertEqual(done.error["code"], "not_ready")
        self.grid.open_gate("unfinished")
        self.grid.ok("wait", job)
        absent = "01a1fdbe-0000-7000-8000-000000000000"
        self.check(self.grid.run("retry", absent), 66, absent)
        self.check(self.grid.run("retry"), 2)
        # The others run all the same; the exit code tells of the one that did not.
        done = self.grid.run("retry", absent, job)
        self.check(done, 66, absent)
        self.assertEqual(done.out, "unfinished by ann\n")  # on a line: two were asked for


class DeadLetters(harness.GridCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())
        self.grid.broker()
        self.lives = 1
        self.ann = self.grid.worker("ann", slots=1)

    def kill_and_start(self):
        """ann, in another life."""
        self.ann.kill()
        self.lives += 1
        self.ann = self.grid.worker("ann", slots=1, process=f"ann-{self.lives}")

    def kill_workers_with(self, *jobs):
        """Kills the worker whenever one of them has started, until all are set aside."""
        def all_dead():
            return all(self.grid.job(job)["status"] == "dead_letter" for job in jobs)
        seen = 0
        while not all_dead():
            harness.wait_until(lambda: len(self.grid.starts()) > seen or all_dead(), 20)
            seen = len(self.grid.starts())
            self.kill_and_start()

    def dead(self):
        return self.grid.ok("dlq", "ls", "--json").json["jobs"]

    def test_an_empty_list_is_no_error(self):
        self.assertEqual(self.dead(), [])
        self.grid.ok("dlq", "ls")
        self.assertIn("empty", self.grid.ok("dlq", "retry", "--all").err)
        self.assertEqual(self.grid.ok("dlq", "retry", "--all", "--detach", "--json").json["jobs"],
                         [])
        self.grid.ok("dlq", "purge", "--all")
        self.check(self.grid.run("dlq", "retry"), 2, "--all")
        self.check(self.grid.run("dlq", "purge", "last", "--all"), 2)

    def test_a_job_that_kills_its_workers_is_listed_shown_and_retried(self):
        job = self.grid.submit("gate", "let", "--run", "deadly")
        self.kill_workers_with(job)
        self.check(self.grid.run("wait", job), 4)
        (entry,) = self.dead()
        self.assertEqual((entry["job"], entry["status"], entry["run"], entry["attempt"]),
                         (job, "dead_letter", "deadly", 3))
        self.assertIn("ann", entry["reason"])
        line = self.grid.ok("dlq", "ls").out.splitlines()[1]
        self.assertTrue(line.startswith(job[-12:]), line)
        shown = self.grid.ok("dlq", "show", job[-12:], "--json").json
        self.assertEqual(shown["error"]["kind"], "worker_lost")
        self.assertEqual(shown["error"]["message"].count("ann ("), 3, shown)
        text = self.grid.ok("dlq", "show", job).out
        for word in (job, "deadly", "dead_letter", shown["error"]["message"]):
            self.assertIn(word, text)
        # Its cause is mended: it ends well, and is off the list.
        self.grid.open_gate("let")
        self.assertEqual(self.grid.ok("dlq", "retry", job).out, "let by ann")
        self.assertEqual(self.dead(), [])
        self.check(self.grid.run("dlq", "show", job), 66)
        self.check(self.grid.run("result", job), 66, "purged", "dead_letter")

    def test_the_whole_list_is_retried_or_purged(self):
        jobs = [self.grid.submit("gate", name, "--on", "ann") for name in ("g1", "g2")]
        self.kill_workers_with(*jobs)
        self.assertEqual({entry["job"] for entry in self.dead()}, set(jobs))
        alive = self.grid.submit("zgrid.echo", "x")
        self.grid.ok("wait", alive)
        self.check(self.grid.run("dlq", "purge", alive), 66, "dead-letter list")
        self.check(self.grid.run("dlq", "retry", alive), 66)
        # A cancelled retry is no dead letter.
        new = self.grid.ok("dlq", "retry", "--all", "--detach").out.split()
        self.assertEqual(len(new), 2)
        self.assertEqual(self.dead(), [])
        self.grid.ok("cancel", *new)
        again = self.grid.ok("retry", new[0], "--detach").out.strip()
        self.kill_workers_with(again)
        purged = self.grid.ok("dlq", "purge", "--all", "--json").json["jobs"]
        self.assertEqual([entry["job"] for entry in purged], [again])
        self.assertEqual(self.dead(), [])
        self.check(self.grid.run("retry", again), 66, "purged")


if __name__ == "__main__":
    harness.main()
