#!/usr/bin/env python3
"""A broker that is killed with a thousand acknowledged jobs: promises 1, 2 and 4."""

import concurrent.futures
import unittest

import harness

JOBS = 1000
SUBMITTERS = 8


class BrokerKill(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())
        self.broker = self.grid.broker()

    def hold_slots(self, workers, slots):
        """Fills every slot with a job that waits for the gate `go`."""
        jobs = [self.grid.submit("gate", "go", "--on", worker) for worker in workers
                for _ in range(slots)]
        for job in jobs:
            self.grid.wait_for_start(job)
        return jobs

    def test_a_killed_broker_loses_no_acknowledged_job_and_starts_none_twice(self):
        workers = ("ann", "bob")
        for name in workers:
            self.grid.worker(name, slots=4)
        held = self.hold_slots(workers, 4)
        with concurrent.futures.ThreadPoolExecutor(SUBMITTERS) as pool:
            bulk = list(pool.map(
                lambda i: self.grid.submit("brief", str(i), "--run", "bulk"), range(JOBS)))
        self.assertEqual(len(set(bulk)), JOBS)
        # The first of them run, and most wait.
        self.grid.open_gate("go")
        harness.wait_until(lambda: len(self.grid.starts()) > len(held) + 20, what="a good start")
        self.broker.kill()
        before = len(self.grid.starts())
        self.assertLess(before, JOBS / 2)
        self.grid.broker(name="broker-again")
        self.grid.ok("wait", "--run", "bulk", "--quiet", timeout=60)
        self.grid.ok("wait", *held)
        jobs = self.grid.ok("jobs", "--run", "bulk", "--limit", "0", "--json").json["jobs"]
        self.assertEqual(sorted(job["job"] for job in jobs), sorted(bulk))
        # (An attempt that never started may have been given back, so attempts may be more.)
        self.assertEqual({job["status"] for job in jobs}, {"succeeded"})
        results = self.grid.ok("result", "--run", "bulk", "--json").lines
        self.assertEqual(sorted(result["job"] for result in results), sorted(bulk))
        output = {result["job"]: result["output"] for result in results}
        self.assertEqual([output[job] for job in bulk], [str(i) for i in range(JOBS)])
        starts = [start["job"] for start in self.grid.starts()]
        self.assertEqual(sorted(starts), sorted(bulk + held))
        refused = self.grid.ok("status", "--json").json["refused"]
        self.assertEqual(refused["stale_results"], 0)


if __name__ == "__main__":
    harness.main()
