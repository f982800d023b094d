#!/usr/bin/env python3
"""The examples, run as a user would. Arguments: ZGRID COUNT_WORDS."""

import os
import subprocess
import sys

import harness

COUNT_WORDS = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 else ""
EXAMPLES = harness.ROOT / "examples"


class Examples(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("ann")
        cls.grid.worker("bob")
        programs = cls.grid.dir / "bin"
        programs.mkdir()
        (programs / "zgrid").symlink_to(harness.binary())
        cls.grid.env["PATH"] = f"{programs}:{cls.grid.env['PATH']}"

    def call(self, *args, code=0):
        done = subprocess.run([str(arg) for arg in args], env=self.grid.env, cwd=self.grid.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                              check=False)
        self.assertEqual(done.returncode, code, done)
        return done.stdout.decode()

    def write(self, name, text):
        path = self.grid.dir / name
        path.write_text(text)
        return path

    def test_every_machine_answers(self):
        lines = self.call(EXAMPLES / "on_every_machine.sh", self.write("poem", "a b c\n"))
        self.assertEqual([line.split() for line in sorted(lines.splitlines())],
                         [[name, "lines", "1", "words", "3", "bytes", "6"]
                          for name in ("ann", "bob")])

    def test_a_job_for_each_file_and_none_twice(self):
        files = [self.write(f"file{i}", "w " * i) for i in range(1, 6)]
        for _ in range(2):
            self.call(EXAMPLES / "each_file.sh", "counts", *files)
            found = [(self.grid.dir / "counts" / f"file{i}.txt").read_text() for i in range(1, 6)]
            self.assertEqual(found, [f"lines 0  words {i}  bytes {2 * i}\n" for i in range(1, 6)])
        jobs = self.grid.ok("jobs", "--run", "each-file-counts", "--json").json["jobs"]
        self.assertEqual(len(jobs), 5)
        files[0].write_text("changed")
        self.call(EXAMPLES / "each_file.sh", "counts", *files, code=65)

    def test_a_program_in_cpp_submits_many_at_once(self):
        texts = [f"{'word ' * i}end" for i in range(20)]
        lines = self.call(COUNT_WORDS, self.grid.secret, self.grid.endpoint, *texts).splitlines()
        lines = [line for line in lines if "words" in line]
        self.assertEqual(len(lines), len(texts))
        for number, line in enumerate(lines):
            self.assertRegex(line, rf"^(ann|bob) .*words {number + 1} ")

    def test_no_example_is_left_out_of_the_index_or_of_this_suite(self):
        index = (EXAMPLES / "README.md").read_text()
        names = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".sh", ".cpp"))
        self.assertEqual(names, ["count_words.cpp", "each_file.sh", "on_every_machine.sh"])
        for name in names:
            self.assertIn(f"({name})", index)


if __name__ == "__main__":
    harness.main()
