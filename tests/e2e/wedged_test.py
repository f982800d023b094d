#!/usr/bin/env python3
"""Busy, wedged and dead workers are told apart with no help from the job."""

import os
import signal

import harness

WEDGED_AFTER = "2s"
# When a stopped job counts as wedged (limits::kWedgedStopped), and what a loaded machine may add.
STOPPED_MAX = 25


class Wedged(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker(env={"ZGRID_BROKER__WEDGED_AFTER": WEDGED_AFTER})
        cls.grid.worker("ann", slots=4)

    def is_wedged(self, job):
        return self.grid.job(job)["wedged"]

    def test_a_job_without_a_sign_of_life_is_shown_and_left_alone(self):
        silent = self.grid.submit("nap", "300")
        busy = self.grid.submit("spin")
        self.grid.wait_for_start(silent)
        self.grid.wait_for_start(busy)
        harness.wait_until(lambda: self.is_wedged(silent), 15, "a wedged job")
        entry = self.grid.job(silent)
        self.assertEqual(entry["status"], "running")
        self.assertGreaterEqual(entry["idle_ms"], 2000)
        self.assertRegex(self.grid.ok("jobs", "--state", "running").out, r"running \(wedged \d+")
        self.assertEqual(self.grid.ok("workers", "--json").json["workers"][0]["wedged"], 1)
        self.assertIn("1 wedged", self.grid.ok("workers").out)
        self.assertFalse(self.is_wedged(busy))
        self.assertLess(self.grid.job(busy)["idle_ms"], 2000 + 2000)
        self.grid.ok("cancel", silent, busy)
        self.assertFalse(self.is_wedged(silent))
        self.assertIsNone(self.grid.job(silent)["idle_ms"])

    def test_output_is_a_sign_of_life(self):
        job = self.grid.submit("report", "talked")
        self.grid.wait_for_start(job)
        harness.wait_until(lambda: self.grid.job(job)["status"] == "running")
        self.grid.open_gate("talked")
        self.grid.ok("wait", job)
        self.assertFalse(self.is_wedged(job))

    def test_a_wedged_job_is_killed_if_it_says_so(self):
        done = self.grid.run("submit", "workflow", "nap", "--text", "300", "--on-wedged", "kill",
                             "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["status"], "timed_out")
        self.assertIn("no sign of life", done.json["error"]["message"])

    def test_a_wedged_job_is_tried_again_if_it_says_so(self):
        job = self.grid.submit("hang-once", "", "--on-wedged", "retry")
        result = self.grid.ok("wait", job, "--json", timeout=30).json
        self.assertEqual((result["status"], result["attempt"]), ("succeeded", 2))

    def test_a_stopped_job_is_wedged_sooner_than_an_idle_one(self):
        with harness.Grid() as grid:
            grid.broker()  # idle ones are after 60 s
            grid.worker("ann")
            job = grid.submit("spin")
            pid = int(grid.wait_for_start(job)[0]["pid"])
            os.killpg(pid, signal.SIGSTOP)
            harness.wait_until(lambda: grid.job(job)["wedged"], STOPPED_MAX, "a wedged job")
            os.killpg(pid, signal.SIGCONT)
            harness.wait_until(lambda: not grid.job(job)["wedged"], 10, "life")
            self.assertEqual(grid.job(job)["attempt"], 1)
            grid.ok("cancel", job)


if __name__ == "__main__":
    harness.main()
