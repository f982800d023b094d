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
        for name in ("ann", "bob"):
            cls.grid.worker(name, "--workflows", str(EXAMPLES / "jobs"))
        programs = cls.grid.dir / "bin"
        programs.mkdir()
        (programs / "zgrid").symlink_to(harness.binary())
        cls.grid.env["PATH"] = f"{programs}:{cls.grid.env['PATH']}"

    def fails(self, *args, code):
        """What it said on stderr."""
        return self.run_example(args, code).stderr.decode()

    def call(self, *args, code=0):
        return self.run_example(args, code).stdout.decode()

    def run_example(self, args, code):
        done = subprocess.run([str(arg) for arg in args], env=self.grid.env, cwd=self.grid.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                              check=False)
        self.assertEqual(done.returncode, code, done)
        return done

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

    def test_a_build_farm_compiles_each_source_once(self):
        sources = sorted((EXAMPLES / "tally").glob("*.c"))
        program = self.grid.dir / "tally"
        for _ in range(2):
            self.call(EXAMPLES / "build_farm.sh", program, *sources)
            tally = subprocess.run([program], input=b"Banana", capture_output=True, check=True)
            self.assertEqual(tally.stdout.decode(), "a 3\nb 1\nn 2\n")
            program.unlink()
        jobs = self.grid.ok("jobs", "--limit", "0", "--json").json["jobs"]
        self.assertEqual(sum(job["name"] == "compile" for job in jobs), len(sources))
        wrong = self.write("wrong.c", "int main(void) { return nothing; }\n")
        self.assertIn("undeclared",
                      self.fails(EXAMPLES / "build_farm.sh", program, wrong, code=1))
        self.assertFalse(program.exists())

    def test_a_digest_of_the_logs_of_all_machines(self):
        errors = "".join(f"job {i}: disk error at 0x{i:x}\n" for i in range(30))
        log = self.write("app.log", errors + "all is well\nlogin failed for root\n")
        lines = self.call(EXAMPLES / "log_digest.sh", log).splitlines()
        # Both workers are on this host, and read the same log.
        self.assertRegex(lines[0], r"^ +60  on 2 \((ann|bob), …\)  job #: disk error at #$")
        self.assertRegex(lines[1], r"^ +2  on 2 \(.*\)  login failed for root$")
        self.assertEqual(len(lines), 2)

    def test_a_batch_of_texts_is_scored_line_by_line(self):
        lines = self.write("texts", "The cat sat. The dog ran.\n\n12 34\n"
                           "Notwithstanding considerable jurisdictional complications.\n")
        for _ in range(2):
            self.fails(EXAMPLES / "text_batch.sh", lines, "scores", code=1)  # line 3 has no word
            rows = [row.split("\t") for row in
                    (self.grid.dir / "scores" / "scores.tsv").read_text().splitlines()]
            self.assertEqual([row[:3] for row in rows], [["1", "6", "2"], ["4", "4", "1"]])
            self.assertGreater(int(rows[0][3]), 100)
            self.assertLess(int(rows[1][3]), 0)

    def test_the_workflows_have_no_mistake(self):
        self.grid.ok("workflow", "check", str(EXAMPLES / "jobs"))

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
        self.assertEqual(names, ["build_farm.sh", "count_words.cpp", "each_file.sh",
                                 "log_digest.sh", "on_every_machine.sh", "text_batch.sh",
                                 "worker_in_a_program.cpp"])
        for name in names:
            self.assertIn(f"({name})", index)


if __name__ == "__main__":
    harness.main()
