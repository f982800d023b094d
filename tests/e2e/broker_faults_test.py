#!/usr/bin/env python3
"""A broker that is killed, stopped and started again, and results that wait for it."""

import signal
import unittest

import harness


class BrokerFaults(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())
        self.broker = self.grid.broker()

    def restart(self):
        self.broker = self.grid.broker(name=f"broker-{len(self.grid.processes)}")

    def test_a_running_job_survives_a_broker_restart_and_its_waiting_client_too(self):
        self.grid.worker("ann")
        waiting = self.grid.start("submit", "workflow", "gate", "--text", "through", name="waiting")
        job = harness.wait_until(self.grid.starts)[0]["job"]
        self.broker.kill()
        self.restart()
        self.grid.open_gate("through")
        self.assertEqual(waiting.popen.wait(20), 0, waiting.log)
        self.assertEqual(waiting.out, "through by ann")
        self.assertEqual(len(self.grid.starts()), 1)
        self.assertEqual(self.grid.job(job)["attempt"], 1)

    def test_a_result_made_without_a_broker_outlives_the_worker_that_made_it(self):
        ann = self.grid.worker("ann")
        job = self.grid.submit("gate", "alone")
        self.grid.wait_for_start(job)
        self.broker.kill()
        self.grid.open_gate("alone")
        spool = self.grid.dir / "state" / "zgrid" / "worker-ann" / "spool"
        # One that is still being written (.new) counts as lost with the worker: it would run again.
        harness.wait_until(lambda: [entry for entry in spool.iterdir() if entry.suffix != ".new"],
                           what="a spooled result")
        ann.kill()
        self.restart()
        self.grid.worker("ann", process="ann-again")
        result = self.grid.ok("wait", job, "--json").json
        self.assertEqual((result["status"], result["attempt"]), ("succeeded", 1))
        self.assertEqual(result["output"], "alone by ann")
        self.assertEqual(len(self.grid.starts()), 1)
        harness.wait_until(lambda: not any(spool.iterdir()), what="an empty spool")

    def test_queued_jobs_keys_and_drains_outlive_an_ordinary_restart(self):
        ann = self.grid.worker("ann")
        self.grid.ok("drain", "ann")
        job = self.grid.submit("zgrid.echo", "kept", "--key", "k")
        epoch = self.grid.ok("status", "--json").json["broker"]["epoch"]
        self.assertEqual(self.broker.end(), 0)
        self.restart()
        status = self.grid.ok("status", "--json").json["broker"]
        self.assertGreater(status["epoch"], epoch)
        self.assertEqual(self.grid.submit("zgrid.echo", "kept", "--key", "k"), job)
        harness.wait_until(lambda: self.grid.ok("workers", "--json").json["workers"])
        self.assertTrue(self.grid.ok("workers", "--json").json["workers"][0]["draining"])
        self.assertEqual(self.grid.job(job)["status"], "queued")
        self.grid.ok("undrain", "ann")
        self.grid.ok("wait", job)
        self.assertEqual(self.grid.ok("result", "last").out, "kept")
        self.assertEqual(ann.end(), 0)

    def test_a_broker_that_stood_still_takes_no_living_worker_for_dead(self):
        self.grid.worker("ann")
        self.grid.worker("bob")
        # Longer than a lease.
        short = self.grid.submit("nap", "4.5")
        long = self.grid.submit("gate", "awake")
        pid = int(self.grid.wait_for_start(short)[0]["pid"])
        self.grid.wait_for_start(long)
        self.broker.send(signal.SIGSTOP)
        harness.wait_until(lambda: not harness.is_alive(pid), 15, "the end of the short job")
        self.broker.send(signal.SIGCONT)
        self.grid.ok("wait", short)
        self.grid.open_gate("awake")
        self.grid.ok("wait", long)
        self.assertEqual([self.grid.job(job)["attempt"] for job in (short, long)], [1, 1])
        self.assertEqual(len(self.grid.starts()), 2)

    def test_a_memory_store_says_that_it_forgets(self):
        self.assertEqual(self.broker.end(), 0)
        memory = self.grid.broker("--store", "memory", name="memory")
        self.assertFalse(self.grid.ok("status", "--json").json["broker"]["durable"])
        self.assertIn("lost", self.grid.ok("status").out)
        job = self.grid.submit("zgrid.echo", "x")
        memory.kill()
        self.grid.broker("--store", "memory", name="memory2")
        self.assertEqual(self.grid.run("result", job).code, 66)


if __name__ == "__main__":
    harness.main()
