#!/usr/bin/env python3
"""The manual: complete, without a mistake, and the same as --help."""

import pathlib
import re
import subprocess
import unittest

import harness


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.grid = harness.Grid()
        cls.folder = cls.grid.dir / "man"
        cls.grid.ok("__man", str(cls.folder), "2026-01-31")
        cls.pages = sorted(cls.folder.glob("*.1"), key=lambda page: page.stem)

    @classmethod
    def tearDownClass(cls):
        cls.grid.close()

    def verbs(self):
        """As --help lists them."""
        text = self.grid.ok("--help").out
        listed = re.split(r"\nSubcommands:\n", text)[1].split("\n\n")[0]
        return re.findall(r"^  (\S+)", listed, re.MULTILINE)

    def shown(self, page):
        done = subprocess.run(["mandoc", "-Tutf8", "-Owidth=500", str(page)], capture_output=True,
                              check=True)
        return re.sub(r".\x08", "", done.stdout.decode())

    def test_every_verb_has_a_page(self):
        names = ["zgrid"] + [f"zgrid-{verb}" for verb in self.verbs()]
        self.assertEqual([page.stem for page in self.pages], sorted(names))
        self.assertGreater(len(names), 20)

    def test_mandoc_and_man_have_nothing_to_say(self):
        lint = subprocess.run(["mandoc", "-Tlint", *map(str, self.pages)], capture_output=True,
                              check=False)
        self.assertEqual(lint.stdout.decode(), "")
        self.assertEqual(lint.returncode, 0)
        for page in self.pages:
            man = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                                  str(page)], capture_output=True, check=False,
                                 env={**self.grid.env, "MANWIDTH": "80"})
            self.assertEqual((man.returncode, man.stderr.decode()), (0, ""), page)

    def test_every_option_and_every_example_of_help_is_in_the_page(self):
        for page in self.pages:
            verb = page.stem.partition("-")[2]
            text = " ".join(self.shown(page).split())
            help_text = self.grid.ok(*([verb] if verb else []), "--help").out
            for option in re.findall(r"--[a-z][a-z-]*", help_text):
                self.assertIn(option, text, page)
            for example in re.findall(r"^  (zgrid .*)$", help_text, re.MULTILINE):
                self.assertIn(" ".join(example.split()), text, page)

    def test_every_exit_code_of_the_program_is_explained(self):
        text = self.shown(self.folder / "zgrid.1")
        for code in (0, 1, 2, 3, 4, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, 124):
            self.assertRegex(text, rf"\n +{code} +[A-Z]")

    def test_the_date_and_the_version_are_those_given(self):
        text = (self.folder / "zgrid-submit.1").read_text()
        version = self.grid.ok("version").out.split()[-1]
        self.assertIn(f'.TH "ZGRID-SUBMIT" 1 "2026-01-31" "zgrid {version}"', text)

    def test_a_folder_that_cannot_be_written_is_an_error(self):
        self.assertEqual(self.grid.run("__man", "/dev/null/man", "2026-01-31").code, 74)

    def test_the_build_makes_them(self):
        built = pathlib.Path(harness.binary()).parent / "man" / "zgrid.1"
        if built.exists():
            self.assertIn(".SH NAME", built.read_text())


if __name__ == "__main__":
    harness.main()
