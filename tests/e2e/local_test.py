#!/usr/bin/env python3
"""What needs no grid, or makes its own: secrets, configuration, `zgrid run`, `zgrid up`."""

import os
import pathlib
import re
import signal
import stat
import unittest

import harness

BARE = {"ZGRID_SECRET_FILE": None, "ZGRID_GRID__PEERS": None, "ZGRID_GRID__BEACON_PORT": None}
WORKFLOWS = str(harness.ROOT / "conf/workflows")


class Local(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(self.grid.close)

    def run_bare(self, *args, **options):
        return self.grid.run(*args, env={**BARE, **options.pop("env", {})}, **options)

    def check(self, done, code, *words):
        self.assertEqual(done.code, code, done)
        for word in words:
            self.assertIn(word, done.err)
        return done

    def test_a_new_secret_is_private_and_never_written_over_a_file(self):
        path = self.grid.dir / "made" / "deep" / "secret"
        self.grid.ok("secret", "new", "--out", str(path))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        before = path.read_bytes()
        self.assertTrue(before.startswith(b"zgs1_"))
        self.check(self.grid.run("secret", "new", "--out", str(path)), 73, str(path))
        self.assertEqual(path.read_bytes(), before)
        printed = [self.grid.ok("secret", "new").out.strip() for _ in range(2)]
        self.assertNotEqual(*printed)
        self.assertTrue(all(secret.startswith("zgs1_") for secret in printed))

    def test_secret_check_tells_where_it_is_and_never_what_it_is(self):
        done = self.grid.ok("secret", "check", "--json")
        self.assertTrue(done.json["generated"])
        self.assertNotIn(self.grid.secret.read_text().strip(), done.out + done.err)
        self.assertIn(str(self.grid.secret), self.grid.ok("secret", "check").out)

    def test_a_secret_that_others_can_read_is_78_with_the_fix(self):
        self.grid.secret.chmod(0o644)
        for verb in (["secret", "check"], ["broker"], ["worker"], ["workers"]):
            self.check(self.grid.run(*verb), 78, "chmod", str(self.grid.secret))

    def test_secret_keys_gives_a_foreign_peer_its_keys(self):
        roles = {}
        for role in ("worker", "client"):
            keys = self.grid.ok("secret", "keys", "--role", role, "--json").json
            self.assertEqual(list(keys), ["schema", "role", "server_public", "public", "secret",
                                          "grid_id"])
            self.assertEqual(keys["role"], role)
            for name in ("server_public", "public", "secret"):
                self.assertEqual(len(keys[name]), 40)
            roles[role] = keys
        self.assertNotEqual(roles["worker"]["secret"], roles["client"]["secret"])
        self.assertEqual(roles["worker"]["grid_id"], roles["client"]["grid_id"])
        self.check(self.grid.run("secret", "keys", "--role", "king"), 2)

    def test_a_passphrase_is_a_secret_and_a_short_one_is_not(self):
        self.grid.secret.write_text("correct horse battery staple\n")
        self.assertFalse(self.grid.ok("secret", "check", "--json").json["generated"])
        self.grid.secret.write_text("too short\n")
        self.check(self.grid.run("secret", "check"), 78, "16")

    def test_run_needs_no_secret_configuration_or_network(self):
        done = self.run_bare("run", "workflow", "word-count", "--workflows", WORKFLOWS, "--text",
                             "to be")
        self.check(done, 0)
        self.assertEqual(done.out, "lines 0  words 2  bytes 5\n")
        self.assertEqual(done.err, "")
        written = [path for path in self.grid.dir.rglob("*")
                   if path.is_file() and path.parts[-2] != "jobs"]
        self.assertEqual(written, [self.grid.secret])

    def test_run_exits_as_the_job_does(self):
        jobs = ["--workflows", str(self.grid.jobs_dir)]
        done = self.run_bare("run", "workflow", "fail", *jobs, "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.json["error"]["exit_code"], 7)
        self.check(self.run_bare("run", "workflow", "absent", *jobs), 75, "--workflows FILE")
        self.check(self.run_bare("run", "workflow", "absent", "--array", "1-2"), 75,
                   "--workflows FILE")
        done = self.run_bare("run", "workflow", "flaky", *jobs, "--retries", "3")
        self.assertEqual(done.out, "attempt 3", done)

    def test_up_makes_a_secret_and_serves_commands(self):
        home = {name: value for name, value in BARE.items() if name == "ZGRID_SECRET_FILE"}
        self.grid.env.pop("ZGRID_SECRET_FILE")
        up = self.grid.start("up", "--bind", self.grid.endpoint, "--slots", "2", "--workflows",
                             WORKFLOWS, name="up")
        up.wait_for_log("grid ready")
        secret = self.grid.dir / "config" / "zgrid" / "secret"
        self.assertIn(str(secret), up.log)
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        done = self.grid.run("submit", "workflow", "word-count", "--text", "x", env=home)
        self.assertEqual(done.out, "lines 0  words 1  bytes 1\n", done)
        self.grid.worker("joined")
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x", "--on", "joined")
        self.assertEqual(done.out, "x")
        self.assertEqual(up.end(signal.SIGTERM), 0, up.log)

    def test_config_show_names_the_origin_of_each_value(self):
        (self.grid.dir / "zgrid.toml").write_text('[worker]\nslots = 3\n')
        done = self.grid.ok("config", "show", "--origin", "--json",
                            env={"ZGRID_WORKER__NAME": "zoe"})
        settings = {entry["key"]: entry for entry in done.json["settings"]}
        self.assertEqual(settings["worker.slots"]["value"], "3")
        self.assertIn("zgrid.toml", settings["worker.slots"]["origin"])
        self.assertIn("ZGRID_WORKER__NAME", settings["worker.name"]["origin"])
        self.assertEqual(settings["broker.lease"]["origin"], "default")

    def test_an_unknown_key_is_78_with_file_line_and_the_nearest_key(self):
        path = self.grid.dir / "bad.toml"
        path.write_text("[worker]\n# more\nslotz = 3\n")
        for verb in (["config", "check", str(path)], ["worker", "--config", str(path)]):
            done = self.check(self.grid.run(*verb), 78, "slotz", "slots")
            self.assertRegex(done.err, r"bad\.toml:3\b")
        self.grid.ok("config", "check", str(harness.ROOT / "conf/zgrid.toml"))
        self.check(self.grid.run("config", "check", str(self.grid.dir / "absent.toml")), 66)

    def test_a_bad_workflow_file_is_78_and_names_the_place(self):
        path = self.grid.jobs_dir / "bad.toml"
        path.write_text('[workflow.w]\n[[workflow.w.step]]\nid = "a"\nrun = ["true"]\n'
                        'stdinn = "x"\n')
        self.check(self.grid.run("worker", "--workflows", str(path)), 78, "bad.toml:5", "stdin")

    def test_the_version_is_the_projects(self):
        cmake = (harness.ROOT / "CMakeLists.txt").read_text()
        version = re.search(r"project\(zgrid VERSION ([0-9.]+)", cmake).group(1)
        self.assertEqual(self.run_bare("version").out, f"zgrid {version}\n")
        self.assertEqual(self.run_bare("--version").out.strip(), f"zgrid {version}")
        self.assertEqual(self.run_bare("version", "--json").json["version"], version)

    def test_a_member_without_permission_to_its_state_folder_says_so(self):
        blocked = self.grid.dir / "blocked"
        blocked.write_text("a file where a folder should be")
        done = self.grid.run("broker", "--bind", self.grid.endpoint,
                             env={"XDG_STATE_HOME": str(blocked)})
        self.check(done, 73, str(blocked))


if __name__ == "__main__":
    assert pathlib.Path(WORKFLOWS).is_dir() and os.path.isabs(WORKFLOWS)
    harness.main()
