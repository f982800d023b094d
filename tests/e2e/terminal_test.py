#!/usr/bin/env python3
"""Manners on a terminal: widths, colour, job output that must not act on it, and whole lines."""

import os
import re
import signal
import subprocess
import unicodedata

import harness
import terminal

# A title change, a cursor move, a query that the terminal would answer, and C1.
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[6n\x9b31mred\rover\x08\x7f end"


def columns(line):
    """As a terminal counts them."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(unicodedata.category(c) in ("Mn", "Me") for c in line)


class Manners(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        tags = [word for i in range(12) for word in ("--tag", f"key{i}=value-{i}")]
        cls.grid.worker("desk", *tags)
        cls.grid.worker("gpu1")
        cls.grid.env["TERM"] = "xterm-256color"

    def on_terminal(self, *args, columns=80, stdout=None, env=None):
        command = [harness.binary(), *args]
        with terminal.Terminal(command, {**self.grid.env, **(env or {})}, self.grid.dir, columns,
                               stdout) as screen:
            shown = screen.finish()
            self.code = screen.code
        return shown

    def test_job_output_cannot_act_on_a_terminal(self):
        shown = self.on_terminal("submit", "workflow", "zgrid.echo", "--text", EVIL)
        self.assertIn("^[]0;owned^G^[[2J^[[6n^[[31mred^Mover^H^? end\n", shown)
        self.assertNotRegex(shown, r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def test_nor_on_all_machines_nor_as_a_document(self):
        shown = self.on_terminal("submit", "workflow", "zgrid.echo", "--text", EVIL, "--on", "all",
                                 env={"NO_COLOR": "1"})
        self.assertNotRegex(shown, r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
        self.assertEqual(shown.count("owned"), 2)
        shown = self.on_terminal("submit", "workflow", "zgrid.echo", "--text", EVIL, "--json")
        self.assertNotRegex(shown, r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
        self.assertEqual(harness.json.loads(shown)["output"], EVIL)

    def test_nor_what_a_failed_job_says_on_stderr(self):
        jobs = self.grid.dir / "evil.toml"
        jobs.write_text('[workflow.evil]\n[[workflow.evil.step]]\nid = "evil"\n'
                        'run = ["sh", "-c", "printf \'\\\\033]0;owned\\\\007\' >&2; exit 3"]\n')
        shown = self.on_terminal("run", "workflow", "evil", "--workflows", str(jobs),
                                 env={"NO_COLOR": "1"})
        self.assertEqual(self.code, 1)
        self.assertIn("^[]0;owned^G", shown)
        self.assertNotIn("\x1b", shown)

    def test_in_a_pipe_every_byte_is_as_it_was(self):
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--text", EVIL)
        self.assertEqual(done.bytes, EVIL.encode())

    def test_tables_fit_the_terminal(self):
        self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x", "--run", "r" * 60)
        for width in (70, 80, 120):
            for verb in ("workers", "jobs", "workflows", "status"):
                for line in self.on_terminal(verb, columns=width).splitlines():
                    self.assertLessEqual(columns(line), width, line)
        # Wrapped, not cut: the last column keeps all of it.
        self.assertIn("zgrid.echo", self.on_terminal("workers", columns=70))
        # In a pipe a line is a line.
        self.assertEqual(len(self.grid.ok("workers").out.splitlines()), 3)
        self.assertIn("r" * 60, self.grid.ok("jobs").out)

    def test_a_terminal_without_a_width_has_that_of_the_environment(self):
        shown = self.on_terminal("workers", columns=0, env={"COLUMNS": "75"})
        self.assertGreater(len(shown.splitlines()), 3)
        for line in shown.splitlines():
            self.assertLessEqual(columns(line), 75)

    def test_colour_is_for_terminals_and_may_be_forbidden_or_demanded(self):
        colour = "\x1b["
        self.assertIn(colour, self.on_terminal("workers"))
        self.assertNotIn(colour, self.on_terminal("workers", "--color=never"))
        self.assertNotIn(colour, self.on_terminal("workers", env={"NO_COLOR": "1"}))
        self.assertNotIn(colour, self.on_terminal("workers", env={"TERM": "dumb"}))
        self.assertNotIn(colour, self.grid.ok("workers").out)
        self.assertNotIn(colour, self.grid.ok("workers", "--color=auto").out)
        self.assertIn(colour, self.grid.ok("workers", "--color").out)
        self.assertIn(colour, self.grid.ok("workers", "--color=always").out)
        self.assertNotIn(colour, self.grid.ok("workers", "--color", env={"NO_COLOR": "1"}).out)
        self.check(self.grid.run("workers", "--color=green"), 2, "auto, always or never")

    def test_errors_are_coloured_by_where_they_go(self):
        # stdout is a file here, stderr the terminal.
        with open(self.grid.dir / "out", "wb") as out:
            self.assertIn("\x1b[31mzgrid:", self.on_terminal("wait", "5f5f5f", stdout=out))
        self.assertNotIn("\x1b[", self.grid.run("wait", "5f5f5f").err)

    def test_a_closed_pipe_ends_every_kind_of_command_silently(self):
        for args in (["workers"], ["jobs", "--json"], ["events"], ["config", "show"],
                     ["completion", "bash"], ["submit", "workflow", "big"],
                     ["submit", "workflow", "zgrid.echo", "--array", "1-50"]):
            with self.subTest(args=args):
                reader, writer = os.pipe()
                os.close(reader)  # before it begins: what it prints may fit into the pipe
                command = subprocess.Popen([harness.binary(), *args], stdout=writer,
                                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                           env=self.grid.env, cwd=self.grid.dir)
                os.close(writer)
                harness.adopt(command.pid)
                told = command.stderr.read()
                command.stderr.close()
                self.assertEqual(command.wait(20), -signal.SIGPIPE)
                if "--array" not in args:  # which names its run
                    self.assertEqual(told, b"")

    def test_lines_of_many_writers_to_one_pipe_stay_whole(self):
        text = "x" * 200
        script = " & ".join([f"'{harness.binary()}' submit workflow zgrid.echo --array 1-100 "
                             f"--text '{{{{job.index}}}} {text}'"] * 3) + "; wait"
        done = subprocess.run(["sh", "-c", f"({script}) 2>/dev/null | cat"], env=self.grid.env,
                              cwd=self.grid.dir, capture_output=True, timeout=60, check=True)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 300)
        for line in lines:
            self.assertRegex(line, rf"^\d+ {text}$")

    def test_on_a_terminal_notes_and_results_have_lines_of_their_own(self):
        shown = self.on_terminal("submit", "workflow", "talk", "--follow", env={"NO_COLOR": "1"})
        self.assertIn("[talk] one\n", shown)
        self.assertIn("[talk] two\n", shown)
        self.assertTrue(shown.endswith("\ndone\n"), shown)


if __name__ == "__main__":
    harness.main()
