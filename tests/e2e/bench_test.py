#!/usr/bin/env python3
"""`zgrid bench`: its help and its documents are contracts. How fast anything is, is not tested."""

import csv
import io
import signal
import time
import unittest

import harness

OPTIONS = ("--measure", "--jobs", "--window", "--payload", "--clients", "--rate", "--duration",
           "--workflow", "--prompt", "--model", "--provider", "--on", "--discover", "--csv",
           "--store", "--slots", "--tag", "--workflows")
ROW = ["mode", "jobs", "clients", "window", "rate", "payload", "succeeded", "failed", "missing",
       "seconds", "jobs_per_s", "latency_us", "lag_us_max"]
LATENCY = ["p50", "p90", "p99", "p999", "max"]
CSV = ["job", "store", "mode", "jobs", "clients", "window", "rate", "payload", "succeeded",
       "failed", "missing", "seconds", "jobs_per_s", "p50_us", "p90_us", "p99_us", "p999_us",
       "max_us", "lag_us_max"]
NO_GRID = {"ZGRID_SECRET_FILE": None, "ZGRID_GRID__PEERS": None, "ZGRID_GRID__BEACON_PORT": None}
WORKFLOWS = str(harness.ROOT / "conf/workflows")


class Bench(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker("--store", "memory")
        cls.grid.worker("ann")

    def alone(self, *args, **options):
        return self.grid.run("bench", *args, env=NO_GRID, **options)

    def document(self, *args, run=None):
        done = (run or self.alone)(*args, "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(list(done.json), ["schema", "grid", "job", "rows"])
        self.assertEqual(done.json["schema"], "zgrid/1")
        self.assertEqual(list(done.json["grid"]), ["private", "broker", "version", "store"])
        for row in done.json["rows"]:
            self.assertEqual(list(row), ROW)
            self.assertEqual(list(row["latency_us"]), LATENCY)
            times = list(row["latency_us"].values())
            self.assertEqual(times, sorted(times))
            self.assertGreater(times[0], 0)
            self.assertEqual((row["succeeded"], row["failed"], row["missing"]), (row["jobs"], 0, 0))
            self.assertGreater(row["jobs_per_s"], 0)
        return done.json

    def test_help_names_every_option(self):
        text = self.alone("--help").out
        for option in OPTIONS:
            self.assertIn(option, text)
        self.assertIn("Examples:", text)
        self.assertIn("bench", self.grid.ok("--help").out)

    def test_without_a_broker_it_measures_a_private_grid_that_needs_nothing(self):
        found = self.document("--jobs", "200", "--window", "20", "--payload", "1KiB")
        self.assertEqual((found["grid"]["private"], found["grid"]["store"]), (True, "memory"))
        self.assertEqual(found["job"], "zgrid.echo")
        throughput, latency = found["rows"]
        self.assertEqual((throughput["mode"], throughput["window"]), ("throughput", 20))
        self.assertEqual((latency["mode"], latency["window"]), ("latency", 1))
        self.assertEqual((throughput["payload"], throughput["rate"], throughput["lag_us_max"]),
                         (1024, None, None))

    def test_clients_share_the_jobs(self):
        found = self.document("--measure", "throughput", "--jobs", "101", "--clients", "3")
        self.assertEqual([row["mode"] for row in found["rows"]], ["throughput"])
        self.assertEqual((found["rows"][0]["jobs"], found["rows"][0]["clients"]), (101, 3))

    def test_a_store_makes_it_durable(self):
        found = self.document("--measure", "latency", "--jobs", "5", "--store", "sqlite")
        self.assertEqual(found["grid"]["store"], "durable")

    def test_a_rate_is_an_open_loop_that_takes_its_time(self):
        row, = self.document("--rate", "200", "--duration", "500ms")["rows"]
        self.assertEqual((row["mode"], row["rate"], row["window"], row["jobs"]),
                         ("rate", 200, None, 100))
        self.assertGreater(row["seconds"], 0.45)
        self.assertIsNotNone(row["lag_us_max"])

    def test_a_grid_that_stalls_cannot_hide_it_in_an_open_loop(self):
        # One slot and steps of 50 ms: 10 jobs in 100 ms pile up, so the last waits for all others.
        row, = self.document("--rate", "100", "--duration", "100ms", "--slots", "1", "--workflow",
                             "short-nap", "--workflows", self.slow_workflow())["rows"]
        self.assertGreater(row["latency_us"]["max"], 350_000)

    def slow_workflow(self):
        path = self.grid.dir / "slow.toml"
        path.write_text('[[workflow.short-nap.step]]\nid = "nap"\nrun = ["sleep", "0.05"]\n')
        return str(path)

    def test_a_workflow_of_processes_can_be_measured(self):
        found = self.document("--workflow", "word-count", "--workflows", WORKFLOWS, "--jobs", "6",
                              "--window", "2", "--payload", "30")
        self.assertEqual(found["job"], "word-count")
        self.assertEqual(len(found["rows"]), 2)

    def test_prompts_can_be_measured(self):
        settings = self.grid.dir / "provider.toml"
        settings.write_text('[[worker.provider]]\nname = "cat"\nkind = "command"\n'
                            'argv = ["cat"]\n')
        found = self.document("--prompt", "Say hello", "--jobs", "4", "--config", str(settings))
        self.assertEqual(found["job"], "prompt")

    def test_csv_has_a_line_of_names_and_one_for_each_row(self):
        done = self.alone("--jobs", "20", "--csv")
        self.assertEqual(done.code, 0, done)
        names, *rows = csv.reader(io.StringIO(done.out))
        self.assertEqual(names, CSV)
        self.assertEqual([row[CSV.index("mode")] for row in rows], ["throughput", "latency"])
        self.assertTrue(all(len(row) == len(CSV) for row in rows))

    def test_text_is_a_table(self):
        done = self.alone("--jobs", "20", "--quiet")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.err, "")
        for word in ("private grid", "MODE", "P99.9", "throughput", "latency"):
            self.assertIn(word, done.out)

    def test_a_running_grid_is_measured_by_its_address_or_by_discovery(self):
        for place in (["--broker", self.grid.endpoint], ["--discover"]):
            found = self.document("--jobs", "50", "--window", "5", *place,
                                  run=lambda *a: self.grid.run("bench", *a))
            self.assertFalse(found["grid"]["private"])
            self.assertEqual(found["grid"]["broker"], self.grid.endpoint)

    def test_what_nobody_offers_ends_with_1_and_says_so(self):
        done = self.alone("--workflow", "no-such-thing", "--jobs", "3")
        self.check(done, 1, "did not succeed", "no-such-thing")

    def test_what_makes_no_sense_is_2(self):
        for args in (["--jobs", "0"], ["--measure", "speed"], ["--csv", "--json"],
                     ["--workflow", "a", "--prompt", "b"], ["--rate", "1", "--duration", "10ms"],
                     ["--on", "all"], ["--payload", "1GiB"],
                     ["--broker", self.grid.endpoint, "--store", "memory"]):
            self.check(self.alone(*args), 2)

    def test_a_signal_ends_it_and_nothing_stays_behind(self):
        tmp = self.grid.dir / "tmp"
        tmp.mkdir()
        process = self.grid.start("bench", "--rate", "10", "--duration", "60s",
                                  env={"TMPDIR": str(tmp)}, name="bench")
        process.wait_for_log("measuring rate")
        self.assertTrue(list(tmp.iterdir()))
        self.assertEqual(process.end(signal.SIGINT), -signal.SIGINT)
        self.assertEqual(list(tmp.iterdir()), [])

    # ---- what becomes of the jobs of a measurement that ends before its time ----------------

    def open_jobs(self):
        return self.grid.ok("jobs", "--json", "--limit", "0", "--state",
                            "queued,waiting,running").json["jobs"]

    def start_on_the_grid(self, *args):
        """A bench whose jobs wait for a file that never comes, once some of them run."""
        process = self.grid.start("bench", "--broker", self.grid.endpoint, "--workflow", "gate",
                                  "--payload", "9", *args, name="bench")
        harness.wait_until(lambda: any(job["status"] == "running" for job in self.open_jobs()))
        return process

    def test_a_signal_leaves_no_job_of_its_own_in_a_running_grid(self):
        other = self.grid.submit("gate", "not-of-the-bench", "--delay", "1h")
        process = self.start_on_the_grid("--jobs", "3000", "--window", "700", "--clients", "3")
        harness.wait_until(lambda: len(self.open_jobs()) > 250)
        self.assertEqual(process.end(signal.SIGINT), -signal.SIGINT)
        self.assertNotIn("cancelled", process.log)
        harness.wait_until(lambda: [job["job"] for job in self.open_jobs()] == [other])
        self.grid.ok("cancel", other)

    def test_nor_does_the_end_of_its_timeout(self):
        process = self.start_on_the_grid("--rate", "100", "--duration", "20s", "--timeout", "2s")
        self.assertEqual(process.popen.wait(15), 124)
        harness.wait_until(lambda: self.open_jobs() == [])

    def test_a_broker_that_is_silent_is_not_waited_for_and_the_jobs_are_told_of(self):
        with harness.Grid() as grid:
            broker = grid.broker("--store", "memory")
            grid.worker("bob")
            process = grid.start("bench", "--broker", grid.endpoint, "--workflow", "gate",
                                 "--jobs", "50", "--clients", "2", name="bench")
            harness.wait_until(lambda: grid.ok("jobs", "--json").json["jobs"])
            broker.send(signal.SIGSTOP)
            begun = time.monotonic()
            self.assertEqual(process.end(signal.SIGINT), -signal.SIGINT)
            self.assertLess(time.monotonic() - begun, 6)
            self.assertIn("jobs are cancelled", process.log)
            self.assertIn("zgrid jobs --state queued,running", process.log)


if __name__ == "__main__":
    harness.main()
