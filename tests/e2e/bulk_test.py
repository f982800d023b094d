#!/usr/bin/env python3
"""Many jobs of one submit: lines, documents, arrays; outputs, resuming, limits and signals.

The jobs write a line into the file `runs` each time they run, so that a test can count."""

import collections
import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import harness

COUNTED = """
echo "$ZGRID_RUN $ZGRID_INDEX" >> runs
eval "$1"
"""
# Fails for each hundredth line, unless the file `mended` is there.
MOSTLY = """
read -r text
case $text in *00) [ -e mended ] || { echo "cannot do $text" >&2; exit 9; };; esac
echo "did $text"
"""
# The line `first` waits for the file `opened`; every line gives two megabytes.
LARGE = """
read -r text
[ $text != first ] || while ! [ -e opened ]; do sleep 0.01; done
echo $text
head -c 2000000 /dev/zero | tr '\\0' x
echo
"""
WORKFLOWS = "".join(f"""
[workflow.{name}]
[[workflow.{name}.step]]
id = "{name}"
run = {json.dumps(run)}
stdin = "{{{{data.text}}}}\\n"
""" for name, run in (("upper", ["sh", "counted.sh", "tr a-z A-Z"]),
                      ("slow", ["sh", "counted.sh", "sleep 0.02; cat"]),
                      ("mostly", ["sh", "counted.sh", ". ./mostly.sh"]),
                      ("large", ["sh", "large.sh"])))


class Bulk(harness.GridCase):
    @classmethod
    def set_up(cls):
        for name, text in (("counted.sh", COUNTED), ("mostly.sh", MOSTLY), ("large.sh", LARGE),
                           ("bulk.toml", WORKFLOWS)):
            (cls.grid.jobs_dir / name).write_text(text)
        (cls.grid.dir / "prompts.toml").write_text(
            '[[worker.provider]]\nname = "loud"\nkind = "command"\nargv = ["tr", "a-z", "A-Z"]\n')
        cls.grid.broker()
        cls.grid.worker("ann", "--config", "prompts.toml", slots=4)

    def lines(self, name, lines):
        (self.grid.dir / name).write_text("".join(f"{line}\n" for line in lines))
        return name

    def runs(self, run):
        """How often each index of a run ran."""
        path = self.grid.jobs_dir / "runs"
        pairs = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return collections.Counter(int(pair[1]) for pair in pairs
                                   if len(pair) == 2 and pair[0] == run)

    def submit(self, workflow, *args, code=0, **options):
        return self.check(self.grid.run("submit", "workflow", workflow, *args, **options), code)

    def test_what_failed_runs_again_and_nothing_else(self):
        name = self.lines("thousand", range(1, 1001))
        command = ("mostly", "--each-line", name, "--progress", "--out", "d", "--key", "thousand")
        done = self.submit(*command, code=1, timeout=60)
        self.assertEqual(done.out, "")
        self.assertIn("run thousand: 990 succeeded, 10 failed", done.err)
        self.assertIn("cannot do 100", done.err)
        folder = self.grid.dir / "d"
        failed = set(range(100, 1001, 100))
        for index in range(1, 1001):
            document = json.loads((folder / f"{index}.json").read_text())
            self.assertEqual(document["index"], index)
            self.assertEqual(document["run"], "thousand")
            output = folder / f"{index}.out"
            if index in failed:
                self.assertEqual(document["status"], "failed")
                self.assertFalse(output.exists())
            else:
                self.assertEqual(output.read_text(), f"did {index}\n")
        self.assertEqual(len(list(folder.iterdir())), 1000 + 990)
        self.assertEqual(self.runs("thousand"), collections.Counter(range(1, 1001)))

        # The same again runs nothing, and says the same.
        self.submit(*command, code=1)
        self.assertEqual(sum(self.runs("thousand").values()), 1000)
        (self.grid.jobs_dir / "mended").touch()
        self.submit(*command, "--rerun", "failed")
        self.assertEqual(self.runs("thousand"), collections.Counter(
            [*range(1, 1001), *sorted(failed)]))
        self.assertEqual(len(list(folder.glob("*.out"))), 1000)
        self.submit(*command, "--rerun", "failed")
        self.assertEqual(sum(self.runs("thousand").values()), 1010)
        (self.grid.jobs_dir / "mended").unlink()

    def test_an_input_without_an_item_is_no_failure_and_is_told_of(self):
        for text in (b"", b"\n\n"):
            done = self.submit("zgrid.echo", "--each-line", "-", input=text)
            self.assertEqual(done.out, "")
            self.assertIn("there was nothing to submit", done.err)

    def test_a_folder_holds_the_results_of_one_run(self):
        def echo(last, *args, **options):
            return self.submit("zgrid.echo", "--text", "{{job.index}}", "--array", f"1-{last}",
                               "--out", "one-run", *args, **options)
        echo(20, "--run", "mine")
        folder = self.grid.dir / "one-run"
        before = {path.name: path.read_text() for path in folder.iterdir()}
        for more in ([], ["--run", "other"], ["--key", "other"]):
            done = echo(3, *more, code=73)
            for word in ("holds results of run mine", "nothing was submitted"):
                self.assertIn(word, done.err)
        self.assertEqual(self.grid.ok("jobs", "--run", "other", "--json").json["jobs"], [])
        self.assertEqual({path.name: path.read_text() for path in folder.iterdir()}, before)
        # Who names the run goes on with it, and hears of what is older.
        done = echo(3, "--run", "mine")
        self.assertIn("also holds 17 results of run mine", done.err)
        self.assertIn("the first of index 4", done.err)
        self.assertEqual(len(list(folder.iterdir())), 40)

    def test_interrupted_half_way_the_same_command_goes_on(self):
        words = [f"w{i}" for i in range(1, 301)]
        name = self.lines("words", words)
        # Half of the lines come through a pipe that stays open.
        first = subprocess.Popen(
            [harness.binary(), "submit", "workflow", "slow", "--each-line", "-", "--key", "half",
             "--out", "half"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=self.grid.env,
            cwd=self.grid.dir)
        harness.adopt(first.pid)
        first.stdin.write("".join(f"{word}\n" for word in words[:150]).encode())
        first.stdin.flush()
        folder = self.grid.dir / "half"
        harness.wait_until(lambda: len(list(folder.glob("*.json"))) >= 40, what="40 results")
        first.send_signal(signal.SIGINT)
        err = first.communicate(timeout=10)[1].decode()
        self.assertEqual(first.returncode, -signal.SIGINT, err)
        self.assertRegex(err, r"run half: 150 jobs were accepted, \d+ ended, the others go on")
        self.assertIn("zgrid attach --run half", err)
        self.assertIn("the same command again goes on", err)
        self.assertFalse((folder / "150.json").exists())

        done = self.submit("slow", "--each-line", name, "--key", "half", "--out", "half",
                           timeout=60)
        self.assertIn("run half", done.err)
        for index, word in enumerate(words, 1):
            self.assertEqual((folder / f"{index}.out").read_text(), f"{word}\n")
        self.assertEqual(self.runs("half"), collections.Counter(range(1, 301)))
        self.assertEqual(len(list(folder.iterdir())), 600)

    def test_a_shell_loop_stops_with_the_command(self):
        script = 'for i in 1 2 3; do "$0" submit workflow gate --each-line many; echo next; done'
        self.grid.open_gate("at-once")
        self.lines("many", ["at-once", *["loop"] * 20])
        shell = subprocess.Popen(["bash", "-c", script, harness.binary()], env=self.grid.env,
                                 cwd=self.grid.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True)
        harness.adopt(shell.pid)
        self.assertEqual(shell.stdout.readline(), b"at-once by ann\n")
        os.killpg(shell.pid, signal.SIGINT)
        out, err = shell.communicate(timeout=10)
        self.assertEqual(out, b"", err)
        self.assertEqual(shell.returncode, -signal.SIGINT)
        run = re.search(rb"run (bulk-\S+)\n", err).group(1).decode()
        self.assertIn(f"zgrid attach --run {run}", err.decode())
        self.grid.open_gate("loop")
        done = self.grid.ok("attach", "--run", run)
        self.assertEqual(done.out.count("loop by ann"), 20)

    def test_outputs_come_in_input_order_each_on_its_own_line(self):
        words = [f"word{i}" for i in range(500)]
        done = self.submit("upper", "--each-line", "-", timeout=60,
                           input="\n".join(words).encode())
        self.assertEqual(done.out.splitlines(), [word.upper() for word in words])
        self.assertRegex(done.err, r"^zgrid: run bulk-\d{8}-\d{6}-\w{4}\n$")
        self.assertEqual(self.submit("zgrid.echo", "--each-line", "-", "--quiet",
                                     input=b"a\n\nb").bytes, b"a\nb\n")

    def test_large_outputs_behind_a_slow_job_take_bounded_memory(self):
        name = self.lines("large", ["first", *(f"l{i}" for i in range(60))])
        command = self.grid.start("submit", "workflow", "large", "--each-line", name, "--run",
                                  "large", name="large")

        def ended():
            jobs = self.grid.ok("jobs", "--run", "large", "--json", "--limit", "0").json["jobs"]
            return sum(job["status"] == "succeeded" for job in jobs) == 60
        harness.wait_until(ended, 40, "all but the first")
        (self.grid.jobs_dir / "opened").touch()
        peak = 0

        def over():
            nonlocal peak
            try:
                status = pathlib.Path(f"/proc/{command.pid}/status").read_text()
            except OSError:
                status = ""
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            peak = max(peak, int(found.group(1)) if found else 0)
            return command.popen.poll() is not None
        harness.wait_until(over, 40, "the end of the command")
        self.assertEqual(command.popen.returncode, 0, command.log)
        firsts = [line for line in command.out.splitlines() if len(line) < 10]
        self.assertEqual(firsts, ["first", *(f"l{i}" for i in range(60))])
        self.assertEqual(len(command.out), 61 * 2_000_001 + sum(len(line) + 1 for line in firsts))
        self.assertLess(peak, 400 * 1024)

    def test_a_closed_pipe_ends_it_silently_and_the_jobs_go_on(self):
        script = ('yes word | "$0" submit workflow zgrid.echo --each-line - --run endless --quiet '
                  '| head -n 3')
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {script}", harness.binary()],
                              env=self.grid.env, cwd=self.grid.dir, capture_output=True, timeout=30,
                              check=False)
        self.assertEqual(done.stdout, b"word\n" * 3)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.returncode, 128 + signal.SIGPIPE)
        self.grid.run("cancel", "--run", "endless", timeout=60)

    def test_a_malformed_document_in_a_file_means_that_nothing_is_submitted(self):
        self.lines("bad.json", ['{"text": "a"}', "", '{"text": ', '{"text": "b"}'])
        done = self.submit("zgrid.echo", "--each-json", "bad.json", "--run", "bad", code=65)
        self.assertIn("line 3 of 'bad.json'", done.err)
        self.assertIn("nothing was submitted", done.err)
        self.check(self.grid.run("wait", "--run", "bad"), 66)
        self.lines("list.json", ['{"text": "a"}', "[1]"])
        self.check(self.grid.run("submit", "workflow", "zgrid.echo", "--each-json", "list.json"),
                   65, "line 2 of 'list.json'", "not a JSON object")

    def test_in_a_pipe_what_came_before_a_malformed_document_is_seen_through(self):
        done = self.submit("zgrid.echo", "--each-json", "-", code=65,
                           input=b'{"text": "a"}\n{"text": "b"}\nnonsense\n{"text": "c"}\n')
        self.assertEqual(done.out, "a\nb\n")
        self.assertIn("line 3 of stdin", done.err)
        self.assertIn("2 before it were submitted", done.err)

    def test_a_pipe_that_says_nothing_yet_holds_no_result_up(self):
        command = subprocess.Popen(
            [harness.binary(), "submit", "workflow", "zgrid.echo", "--each-line", "-", "--quiet"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.grid.env, cwd=self.grid.dir)
        harness.adopt(command.pid)
        for word in (b"one\n", b"two\n"):
            command.stdin.write(word)
            command.stdin.flush()
            self.assertEqual(command.stdout.readline(), word)
        out, _ = command.communicate(b"three", timeout=10)
        self.assertEqual(out, b"three\n")
        self.assertEqual(command.returncode, 0)

    def test_documents_and_arrays_fill_templates(self):
        done = self.submit("zgrid.echo", "--each-json", "-", "--text",
                           "{{job.index}} {{data.name}} {{data.n}}",
                           input=b'{"name": "x", "n": [1, 2]}\n\n{"name": "y", "n": null}\n')
        self.assertEqual(done.out, "1 x [1,2]\n3 y null\n")
        done = self.submit("zgrid.echo", "--array", "3-9:3", "--run", "arr", "--input",
                           '{"of": "{{job.run}}/{{job.index}}"}')
        self.assertEqual([json.loads(line) for line in done.out.splitlines()],
                         [{"of": f"arr/{i}"} for i in (3, 6, 9)])
        done = self.check(self.grid.run("submit", "prompt", "say {{data.text}}", "--each-line", "-",
                                        input=b"hello\nworld\n"), 0)
        self.assertEqual(done.out, "SAY HELLO\nSAY WORLD\n")
        self.check(self.grid.run("submit", "prompt", "a {{data.text}}", "--text", "b"), 0)
        self.check(self.grid.run("submit", "workflow", "zgrid.echo", "--array", "1-3", "--text",
                                 "{{line}}"), 65, "{{line}} is unknown", "data.text")

    def test_the_rest_of_a_file_on_stdin_is_read_and_not_what_was_read_before(self):
        self.lines("three", ["head", "a", "b"])
        script = ('read -r first; "$0" submit workflow zgrid.echo --each-line -; '
                  'echo "after: $(cat)"')
        with open(self.grid.dir / "three", "rb") as stdin:
            done = subprocess.run(["sh", "-c", script, harness.binary()], env=self.grid.env,
                                  stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  cwd=self.grid.dir, timeout=20, check=True)
        self.assertEqual(done.stdout, b"a\nb\nafter: \n")

    def test_json_gives_a_result_for_each_as_it_ends(self):
        results = self.submit("zgrid.echo", "--array", "1-20", "--json", "--run", "lines").lines
        self.assertEqual(sorted(result["index"] for result in results), list(range(1, 21)))
        for result in results:
            self.assertEqual(result["schema"], "zgrid/1")
            self.assertEqual(result["run"], "lines")
            self.assertEqual(result["status"], "succeeded")

    def test_detach_prints_ids_in_input_order(self):
        done = self.submit("zgrid.echo", "--array", "1-30", "--run", "ids", "--detach")
        ids = done.out.splitlines()
        self.assertEqual(len(set(ids)), 30)
        self.check(self.grid.run("wait", "-", input=done.bytes), 0)
        jobs = self.grid.ok("jobs", "--run", "ids", "--json", "--limit", "0").json["jobs"]
        self.assertEqual({job["job"]: job["index"] for job in jobs},
                         {job: index for index, job in enumerate(ids, 1)})
        documents = self.submit("zgrid.echo", "--array", "4-5", "--json", "--detach").lines
        self.assertEqual([document["jobs"][0]["index"] for document in documents], [4, 5])

    def test_more_failures_than_allowed_cancel_the_rest(self):
        self.lines("hundreds", ["100"] * 6 + ["1"] * 300)
        done = self.submit("mostly", "--each-line", "hundreds", "--run", "few", "--max-fails", "3",
                           code=1)
        self.assertIn("more than 3 failed", done.err)
        self.assertIn("cancelled", done.err)
        self.assertLess(sum(self.runs("few").values()), 300)
        states = {job["status"] for job in
                  self.grid.ok("jobs", "--run", "few", "--json", "--limit", "0").json["jobs"]}
        self.assertLessEqual(states, {"succeeded", "failed", "cancelled"})

    def test_another_line_under_the_same_key_is_a_conflict_and_the_others_go_on(self):
        self.submit("zgrid.echo", "--each-line", "-", "--key", "same", input=b"a\nb\nc\n")
        done = self.submit("zgrid.echo", "--each-line", "-", "--key", "same", code=65,
                           input=b"a\nB\nc\nd\n")
        self.assertEqual(done.out, "a\nc\nd\n")
        self.assertIn("line 2 of stdin", done.err)

    def test_on_a_terminal_a_bar_comes_and_goes(self):
        ours, theirs = pty.openpty()
        self.lines("sixty", range(60))
        command = subprocess.Popen(
            [harness.binary(), "submit", "workflow", "slow", "--each-line", "sixty", "--progress",
             "--out", "bar"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
            env={**self.grid.env, "TERM": "xterm"}, cwd=self.grid.dir)
        harness.adopt(command.pid)
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other end is gone
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
        self.assertEqual(command.wait(20), 0)
        text = shown.decode()
        self.assertRegex(text, r"\[#*-*\] +\d+%  \d+/60  [\d.]+/s")
        self.assertRegex(text, r"eta \d+s")
        # It is wiped before the summary is written.
        self.assertRegex(text, r"\r\x1b\[Kzgrid: run \S+: 60 succeeded, 0 failed in")

    def test_a_private_grid_takes_many_jobs_too(self):
        done = self.check(self.grid.run("run", "workflow", "upper", "--workflows",
                                        str(self.grid.jobs_dir), "--array", "1-5", "--text",
                                        "n{{job.index}}"), 0)
        self.assertEqual(done.out, "".join(f"N{i}\n" for i in range(1, 6)))
        self.assertEqual(done.err, "")

    def test_when_time_is_up_it_says_how_to_follow(self):
        done = self.grid.run("submit", "workflow", "gate", "--each-line", "-", "--run", "late",
                             "--timeout", "1s", input=b"late\nlate\n")
        self.check(done, 124, "run late: 2 jobs were accepted, 0 ended", "attach --run late")
        self.grid.open_gate("late")
        self.grid.ok("wait", "--run", "late")

    def test_a_second_submit_of_one_key_reruns_a_failure_only_when_asked(self):
        for _ in range(2):
            self.submit("mostly", "--text", "100", "--key", "one", "--run", "one", code=1)
        jobs = self.grid.ok("jobs", "--run", "one", "--json").json["jobs"]
        self.assertEqual(len(jobs), 1)
        self.submit("mostly", "--text", "100", "--key", "one", "--run", "one", "--rerun", "failed",
                    code=1)
        jobs = self.grid.ok("jobs", "--run", "one", "--json").json["jobs"]
        self.assertEqual(len(jobs), 2)


class FullQueue(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker(env={"ZGRID_BROKER__QUEUE_JOBS_MAX": "40"})
        cls.grid.worker("ann", slots=4)

    def test_a_full_queue_is_waited_for(self):
        words = [f"w{i}" for i in range(400)]
        done = self.grid.ok("submit", "workflow", "brief", "--each-line", "-", "--quiet",
                            timeout=60, input="\n".join(words).encode())
        self.assertEqual(done.out.splitlines(), words)


class Restart(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.broker = cls.grid.broker()
        cls.grid.worker("ann", slots=4)

    def test_a_broker_that_dies_half_way_costs_nothing(self):
        words = [f"w{i}" for i in range(300)]
        (self.grid.dir / "words").write_text("\n".join(words))
        command = self.grid.start("submit", "workflow", "brief", "--each-line", "words",
                                  name="bulk")
        harness.wait_until(lambda: "w40" in command.out, what="the first results")
        self.broker.kill()
        self.grid.broker(name="again")
        self.assertEqual(command.popen.wait(60), 0, command.log)
        self.assertEqual(command.out.splitlines(), words)


if __name__ == "__main__":
    harness.main()
