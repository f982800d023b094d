#!/usr/bin/env python3
"""A broker's store: checked, backed up with and without its broker, and restored."""

import unittest

import harness


class Store(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())
        self.db = self.grid.dir / "state" / "zgrid" / "broker.db"
        self.copy = self.grid.dir / "copy.db"

    def check(self, done, code, *words):
        self.assertEqual(done.code, code, done)
        for word in words:
            self.assertIn(word, done.err)
        return done

    def fill(self, kill=False):
        """A store with five jobs that ended and one that waits; its broker has stopped, or died."""
        broker = self.grid.broker()
        worker = self.grid.worker("ann")
        jobs = [self.grid.submit("zgrid.echo", f"text {i}") for i in range(5)]
        self.grid.ok("wait", *jobs)
        waiting = self.grid.submit("zgrid.echo", "patience", "--on", "nobody")
        self.assertEqual(worker.end(), 0)
        if kill:
            broker.kill()
        else:
            self.assertEqual(broker.end(), 0)
        return jobs, waiting

    def damage(self, path):
        """Flips a bit of each stored text of the first job."""
        data = bytearray(path.read_bytes())
        at = data.find(b"text 0")
        self.assertGreater(at, 0)
        while at >= 0:
            data[at] ^= 1
            at = data.find(b"text 0", at)
        path.write_bytes(data)

    def test_no_store_is_66_and_a_memory_store_has_no_file(self):
        self.check(self.grid.run("store", "check"), 66, "broker.db")
        self.check(self.grid.run("store", "backup", str(self.copy)), 66, "--broker")
        self.check(self.grid.run("store", "restore", str(self.copy)), 66, "copy.db")
        memory = {"ZGRID_BROKER__STORE": "memory"}
        self.check(self.grid.run("store", "check", env=memory), 66, "memory")
        self.assertFalse(self.db.exists())

    def test_a_log_that_ends_in_a_torn_commit_is_told_by_check_and_broker(self):
        self.fill(kill=True)
        log = self.db.with_name("broker.db-wal")
        data = bytearray(log.read_bytes())
        end = 32
        while data[end + 8:end + 16] == data[16:24]:
            end += 24 + 4096
        data[end - 100] ^= 1
        log.write_bytes(data)
        lost = self.grid.run("store", "check", "--json")
        self.check(lost, 65, "damaged")
        self.assertIn("are lost", lost.json["damages"][0])
        # As after a power cut, which took what was not synced.
        self.db.with_name("broker.db.synced").unlink()
        report = self.grid.ok("store", "check", "--json").json
        self.assertTrue(report["sound"])
        self.assertIn("are not whole", report["notices"][0])
        self.assertIn("note: ", self.grid.ok("store", "check").out)
        broker = self.grid.broker(name="again")
        self.assertIn("are not whole", broker.log)
        self.assertIn("check the disk", broker.log)

    def test_a_sound_store_is_counted_and_exits_with_0(self):
        self.fill()
        report = self.grid.ok("store", "check", "--json").json
        self.assertEqual(list(report), ["schema", "store", "sound", "id", "epoch", "unfinished",
                                        "ended", "purged", "bytes", "clean", "damages",
                                        "more_damages", "notices"])
        self.assertEqual((report["sound"], report["unfinished"], report["ended"]), (True, 1, 5))
        self.assertTrue(report["clean"])
        self.assertGreater(report["bytes"], 4096)
        self.assertEqual((report["damages"], report["notices"]), ([], []))
        text = self.grid.ok("store", "check", "--store", str(self.db)).out
        self.assertIn("5 ended", text)
        self.assertTrue(text.endswith("sound\n"), text)
        # Checking changed nothing: the broker goes on.
        self.grid.broker(name="again")
        self.assertEqual(self.grid.ok("status", "--json").json["jobs"]["succeeded"], 5)

    def test_a_damaged_store_is_65_and_says_where(self):
        self.fill()
        self.damage(self.db)
        done = self.grid.run("store", "check", "--json")
        self.check(done, 65)
        self.assertFalse(done.json["sound"])
        self.assertGreater(len(done.json["damages"]), 0)
        self.assertEqual(done.error["code"], "corrupt")
        done = self.grid.run("store", "backup", str(self.copy))
        self.check(done, 65)
        self.assertFalse(self.copy.exists(), "a broken copy is no backup")

    def test_a_store_that_a_broker_holds_is_73_and_names_it(self):
        broker = self.grid.broker()
        self.check(self.grid.run("store", "check"), 73, str(broker.pid), "backup")
        self.copy.write_bytes(b"whatever")
        self.check(self.grid.run("store", "restore", str(self.copy)), 73, "--force")
        self.check(self.grid.run("store", "restore", str(self.copy), "--force"), 73,
                   str(broker.pid))
        self.assertTrue(self.db.exists())

    def test_a_backup_without_a_broker_is_restored(self):
        jobs, waiting = self.fill()
        made = self.grid.ok("store", "backup", "copy.db", "--json").json
        self.assertEqual((made["backup"], made["online"], made["ended"]), (str(self.copy), False,
                                                                           5))
        self.check(self.grid.run("store", "backup", str(self.copy)), 73, "copy.db")
        self.check(self.grid.run("store", "restore", str(self.copy)), 73, "--force")
        before = self.grid.ok("store", "check", "--json").json["id"]
        done = self.grid.ok("store", "restore", str(self.copy), "--force", "--json").json
        self.assertNotEqual(done["id"], before)
        aside = done["moved_to"]
        self.assertTrue(aside and aside != str(self.db))
        self.assertEqual(self.grid.ok("store", "check", "--store", aside, "--json").json["id"],
                         before)
        self.grid.broker(name="restored")
        self.assertEqual(self.grid.ok("result", jobs[0]).out, "text 0")
        self.assertEqual(self.grid.job(waiting)["status"], "queued")
        self.grid.worker("nobody")
        self.grid.ok("wait", waiting)

    def test_a_broker_makes_a_backup_while_it_works(self):
        self.grid.broker()
        self.grid.worker("ann")
        jobs = [self.grid.submit("zgrid.echo", f"text {i}") for i in range(20)]
        self.grid.ok("wait", *jobs)
        running = self.grid.submit("gate", "meanwhile")
        self.grid.wait_for_start(running)
        done = self.grid.ok("store", "backup", str(self.copy), "--json")
        self.assertEqual((done.json["backup"], done.json["online"]), (str(self.copy), True))
        self.assertIn("is asked for the copy", done.err)
        self.check(self.grid.run("store", "backup", str(self.copy)), 73, "copy.db")
        report = self.grid.ok("store", "check", "--store", str(self.copy), "--json").json
        self.assertEqual((report["sound"], report["ended"], report["unfinished"]), (True, 20, 1))
        self.grid.open_gate("meanwhile")
        self.grid.ok("wait", running)
        # Asked by its address, it needs no store here.
        other = str(self.grid.dir / "other.db")
        self.grid.ok("store", "backup", other, "--broker", self.grid.endpoint,
                     env={"XDG_STATE_HOME": str(self.grid.dir / "elsewhere")})
        self.assertTrue(self.grid.ok("store", "check", "--store", other, "--json").json["sound"])

    def test_a_damaged_backup_is_65_and_changes_nothing(self):
        jobs, _ = self.fill()
        self.grid.ok("store", "backup", str(self.copy))
        self.damage(self.copy)
        before = self.grid.ok("store", "check", "--json").json
        self.check(self.grid.run("store", "restore", str(self.copy), "--force"), 65)
        self.copy.write_bytes(b"no database at all")
        self.check(self.grid.run("store", "restore", str(self.copy), "--force"), 65)
        self.assertEqual(self.grid.ok("store", "check", "--json").json, before)
        self.grid.broker(name="unchanged")
        self.assertEqual(self.grid.ok("result", jobs[0]).out, "text 0")

    def test_restoring_where_nothing_was_needs_no_force(self):
        self.fill()
        self.grid.ok("store", "backup", str(self.copy))
        new = self.grid.dir / "new" / "folder" / "broker.db"
        done = self.grid.ok("store", "restore", str(self.copy), "--store", str(new), "--json").json
        self.assertIsNone(done["moved_to"])
        self.assertEqual(done["ended"], 5)
        self.assertTrue(new.exists())


if __name__ == "__main__":
    harness.main()
