#!/usr/bin/env python3
"""What a user sees when something is wrong: one scene for each thing, with the real program.

A scene starts a grid, breaks one thing and runs commands; each answer must have its words for cause
and fix. diagnosis_test.py runs them as tests. As a program it writes docs/diagnosis.md anew:

    tests/e2e/diagnosis.py PATH/TO/zgrid > docs/diagnosis.md

Paths, ports and ids of the recording are replaced by ones that every reader can have."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import harness

INTRO = """# Diagnosis

What `zgrid` says when something is wrong. Each section is a recorded shell session in which one
thing is broken on purpose; `tests/e2e/diagnosis.py ZGRID > docs/diagnosis.md` records them again,
and `tests/e2e/diagnosis_test.py` checks that each answer names the cause and the fix.

Three questions, three commands:

- **Why does my job not run?** `zgrid explain JOB`. A job that is still unassigned after 2 s says
  the same sentence on stderr of its `submit`.
- **Why does this machine not find the grid?** `zgrid doctor`. It exits with 0 if there is nothing
  to mend and with 1 if there is; `--json` has `checks`, each with `check`, `level` (`ok skipped
  warning problem`), `message` and `fix`. It sends nothing beyond this host but to brokers that
  are named; with `--lan` it also probes the networks.
- **What happened?** `zgrid events -f` for the grid, `zgrid logs JOB|WORKER -f` for what jobs
  write to stderr. A broker keeps the last 2048 events, 64 KiB of log lines of each running job
  and 4 MiB of those that ended, in memory; what is missing is told.

`zgrid explain JOB --json` has, beside `job name run status attempt worker times`: `reason` (the
cause), `fix`, `waits_for` (`worker service name tags version slot empty_worker drain turn delay
backoff grace cancel life jobs`, or null), `needs`, `spent_ms` (`waiting queued running`, over all
attempts), `retries`, `lost`, `queue`, and `workers`: each with the `rule` that excludes it
(`service name tags version pinned offline draining full alone reserved not_empty`) and the
sentence for it, or with its `score`: `rank`, `load` (jobs in hand per slot; the lowest is first)
and `assignments_since` (of equal ones who waited longest is first).
"""

SCENES = []


def scene(title, text):
    def add(function):
        SCENES.append((title, text, function))
        return function
    return add


class Impossible(Exception):
    """This machine does not let the scene be played; the text says why."""


class Transcript:
    """Runs commands of one grid, checks their answers and writes them down."""

    def __init__(self, grid, lines):
        self.grid = grid
        self.lines = lines
        self._ids = {}

    def zgrid(self, *args, code, words, env=None, shown=None, timeout=30):
        """Runs it; its exit code and words in what it says. `shown`: how a user would type it."""
        done = self.grid.run(*args, env=env, timeout=timeout)
        text = done.out + done.err
        assert done.code == code, f"zgrid {' '.join(args)}: not {code} but {done}"
        for word in words:
            assert word in text, f"zgrid {' '.join(args)}: no '{word}' in {done}"
        self.lines.append("$ " + self._plain(shown or "zgrid " + " ".join(args)))
        self.lines += self._plain(text).splitlines()
        self.lines.append("$ echo $?\n" + str(done.code))
        return done

    def note(self, text):
        self.lines.append("# " + text)

    def job(self):
        """The newest job's id."""
        return self.grid.ok("jobs", "--json", "--limit", "1").json["jobs"][0]["job"]

    def _plain(self, text):
        """The same with paths, ports and ids that do not change from one recording to the next."""
        text = text.replace(str(self.grid.dir / "jobs"), "/srv/jobs")
        text = text.replace(str(self.grid.dir), "/home/ann")
        for port in (self.grid.port, self.grid.beacon_port):
            text = text.replace(str(port), "5670")
        text = re.sub(rf"( on |host: ){re.escape(os.uname().nodename)}\b", r"\1desk", text)
        text = re.sub(r"[0-9.]+ GiB free", "120 GiB free", text)
        for grid in re.findall(r"\b[0-9a-f]{16}\b", text):
            self._ids.setdefault(grid, f"c0ffee{len(self._ids) + 0x11:02x}5eed2b1d")
        for full in re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
                               text):
            known = f"0193a0c4-5e2f-7a41-9c3d-4b8e6f10{len(self._ids) + 0x5f0c:04x}"
            self._ids.setdefault(full, known)
        return text

    def close(self):
        """An id is often told by its tail before it is told whole."""
        for full, stable in self._ids.items():
            tails = [(full, stable)]
            if "-" in full:
                tails.append((full[-12:], stable[-12:]))
            for old, new in tails:
                self.lines[:] = [line.replace(old, new) for line in self.lines]


@scene("No secret, or one that others can read",
       "Every process needs the grid's secret, and refuses one that is not private.")
def secret_missing(t):
    t.zgrid("doctor", code=1, env={"ZGRID_SECRET_FILE": str(t.grid.dir / "lost")},
            words=["cannot read the secret", "No such file", "zgrid secret new --out"],
            shown="ZGRID_SECRET_FILE=/home/ann/lost zgrid doctor")
    t.grid.secret.chmod(0o644)
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", code=78,
            words=["open to other users (mode 0644)", "chmod 600"])
    t.zgrid("doctor", code=1, words=["open to other users (mode 0644)", "chmod 600"])
    t.grid.secret.chmod(0o600)


@scene("No broker", "Nothing listens where the broker should be.")
def no_broker(t):
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", "--timeout", "2s", code=69,
            words=["no broker answered within 2s", "is it running, and is the address right?"])
    t.zgrid("doctor", code=1, words=["nothing listens there (connection refused)",
                                     "start the broker there"])


@scene("The wrong secret",
       "The address is right, but this machine has another secret than the broker.")
def wrong_secret(t):
    t.grid.broker("--name", "desk")
    other = str(t.grid.dir / "other-secret")
    t.grid.ok("secret", "new", "--out", other)
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", "--secret-file", other, code=77,
            words=["wrong secret, or not a zgrid broker", "zgrid secret check"])
    t.zgrid("doctor", "--secret-file", other, code=1,
            words=["only another grid is heard", "copy its secret here", "wrong secret"])


@scene("Another grid",
       "Nobody named an address; the only broker that can be heard belongs to another grid.")
def another_grid(t):
    with harness.Grid(discovery=True, beacon_port=t.grid.beacon_port) as other:
        other.broker("--name", "lab")
        env = {"ZGRID_GRID__PEERS": None}
        t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", code=69, env=env,
                words=["only brokers of another grid were found", "zgrid secret check"])
        t.zgrid("doctor", code=1, env=env,
                words=["only another grid is heard", "copy its secret here"])


@scene("The wrong port", "The broker runs, but the address says another port.")
def wrong_port(t):
    t.grid.broker("--name", "desk")
    t.grid.worker("ann")
    wrong = harness.free_port(harness.socket.SOCK_STREAM)
    args = ("--broker", f"127.0.0.1:{wrong}")
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", *args, "--timeout", "2s", code=69,
            words=["no broker answered", "is the address right?"],
            shown="zgrid submit workflow zgrid.echo --text hi --broker 127.0.0.1:5760 "
                  "--timeout 2s")
    t.lines[:] = [line.replace(str(wrong), "5760") for line in t.lines]
    t.zgrid("doctor", *args, code=1,
            words=["nothing listens there (connection refused)",
                   "a broker of this grid is heard at", "mend the address"],
            shown="zgrid doctor --broker 127.0.0.1:5760")
    t.lines[:] = [line.replace(str(wrong), "5760") for line in t.lines]


@scene("A tag that no worker has", "The job asks for a tag; after 2 s `submit` says why it waits.")
def wrong_tag(t):
    t.grid.broker("--name", "desk")
    t.grid.worker("ann", "--tag", "gpu=no")
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", "--on", "tag:gpu=yes", "--timeout",
            "3s", code=124,
            words=["no worker that offers 'zgrid.echo' is tag:gpu=yes",
                   "its tag 'gpu' is 'no', not 'yes'", "start a worker with --tag gpu=yes"])
    t.zgrid("explain", "last", code=0,
            words=["its tag 'gpu' is 'no', not 'yes'", "start a worker with --tag gpu=yes"])
    t.zgrid("doctor", code=0, words=["1 worker is online", "nothing to mend"])


@scene("A workflow that nobody offers", "The name is mistyped.")
def wrong_workflow(t):
    t.grid.broker("--name", "desk")
    t.grid.worker("ann")
    t.zgrid("submit", "workflow", "word-cuont", "--text", "hi", "--timeout", "3s", code=124,
            words=["does not offer 'word-cuont'", "did you mean 'word-count'?"])
    t.zgrid("explain", "last", code=0,
            words=["does not offer 'word-cuont'", "did you mean 'word-count'?"])
    t.zgrid("workflows", code=0, words=["word-count"])


@scene("A step whose script is missing", "The workflow file names a script that is not there.")
def wrong_script(t):
    file = t.grid.jobs_dir / "build.toml"
    file.write_text('[workflow.build]\n[[workflow.build.step]]\nid = "make"\n'
                    'run = ["sh", "biuld.sh"]\n')
    t.grid.broker("--name", "desk")
    t.grid.worker("ann")
    t.zgrid("submit", "workflow", "build", "--text", "hi", code=1,
            words=["in step 'make'", "biuld.sh"])
    t.zgrid("explain", "last", code=0, words=["failed on ann", "in step 'make'", "zgrid logs"])
    t.zgrid("logs", "last", code=0, words=["biuld.sh"])
    t.zgrid("workflow", "check", str(file), code=0,
            words=["build.toml:1", "there is no script 'biuld.sh'", "put it there, or mend 'run'"])
    t.zgrid("doctor", code=1, env={"ZGRID_WORKER__WORKFLOWS": str(file)},
            words=["there is no script 'biuld.sh'", "mend 'run'"])


@scene("Mistakes in a workflow file", "All of them, each with its line.")
def workflow_mistakes(t):
    file = t.grid.jobs_dir / "report.toml"
    file.write_text('[workflow.report]\ntime_limit = "soon"\n[[workflow.report.step]]\nid = "a"\n'
                    'emit = ["Made"]\nrun = "make report"\n\n[[workflow.report.step]]\nid = "b"\n'
                    'accepts = ["Maid"]\nprompt = "Summarise {{date.text}}"\n')
    t.zgrid("workflow", "check", str(file), code=78,
            words=["report.toml:2", "not a duration", "report.toml:5",
                   "unknown key 'emit'; did you mean 'emits'?", "report.toml:6", "run is no list",
                   "report.toml:11", "{{date.text}} is unknown"])
    file.unlink()


@contextlib.contextmanager
def small_disk(path):
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "zgrid-test",
                           str(path)], capture_output=True, check=False)
    if done.returncode != 0:
        raise Impossible(f"a tmpfs cannot be mounted: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                if file.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2


@scene("A full disk", "The disk of the broker's store has no room left.")
def full_disk(t):
    disk = t.grid.dir / "disk"
    with small_disk(disk):
        store = str(disk / "broker.db")
        broker = t.grid.broker("--name", "desk", "--store", store)
        t.grid.worker("ann")
        fill(disk / "filler")
        harness.wait_until(
            lambda: t.grid.run("submit", "workflow", "zgrid.echo", "--text", "x" * 20000,
                               "--detach", "--no-queue").code == 75, 15, "a refused submit")
        t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", "--no-queue", code=75,
                words=["disk"])
        t.zgrid("doctor", code=1, env={"ZGRID_BROKER__STORE": store},
                words=["the broker takes no new jobs", "make room on the disk of its store",
                       "make room there"])
        broker.kill()


@scene("A worker that was stopped",
       "Its process is frozen (`kill -STOP`); the same is seen of one that died.")
def stopped_worker(t):
    t.grid.broker("--name", "desk")
    ann = t.grid.worker("ann")
    ann.send(signal.SIGSTOP)
    harness.wait_until(
        lambda: not t.grid.ok("workers", "--json").json["workers"][0]["online"], 10, "ann offline")
    t.zgrid("submit", "workflow", "zgrid.echo", "--text", "hi", "--timeout", "3s", code=124,
            words=["no worker is online: ann was last seen", "start it again"])
    t.zgrid("explain", "last", code=0, words=["is offline, last seen", "start it again"])
    t.zgrid("doctor", code=1, words=["worker ann on", "is offline, last seen", "start it again"])
    t.zgrid("events", code=0, words=["worker_lost", "no heartbeat for 3000 ms"])
    ann.send(signal.SIGCONT)


def play(function):
    """The lines of one scene."""
    lines = []
    with harness.Grid() as grid:
        transcript = Transcript(grid, lines)
        function(transcript)
        transcript.close()
    return lines


def record():
    text = INTRO
    for title, about, function in SCENES:
        print(title, file=sys.stderr)
        text += f"\n## {title}\n\n{about}\n\n```console\n" + "\n".join(play(function)) + "\n```\n"
    return text


if __name__ == "__main__":
    harness.set_binary(str(pathlib.Path(sys.argv[1]).resolve()))
    sys.stdout.write(record())
