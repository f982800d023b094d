#!/usr/bin/env python3
"""Completion in a real bash, zsh and fish: a person presses TAB."""

import subprocess
import time

import harness
import terminal


class Completion(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("gpu1", "--tag", "gpu=yes")
        cls.grid.worker("desk")
        programs = cls.grid.dir / "bin"
        programs.mkdir()
        (programs / "zgrid").symlink_to(harness.binary())
        cls.grid.env["PATH"] = f"{programs}:{cls.grid.env['PATH']}"
        cls.job = cls.grid.ok("submit", "workflow", "zgrid.echo", "--text", "x", "--run", "nightly",
                              "--detach").out.strip()
        cls.grid.wait_for_status(cls.job, "succeeded")
        (cls.grid.dir / "some-file.txt").write_text("x")
        (cls.grid.dir / "some-folder").mkdir()

    def ask(self, *words, env=None):
        lines = self.grid.ok("__complete", "--", *words, env=env).out.splitlines()
        return [line.split("\t")[0] for line in lines]

    # What every shell asks.

    def test_it_knows_what_the_grid_has_now(self):
        tail = self.job.rpartition("-")[2]
        self.assertEqual(self.ask("drain", ""), ["desk", "gpu1"])
        self.assertEqual(self.ask("submit", "workflow", "zgrid.e"), ["zgrid.echo"])
        self.assertIn("gate", self.ask("submit", "workflow", ""))
        self.assertEqual(self.ask("wait", "--run", ""), ["nightly"])
        self.assertEqual(self.ask("wait", tail[:6]), [tail])
        self.assertEqual(self.ask("wait", self.job[:20]), [self.job])
        self.assertEqual(self.ask("submit", "workflow", "--on", "desk,g"), ["desk,gpu1"])
        self.assertEqual(self.ask("submit", "workflow", "--on=tag:"),
                         ["--on=tag:", "--on=tag:gpu=yes"])
        self.assertEqual(self.ask("cancel", ""), ["last"])  # the only job has ended
        self.assertEqual(self.ask("logs", "de"), ["desk"])
        self.assertIn("word-count", self.ask("run", "--workflows",
                                             str(harness.ROOT / "conf/workflows"), "workflow", ""))

    def test_without_a_broker_it_is_quick_and_silent(self):
        port = harness.free_port(harness.socket.SOCK_STREAM)
        beacons = str(harness.free_port(harness.socket.SOCK_DGRAM))
        for nobody in ({"ZGRID_GRID__PEERS": f"tcp://127.0.0.1:{port}",
                        "ZGRID_GRID__BEACON_PORT": beacons,
                        "XDG_CACHE_HOME": str(self.grid.dir / "none")},
                       {"ZGRID_SECRET_FILE": str(self.grid.dir / "no-such-secret")}):
            begun = time.monotonic()
            done = self.grid.run("__complete", "--", "drain", "", env=nobody)
            # Half a second of patience, and what starting takes on a busy machine.
            self.assertLess(time.monotonic() - begun, 3)
            self.assertEqual((done.code, done.out, done.err), (0, "", ""))

    def test_a_shell_that_is_not_known_is_told(self):
        self.check(self.grid.run("completion", "tcsh"), 2, "bash, zsh or fish")

    # The shells. Each case: what is typed before TAB, and what then stands there.

    CASES = (("zgrid undra", "zgrid undrain "),
             ("zgrid submit workflow zgrid.e", "zgrid submit workflow zgrid.echo "),
             ("zgrid drain gp", "zgrid drain gpu1 "),
             ("zgrid submit --on=de", "zgrid submit --on=desk"),
             ("zgrid submit --on desk,gp", "zgrid submit --on desk,gpu1 "),
             ("zgrid submit --on tag:gp", "zgrid submit --on tag:gpu=yes "),
             ("zgrid wait --run ni", "zgrid wait --run nightly "),
             ("zgrid jobs --state runn", "zgrid jobs --state running "),
             ("zgrid submit workflow x --text @some-fi",
              "zgrid submit workflow x --text @some-file.txt"),
             ("zgrid submit workflow x --each-line some-fi",
              "zgrid submit workflow x --each-line some-file.txt "),
             ("zgrid submit workflow x --out some", "zgrid submit workflow x --out some-folder/"))

    def lines_of(self, shell, setup):
        """What stands on the line after each TAB."""
        env = {**self.grid.env, "TERM": "xterm", "HISTFILE": "/dev/null"}
        out = self.grid.dir / "lines"
        found = []
        with terminal.Terminal(shell, env, self.grid.dir, columns=200) as screen:
            screen.press(setup + "; echo rea''dy\n")
            screen.wait_for("ready")
            for number, (typed, _) in enumerate(self.CASES):
                # The line becomes the argument of printf, which writes it into a file.
                screen.press(f"{typed}\t<'\x01printf '%s' '\x05 > lines; echo do''ne-{number}\n")
                screen.wait_for(f"done-{number}")
                found.append(out.read_text())
        return found

    def check_lines(self, shell, setup):
        expected = [line + "<" for _, line in self.CASES]
        # Some shells add a blank after a completed word where others wait for more.
        self.assertEqual([line.replace(" <", "<") for line in self.lines_of(shell, setup)],
                         [line.replace(" <", "<") for line in expected])

    def test_in_bash(self):
        self.check_lines(["bash", "--norc", "-i"], 'eval "$(zgrid completion bash)"')

    def test_in_zsh(self):
        self.check_lines(["zsh", "-f", "-i"],
                         'PS1= RPS1=; bindkey -e; autoload -U compinit; compinit -u -D; '
                         'eval "$(zgrid completion zsh)"')

    def test_in_fish(self):
        """Fish tells what it would complete, without a terminal."""
        env = {**self.grid.env, "TERM": "dumb"}
        self.grid.ok("completion", "fish")
        for typed, expected in self.CASES:
            with self.subTest(typed=typed):
                done = subprocess.run(
                    ["fish", "--no-config", "-c",
                     f"zgrid completion fish | source; complete -C '{typed}'"], env=env,
                    cwd=self.grid.dir, capture_output=True, timeout=20, check=False)
                self.assertEqual(done.stderr.decode(), "")
                words = [line.split("\t")[0] for line in done.stdout.decode().splitlines()]
                self.assertIn(expected.split()[-1], words)


if __name__ == "__main__":
    harness.main()
