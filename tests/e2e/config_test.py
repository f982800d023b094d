#!/usr/bin/env python3
"""`config`: what holds and where it came from, and what there is to configure."""

import unittest

import harness


class Config(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid().__enter__()
        self.addCleanup(lambda: self.grid.close())

    def shown(self, *args, **options):
        document = self.grid.ok("config", "show", "--json", *args, **options).json
        return {entry["key"]: (entry["value"], entry["origin"]) for entry in document["settings"]}

    def test_each_value_names_its_flag_variable_line_or_default(self):
        user = self.grid.dir / "config/zgrid"
        user.mkdir(parents=True)
        (user / "config.toml").write_text('[grid]\nname = "lab"\n\n[worker]\nslots = 3\n')
        (self.grid.dir / "zgrid.toml").write_text("[worker]\n# more\nslots = 5\n")
        shown = self.shown("--log-level", "warn", env={"ZGRID_WORKER__TAGS": "gpu=yes"})
        self.assertEqual(shown["grid.log_level"], ('"warn"', "--log-level"))
        self.assertEqual(shown["worker.tags"], ('{ "gpu" = "yes" }', "ZGRID_WORKER__TAGS"))
        self.assertEqual(shown["worker.slots"], ("5", f"{self.grid.dir}/zgrid.toml:3"))
        self.assertEqual(shown["grid.name"], ('"lab"', f"{user}/config.toml:2"))
        self.assertEqual(shown["client.reconnect"], ('"5m"', "default"))
        text = self.grid.ok("config", "show", "--origin").out
        self.assertIn(f'worker.slots = 5  # {self.grid.dir}/zgrid.toml:3\n', text)
        self.assertNotIn("#", self.grid.ok("config", "show").out.splitlines()[0])

    def test_a_secret_is_never_shown(self):
        secret = self.grid.secret.read_text().strip()
        (self.grid.dir / "zgrid.toml").write_text(
            '[[worker.provider]]\nname = "p"\nkind = "openai"\nmodels = ["m"]\n'
            'base_url = "http://ann:hunter2@127.0.0.1:1/v1"\n')
        for args in (("config", "show", "--origin"), ("config", "show", "--json"),
                     ("doctor",), ("doctor", "--json")):
            done = self.grid.run(*args, env={"ZGRID_SECRET": secret, "ZGRID_SECRET_FILE": None})
            self.assertNotIn(secret, done.out + done.err)
            self.assertNotIn("hunter2", done.out + done.err)
        self.assertIn("ZGRID_SECRET", self.grid.ok(
            "config", "show", env={"ZGRID_SECRET": secret, "ZGRID_SECRET_FILE": None}).out)

    def test_a_mistake_is_78_with_file_line_and_the_key_that_was_meant(self):
        path = self.grid.dir / "bad.toml"
        path.write_text('[broker]\nbnid = ["tcp://127.0.0.1:1"]\n')
        done = self.grid.run("config", "check", str(path))
        self.assertEqual(done.code, 78, done)
        self.assertIn("bad.toml:2", done.err)
        self.assertIn("did you mean 'bind'?", done.err)
        self.assertEqual(self.grid.run("config", "check", "none.toml").code, 66)

    def test_every_mistake_is_told(self):
        path = self.grid.dir / "bad.toml"
        path.write_text('[broker]\nlease = "soon"\nstor = "x"\n[worker]\nslots = -1\n[brokr]\n')
        done = self.grid.run("config", "check", str(path), "--json")
        self.assertEqual(done.code, 78, done)
        told = [error["message"] for error in done.json["errors"]]
        self.assertEqual(len(told), 4, told)
        for line, words in ((2, "lease"), (3, "unknown key 'stor'"), (5, "slots"), (6, "brokr")):
            self.assertTrue(any(f"bad.toml:{line}:" in text and words in text for text in told),
                            (line, told))
        self.assertEqual(self.grid.run("config", "check", str(path)).err.count("bad.toml:"), 4)

    def test_the_schema_is_the_reference_and_is_itself_valid(self):
        text = self.grid.ok("config", "schema").out
        self.assertEqual(text, (harness.ROOT / "conf/zgrid.toml").read_text())
        path = self.grid.dir / "whole.toml"
        path.write_text(text)
        self.grid.ok("config", "check", str(path))

    def test_the_json_schema_has_every_key_with_meaning_default_and_variable(self):
        schema = self.grid.ok("config", "schema", "--json").json
        self.assertEqual(schema["schema"], "zgrid/1")
        self.assertIn("2020-12", schema["$schema"])
        tables = schema["properties"]
        for key, (value, _) in self.shown(env={"ZGRID_GRID__PEERS": None,
                                               "ZGRID_GRID__BEACON_PORT": None}).items():
            table, name = key.split(".", 1)
            entry = tables[table]["properties"][name]
            self.assertTrue(entry["description"], key)
            self.assertEqual(entry["x-zgrid-default"], value)
            self.assertEqual(entry["x-zgrid-variable"], f"ZGRID_{table}__{name}".upper())
        self.assertEqual(tables["broker"]["properties"]["beacon"]["type"], "boolean")
        self.assertEqual(tables["worker"]["properties"]["provider"]["type"], "array")


if __name__ == "__main__":
    harness.main()
