#!/usr/bin/env python3
"""Brokers that are found by their beacons, on loopback and ports of the test's own."""

import socket
import time
import unittest

import harness

FOUND_MAX = 1.5  # seconds: B3 of the feature table


class Discovery(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid(discovery=True).__enter__()
        self.addCleanup(lambda: self.grid.close())

    def fresh(self, name):
        """An environment whose cache remembers no broker."""
        return {"XDG_CACHE_HOME": str(self.grid.dir / name)}

    def test_a_broker_is_found_without_an_address_in_time(self):
        self.grid.broker()
        took = []
        for attempt in range(5):
            begun = time.monotonic()
            self.grid.ok("workers", env=self.fresh(f"cache{attempt}"))
            took.append(time.monotonic() - begun)
        print(f"found after at most {max(took):.3f} s", end=" ", flush=True)
        self.assertLessEqual(max(took), FOUND_MAX)

    def test_a_worker_and_a_command_that_were_first_find_the_broker_when_it_comes(self):
        worker = self.grid.worker("ann", wait=False)
        job = self.grid.start("submit", "workflow", "zgrid.echo", "--text", "early", name="early")
        self.grid.broker()
        ready_at = time.monotonic()
        worker.wait_for_log("worker ann ready")
        self.assertLessEqual(time.monotonic() - ready_at, FOUND_MAX + 0.5)
        self.assertEqual(job.popen.wait(10), 0, job.log)
        self.assertEqual(job.out, "early")

    def test_discover_lists_the_broker_and_names_another_grid(self):
        self.grid.broker("--name", "desk")
        with harness.Grid(discovery=True, beacon_port=self.grid.beacon_port) as other:
            other.broker()
            found = self.grid.ok("discover", "--json").json
            self.assertEqual(found["schema"], "zgrid/1")
            self.assertEqual([(broker["endpoint"], broker["name"]) for broker in found["brokers"]],
                             [(self.grid.endpoint, "desk")])
            grid_id = other.ok("secret", "check", "--json").json["grid_id"]
            self.assertEqual(found["other_grids"], [grid_id])
            # And each goes to its own.
            self.grid.worker("ann")
            self.assertEqual(other.ok("workers", "--json").json["workers"], [])
            workers = self.grid.ok("workers", "--json").json["workers"]
            self.assertEqual([worker["name"] for worker in workers], ["ann"])

    def test_only_another_grids_broker_is_69_and_says_so(self):
        with harness.Grid(discovery=True, beacon_port=self.grid.beacon_port) as other:
            other.broker()
            done = self.grid.run("workers", "--timeout", "2s")
            self.assertEqual(done.code, 69, done)
            self.assertIn("another grid", done.err)

    def test_nobody_is_found_where_no_beacon_is_sent(self):
        self.grid.broker("--no-beacon")
        done = self.grid.run("workers", "--timeout", "1s")
        self.assertEqual(done.code, 69, done)
        self.grid.ok("workers", "--broker", self.grid.endpoint)
        # The address is remembered; a host name without a scheme does as well.
        self.grid.ok("workers", "--broker", f"localhost:{self.grid.port}")

    def test_a_broker_that_moved_to_another_port_is_found_by_all(self):
        broker = self.grid.broker()
        self.grid.worker("ann")
        self.grid.ok("submit", "workflow", "zgrid.echo")
        broker.kill()
        port = harness.free_port(socket.SOCK_STREAM)
        self.grid.broker(name="moved", port=port)
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x", "--json")
        self.assertEqual(done.json["worker"]["name"], "ann")
        self.assertTrue(self.grid.ok("status", "--json").json["endpoint"].endswith(f":{port}"))


if __name__ == "__main__":
    harness.main()
