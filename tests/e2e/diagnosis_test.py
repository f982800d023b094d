#!/usr/bin/env python3
"""Things that are wrong on purpose: each answer names the cause and the fix (diagnosis.py has the
scenes), and the recorded session in docs/diagnosis.md has the same ones."""

import unittest

import diagnosis
import harness


class Diagnosis(unittest.TestCase):
    def test_the_recorded_session_has_every_scene(self):
        recorded = (harness.ROOT / "docs/diagnosis.md").read_text()
        self.assertTrue(recorded.startswith(diagnosis.INTRO))
        for title, about, _ in diagnosis.SCENES:
            self.assertIn(f"\n## {title}\n\n{about}\n", recorded)
        self.assertNotIn("/tmp/", recorded)


def add(function):
    def test(self):
        try:
            diagnosis.play(function)
        except diagnosis.Impossible as reason:
            self.skipTest(str(reason))
    setattr(Diagnosis, f"test_{function.__name__}_names_cause_and_fix", test)


for _title, _about, _function in diagnosis.SCENES:
    add(_function)


if __name__ == "__main__":
    harness.main()
