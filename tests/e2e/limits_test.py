#!/usr/bin/env python3
"""Limits are answers: full queues are waited for, and results go when their retention is over."""

import pathlib
import subprocess
import time
import unittest

import harness

# Room for the store, its log and its reserve.
DISK = "48m"


class FullQueue(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker(env={"ZGRID_BROKER__QUEUE_JOBS_MAX": "3"})
        cls.grid.worker("ann", slots=1)

    def fill(self, name):
        """Three jobs, one of which runs until its gate opens."""
        jobs = [self.grid.submit("gate", name)]
        jobs += [self.grid.submit("zgrid.echo", str(i)) for i in range(2)]
        self.grid.wait_for_start(jobs[0])

        def empty():
            self.grid.open_gate(name)
            self.grid.ok("wait", *jobs)
        self.addCleanup(empty)
        return jobs

    def test_a_submit_waits_until_there_is_room(self):
        self.fill("room")
        waiting = self.grid.start("submit", "workflow", "zgrid.echo", "--text", "patient",
                                  name="waiting")
        waiting.wait_for_log("trying again")
        self.assertIn("the broker is full", waiting.log)
        self.grid.open_gate("room")
        self.assertEqual(waiting.popen.wait(10), 0, waiting.log)
        self.assertEqual(waiting.out, "patient")

    def test_a_queue_that_stays_full_is_75_when_the_time_is_over(self):
        self.fill("full")
        begun = time.monotonic()
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--timeout", "3s", "--json")
        took = time.monotonic() - begun
        self.check(done, 75, "trying again")
        self.assertEqual(done.error["code"], "queue_full")
        self.assertGreater(took, 2.5)
        self.assertLess(took, 6)
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--detach", "--timeout", "1s")
        self.check(done, 75, "queue_jobs_max")
        self.assertEqual(done.out, "")

    def test_without_a_queue_a_full_broker_is_75_at_once(self):
        self.fill("once")
        begun = time.monotonic()
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--no-queue")
        self.check(done, 75, "queue_jobs_max")
        self.assertLess(time.monotonic() - begun, 2)

    def test_a_retry_waits_for_room_as_well(self):
        old = self.grid.submit("zgrid.echo", "later")
        self.grid.ok("wait", old)
        self.fill("again")
        self.check(self.grid.run("retry", old, "--timeout", "500ms"), 75, "queue_jobs_max")
        waiting = self.grid.start("retry", old, name="retrying")
        waiting.wait_for_log("trying again")
        self.grid.open_gate("again")
        self.assertEqual(waiting.popen.wait(10), 0, waiting.log)
        self.assertEqual(waiting.out, "later")


class Retention(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker(env={"ZGRID_BROKER__RETENTION_JOBS": "5"})
        cls.grid.worker("ann")

    def purge_by_number(self):
        for i in range(6):
            self.grid.ok("submit", "workflow", "zgrid.echo", "--text", str(i))

    def test_a_purged_result_is_66_and_tells_the_state_it_had(self):
        first = self.grid.submit("zgrid.echo", "old", "--key", "oldest")
        self.grid.ok("wait", first)
        failed = self.grid.submit("fail")
        self.grid.run("wait", failed)
        self.purge_by_number()
        harness.wait_until(lambda: self.grid.run("result", first).code == 66, what="the purge")
        for verb in ("result", "wait", "attach"):
            done = self.grid.run(verb, first)
            self.check(done, 66, first, "was purged", "succeeded")
            self.assertEqual(done.out, "")
        self.check(self.grid.run("result", failed), 66, "its state was failed")
        done = self.grid.run("result", first, "--json")
        self.assertEqual((done.out, done.error["code"]), ("", "not_found"))
        self.check(self.grid.run("retry", first), 66, "purged")
        # It still is the job of its key: nothing runs.
        again = self.grid.run("submit", "workflow", "zgrid.echo", "--text", "old", "--key",
                              "oldest")
        self.check(again, 66, first, "was purged")
        self.assertEqual(self.grid.submit("zgrid.echo", "old", "--key", "oldest"), first)

    def test_the_status_counts_what_is_kept_and_remembered(self):
        self.purge_by_number()

        def kept_few():
            store = self.grid.ok("status", "--json").json["store"]
            return store if store["remembered"] > 0 and store["retained_jobs"] <= 5 else None
        kept = harness.wait_until(kept_few, what="the purge")
        self.assertGreater(kept["retained_bytes"], 0)
        self.assertIn("remembered", self.grid.ok("status").out)


class FullDisk(harness.GridCase):
    """The broker's store lies on a disk of its own: a tmpfs that only the broker sees."""

    @classmethod
    def set_up(cls):
        state = cls.grid.dir / "state" / "zgrid"
        state.mkdir(parents=True)
        mount = ["unshare", "-m", "sh", "-c",
                 f'mount -t tmpfs -o size={DISK} none "{state}" && exec "$0" "$@"']
        if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
            raise unittest.SkipTest("this user cannot mount a tmpfs")
        cls.broker = cls.grid.start("broker", "--bind", cls.grid.endpoint, name="broker",
                                    program=[*mount, harness.binary()])
        cls.broker.wait_for_log("broker ready")
        cls.grid.worker("ann")
        cls.filler = pathlib.Path(f"/proc/{cls.broker.pid}/root{state}/filler")

    def admission(self):
        broker = self.grid.ok("status", "--json").json["broker"]
        return broker["admitting"], broker["refusing_reason"]

    def submit(self, text, *args):
        return self.grid.run("submit", "workflow", "zgrid.echo", "--text", text, "--detach",
                             "--json", *args)

    def fill_disk(self):
        try:
            with open(self.filler, "wb", buffering=0) as filler:
                while filler.write(bytes(1 << 20)):
                    pass
        except OSError:
            pass
        # What the log has in reserve is used up, too.
        for _ in range(100):
            done = self.submit("x" * (100 << 10), "--no-queue")
            if done.code != 0:
                return done
        return self.fail("the disk is not full")

    def test_a_full_disk_is_waited_for_and_the_broker_goes_on_by_itself(self):
        self.assertEqual(self.admission(), (True, None))
        done = self.fill_disk()
        self.check(done, 75)
        self.assertEqual(done.error["code"], "store_unavailable")
        admitting, reason = self.admission()
        self.assertFalse(admitting)
        self.assertTrue(reason)
        self.assertIn(reason, self.grid.ok("status").out)
        self.check(self.submit("y", "--timeout", "1s"), 75)
        waiting = self.grid.start("submit", "workflow", "zgrid.echo", "--text", "patient",
                                  name="waiting")
        waiting.wait_for_log("trying again")
        self.filler.unlink()
        self.assertEqual(waiting.popen.wait(15), 0, waiting.log)
        self.assertEqual(waiting.out, "patient")
        self.assertEqual(self.admission(), (True, None))


if __name__ == "__main__":
    harness.main()
