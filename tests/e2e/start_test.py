#!/usr/bin/env python3
"""A command is a process: what it loads to begin, and what it leaves undone at its end.

Arguments: ZGRID [static], the latter if the build puts libraries into the program."""

import re
import subprocess
import sys
import unittest

import harness

IS_STATIC = "static" in sys.argv[2:3] and bool(sys.argv.pop(2))


class Start(unittest.TestCase):
    @unittest.skipUnless(IS_STATIC, "this build uses shared libraries")
    def test_nothing_is_loaded_but_the_c_library(self):
        listed = subprocess.run(["ldd", harness.binary()], capture_output=True, text=True,
                                check=True).stdout
        names = {re.split(r"[ \t]+", line.strip())[0].rpartition("/")[2]
                 for line in listed.splitlines()}
        self.assertLessEqual({name.partition(".")[0].partition("-")[0] for name in names},
                             {"linux", "ld", "libc", "libm"}, listed)


class End(harness.GridCase):
    """A client goes without closing its connection in an orderly way: the kernel does it."""

    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("one")

    def test_what_was_acknowledged_is_there(self):
        jobs = {self.grid.submit("zgrid.echo", str(number)) for number in range(20)}
        self.assertEqual(len(jobs), 20)
        for job in jobs:
            self.grid.wait_for_status(job, "succeeded")

    def test_output_is_whole_and_a_full_disk_still_an_error(self):
        text = "x" * 300_000
        done = self.grid.run("submit", "workflow", "zgrid.echo", "--text", "-",
                             input=text.encode())
        self.check(done, 0)
        self.assertEqual(done.out, text)
        with open("/dev/full", "wb") as full:
            failed = subprocess.run([harness.binary(), "status"], stdout=full,
                                    stderr=subprocess.PIPE, env=self.grid.env, timeout=30,
                                    check=False)
        self.assertEqual(failed.returncode, 74, failed.stderr)

    def test_a_failed_job_is_still_told_by_the_exit_code(self):
        done = self.grid.run("submit", "workflow", "nobody.has.it", "--no-queue")
        self.assertNotEqual(done.code, 0, done)
        self.assertNotEqual(done.err, "")


if __name__ == "__main__":
    harness.main()
