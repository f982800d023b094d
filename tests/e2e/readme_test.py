#!/usr/bin/env python3
"""README.md, read as a user would: every block of commands runs, in order, on a grid of its own.

A block whose commands are scripts/… builds the project and is not run, but its scripts must exist.
`zgrid broker` and `zgrid worker` stay; each other line has to succeed."""

import os
import re
import shlex
import subprocess
import unittest

import harness

README = (harness.ROOT / "README.md").read_text()
STAYS = ("zgrid broker", "zgrid worker", "zgrid up")
# What may end with another code: by then the newest job has mostly ended.
OTHER_CODES = {"zgrid cancel last": (0, 1)}
LINE_MAX = 30


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def code_of(line):
    """The command without its comment."""
    return re.sub(r"\s+#.*$", "", line).strip()


def is_build(block):
    return all(code_of(line).startswith("scripts/") for line in block.splitlines())


class Readme(unittest.TestCase):
    def setUp(self):
        self.grid = harness.Grid(discovery=True).__enter__()
        self.addCleanup(lambda: self.grid.close())
        self.folder = self.grid.dir / "checkout"
        self.folder.mkdir()
        for name in ("README.md", "conf"):
            (self.folder / name).symlink_to(harness.ROOT / name)
        (self.folder / "question.txt").write_text("Name three seas\n")
        programs = self.grid.dir / "bin"
        programs.mkdir()
        (programs / "zgrid").symlink_to(harness.binary())
        # Stands for the program of the provider's example.
        (programs / "llm").write_text("#!/bin/sh\nprintf 'the answer to: '; cat\n")
        (programs / "llm").chmod(0o755)
        home = self.grid.dir / "home"
        settings = home / ".config" / "zgrid"
        settings.mkdir(parents=True)
        providers = [block for block in blocks("toml") if "[[worker.provider]]" in block]
        self.assertEqual(len(providers), 1)
        (settings / "config.toml").write_text(providers[0])
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "ZGRID_SECRET_FILE"):
            del self.grid.env[name]
        # Root's state is elsewhere by default; a test's is not.
        self.grid.env["XDG_STATE_HOME"] = str(self.grid.dir / "state")
        self.grid.env["ZGRID_BROKER__BIND"] = self.grid.endpoint
        self.grid.env["PATH"] = f"{programs}:{self.grid.env['PATH']}"

    def stay(self, line):
        words = shlex.split(line)[1:]
        process = self.grid.start(*words, name="-".join(re.findall(r"\w+", line))[:40],
                                  cwd=self.folder)
        process.wait_for_log("ready at")

    def run_lines(self, block):
        """Runs the lines in one shell, so that variables last; each line's code is judged."""
        script = ["set -o pipefail"]
        for line in block.splitlines():
            if not code_of(line):
                continue
            codes = OTHER_CODES.get(code_of(line), (0,))
            wanted = "|".join(str(code) for code in codes)
            script += [line, f"code=$?; case $code in {wanted}) ;; *) "
                       f"echo {shlex.quote(code_of(line))} ended with $code >&2; exit 1;; esac"]
        done = subprocess.run(["bash", "-c", "\n".join(script)], env=self.grid.env, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LINE_MAX,
                              check=False)
        self.assertEqual(done.returncode, 0, f"{block}\n{done.stdout}\n{done.stderr}")
        return done.stdout.decode()

    def test_every_block_of_commands_does_what_it_says(self):
        outputs = {}
        for block in blocks("sh"):
            if is_build(block) or "cmake" in block:
                for script in re.findall(r"scripts/\w+", block):
                    self.assertTrue(os.access(harness.ROOT / script, os.X_OK), script)
                continue
            lines = [code_of(line) for line in block.splitlines()]
            with self.subTest(block=block):
                if all(line.startswith(STAYS) for line in lines):
                    for line in lines:
                        self.stay(line)
                else:
                    outputs[block] = self.run_lines(block)
        everything = "".join(outputs.values())
        self.assertIn("lines 0  words 6  bytes 18\n", everything)  # to be or not to be
        self.assertIn("the answer to: Name three rivers", everything)
        self.assertIn("the answer to: Name three seas", everything)
        self.assertGreaterEqual(len(outputs), 5)

    def test_commands_within_sentences_exist(self):
        verbs = {verb for verb in re.findall(r"`zgrid ([a-z]+)\b", README)}
        self.assertGreater(len(verbs), 5)
        for verb in sorted(verbs):
            self.assertEqual(self.grid.run(verb, "--help").code, 0, verb)
        options = set(re.findall(r"`(--[a-z-]+)", README))
        help_text = "".join(self.grid.ok(*verb, "--help").out for verb in (
            [], ["broker"], ["worker"], ["submit"], ["submit", "workflow"], ["submit", "prompt"]))
        for option in sorted(options):
            self.assertTrue(option in help_text or option in ("--prefix", "--help"), option)

    def test_the_example_workflow_is_the_one_in_the_tree(self):
        (example,) = [block for block in blocks("toml") if "workflow.word-count" in block]
        path = self.folder / "example.toml"
        path.write_text(example)

        def count(workflows):
            return self.grid.run("run", "workflow", "word-count", "--workflows", workflows,
                                 "--text", "@README.md", cwd=self.folder)
        mine, theirs = count(str(path)), count("conf/workflows")
        self.assertEqual(mine.code, 0, mine)
        self.assertEqual(mine.out, theirs.out)


if __name__ == "__main__":
    harness.main()
