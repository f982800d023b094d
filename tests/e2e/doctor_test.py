#!/usr/bin/env python3
"""`doctor`: each thing that can be wrong is told apart, with a fix. What is wrong with secrets,
addresses, disks and workers is in diagnosis.py; here is the rest."""

import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import unittest

import harness

TO_MEND = ("warning", "problem")
CLOCK_LAYER = ""  # a library that shifts a program's wall clock; the second argument


class Doctor(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())

    def doctor(self, *args, program=None, **options):
        """The checks by their names, and the exit code."""
        done = self.grid.run("doctor", "--json", *args, **options)
        self.assertIn(done.code, (0, 1), done)
        return self.checks(done)

    def checks(self, done):
        document = done.json
        self.assertEqual(document["schema"], "zgrid/1")
        to_mend = [check for check in document["checks"] if check["level"] in TO_MEND]
        self.assertEqual(document["healthy"], not to_mend)
        self.assertEqual(done.code, 1 if to_mend else 0, done)
        for check in to_mend:
            self.assertTrue(check["fix"], f"no fix for {check}")
        return document["checks"]

    def find(self, checks, name, words):
        found = [check for check in checks if check["check"] == name and words in check["message"]]
        self.assertEqual(len(found), 1, checks)
        return found[0]

    def config(self, text):
        path = self.grid.dir / "zgrid.toml"
        path.write_text(text)
        return path

    def test_a_healthy_grid_is_0_and_text_and_json_agree(self):
        self.grid.broker()
        self.grid.worker("ann")
        checks = self.doctor()
        self.assertEqual({check["level"] for check in checks}, {"ok"})
        text = self.grid.ok("doctor").out
        self.assertIn("nothing to mend", text)
        for check in checks:
            self.assertIn(check["check"], text)

    def test_a_weak_passphrase_and_an_unfinished_rotation(self):
        weak = self.grid.dir / "weak"
        weak.write_text("correct horse bat\n")
        weak.chmod(0o600)
        self.grid.broker()
        found = self.find(self.doctor("--secret-file", str(weak)), "secret", "17 characters")
        self.assertEqual(found["level"], "warning")
        checks = self.doctor(env={"ZGRID_GRID__PREVIOUS_SECRET_FILE": str(weak)})
        self.find(checks, "secret", "a rotation is under way")

    def test_a_mistake_in_the_configuration_is_named_and_the_rest_is_looked_at(self):
        self.config('[grid]\nnaem = "x"\n')
        checks = self.doctor()
        found = self.find(checks, "config", "zgrid.toml:2: [grid]: unknown key 'naem'")
        self.assertEqual(found["level"], "problem")
        self.find(checks, "secret", "256 random bits")

    def test_something_that_is_no_broker_at_the_address(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", self.grid.port))
            listener.listen()
            found = self.find(self.doctor(), "broker", self.grid.endpoint)
        self.assertEqual(found["level"], "problem")

    def test_a_store_is_checked_when_no_broker_holds_it(self):
        self.grid.broker().end()
        store = self.grid.dir / "state/zgrid/broker.db"
        self.find(self.doctor(), "store", "is sound")
        with open(store, "r+b") as file:  # page 2 and those after it
            file.seek(4096)
            file.write(os.urandom(4096 * 3))
        found = self.find(self.doctor(), "store", str(store))
        self.assertEqual(found["level"], "problem")

    def test_two_brokers_with_stores_of_their_own(self):
        self.grid.broker()
        self.grid.broker("--store", str(self.grid.dir / "second.db"), "--name", "second",
                         name="second", port=harness.free_port(socket.SOCK_STREAM))
        self.find(self.doctor(), "grid", "2 brokers with stores of their own")

    def test_clocks_that_are_wrong(self):
        if not CLOCK_LAYER:
            self.skipTest("no library that shifts clocks was given")
        shift = self.grid.dir / "shift"
        shift.write_bytes(struct.pack("=q", -3600 * 1_000_000))
        behind = {"LD_PRELOAD": CLOCK_LAYER, "CLOCK_SHIFT": str(shift)}
        self.grid.broker()
        self.grid.worker("ann", env=behind)
        self.grid.worker("bob")
        checks = []

        def is_told():  # with the worker's first heartbeat
            checks[:] = self.doctor()
            return any("worker ann" in check["message"] and check["check"] == "clock"
                       for check in checks)
        harness.wait_until(is_told, 15, "a clock that is behind")
        found = self.find(checks, "clock", "worker ann on")
        self.assertIn("its clock is 1h behind the broker's", found["message"])
        self.assertFalse([check for check in checks if "bob" in check["message"]])
        self.assertEqual(self.find(checks, "clock", "the broker's clock")["level"], "ok")
        checks = self.doctor(env=behind)
        found = self.find(checks, "clock", "ahead of this machine's")
        self.assertIn("its clock is 1h ahead", found["message"])

    def test_few_file_descriptors(self):
        script = f"ulimit -n 512; exec {harness.binary()} doctor --json"
        done = subprocess.run(["bash", "-c", script], env=self.grid.env, cwd=self.grid.dir,
                              capture_output=True, timeout=20, check=False)
        checks = self.checks(harness.Done(done.returncode, done.stdout, done.stderr))
        self.assertEqual(self.find(checks, "limits", "512 open files")["level"], "warning")

    def test_a_program_of_a_workflow_that_is_missing_or_not_executable(self):
        (self.grid.jobs_dir / "tool").write_text("#!/bin/sh\n")
        (self.grid.jobs_dir / "odd.toml").write_text(
            '[workflow.odd]\n[[workflow.odd.step]]\nid = "a"\nrun = ["./tool"]\n'
            'emits = ["Done"]\n[[workflow.odd.step]]\nid = "b"\naccepts = ["Done"]\n'
            'run = ["no-such-program-here"]\n')
        env = {"ZGRID_WORKER__WORKFLOWS": str(self.grid.jobs_dir / "odd.toml")}
        checks = self.doctor(env=env)
        self.assertIn("chmod +x",
                      self.find(checks, "workflows", "'./tool' is not executable")["fix"])
        self.find(checks, "workflows", "no program 'no-such-program-here' in PATH")

    def test_providers_are_tried_on_this_host_alone(self):
        class Models(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/v1/models" else 404)
                self.end_headers()

            def log_message(self, *_):
                pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Models)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        port = server.server_address[1]
        shut = harness.free_port(socket.SOCK_STREAM)
        entry = ('[[worker.provider]]\nname = "{}"\nkind = "openai"\nmodels = ["m"]\n'
                 'base_url = "{}"\n')
        self.config(entry.format("good", f"http://127.0.0.1:{port}/v1")
                    + entry.format("path", f"http://127.0.0.1:{port}/v2")
                    + entry.format("shut", f"http://127.0.0.1:{shut}/v1")
                    + entry.format("away", "https://llm.example/v1")
                    + '[[worker.provider]]\nname = "tool"\nkind = "command"\nargv = ["no-llm"]\n')
        checks = self.doctor()
        self.assertEqual(self.find(checks, "provider", "'good'")["level"], "ok")
        self.assertIn("404", self.find(checks, "provider", "'path'")["message"])
        self.assertIn("refused", self.find(checks, "provider", "'shut'")["message"])
        self.assertEqual(self.find(checks, "provider", "'away'")["level"], "skipped")
        self.assertIn("no program 'no-llm'", self.find(checks, "provider", "'tool'")["message"])

    def test_a_blocked_broadcast_is_named_with_its_interface(self):
        if os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("unshare"):
            self.skipTest("needs root, unshare and nft")
        rule = (f"ip link set lo up && nft add table inet t && "
                f"nft add chain inet t i '{{ type filter hook input priority 0; }}' && "
                f"nft add rule inet t i udp dport {self.grid.beacon_port} drop && "
                f"exec {harness.binary()} doctor --json")
        done = subprocess.run(["unshare", "-n", "sh", "-c", rule], env=self.grid.env,
                              cwd=self.grid.dir, capture_output=True, timeout=30, check=False)
        if not done.stdout:
            self.skipTest(f"no network namespace with nft here: {done.stderr.decode()}")
        checks = self.checks(harness.Done(done.returncode, done.stdout, done.stderr))
        found = self.find(checks, "beacon", "interface lo")
        self.assertEqual(found["level"], "problem")
        self.assertIn("broadcasts are blocked", found["message"])
        self.assertIn(f"udp dport {self.grid.beacon_port} accept", found["fix"])


if __name__ == "__main__":
    if sys.argv[-1].endswith("clock.so"):
        CLOCK_LAYER = sys.argv.pop()
    harness.main()
