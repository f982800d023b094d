"""Real processes of one grid for one test: a broker, workers and commands in a folder of their own.

Each grid has its own HOME, secret, TCP port and beacon port, so that suites run side by side
without hearing each other, and nothing of the user's is read or written. Whatever a grid started is
gone when it is closed; a process that a worker left behind fails the test.

A suite is a file with unittest cases that ends with `harness.main()`; its first argument, or the
variable ZGRID_BINARY, is the program under test."""

import base64
import ctypes
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMMAND_MAX = 20  # seconds that a command may take before a test gives up
PR_SET_CHILD_SUBREAPER = 36

_binary = os.environ.get("ZGRID_BINARY", "")
_started = set()  # pids of all grids: a suite may have several at once


def binary():
    assert _binary, "give the zgrid binary as the first argument or in ZGRID_BINARY"
    return _binary


def main():
    """Runs the calling suite."""
    global _binary
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and os.path.exists(sys.argv[1]):
        _binary = os.path.abspath(sys.argv.pop(1))
    # What a killed worker leaves behind becomes our child, so that it can be seen.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ctest's timeout: clean up, too
    unittest.main(verbosity=2)


def pause(seconds=0.005):
    select.select([], [], [], seconds)


def wait_until(condition, deadline=10, what="the condition"):
    """The first true value of condition(); fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what} did not hold within {deadline} s")
        pause()


def free_port(kind):
    """A port of 127.0.0.1 below the range that the kernel hands out by itself."""
    for _ in range(200):
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


def children_of(pid):
    """The pids of its living children (zombies are none)."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def text_of(value):
    """A value of a document, with {"$base64": …} as the bytes it stands for."""
    return base64.b64decode(value["$base64"]) if isinstance(value, dict) else value.encode()


def leftovers():
    """Command lines of our children that no test started and nobody ended; they are ended here."""
    def strangers():
        return [pid for pid in children_of(os.getpid()) if pid not in _started]
    try:
        wait_until(lambda: not strangers(), 5)
        return []
    except AssertionError:
        lines = []
        for pid in strangers():
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            lines.append(line.replace(b"\0", b" ").decode(errors="replace"))
            os.kill(pid, signal.SIGKILL)
        return lines


class Done:
    """A command that ended. code is negative for a signal, as subprocess has it."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.bytes = stdout
        self.out = stdout.decode(errors="replace")
        self.err = stderr.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self):
        """The error document: the last line of stderr."""
        return json.loads(self.err.splitlines()[-1])["error"]

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


class Process:
    """A process that stays: a broker, a worker, or a command that is not waited for."""

    def __init__(self, grid, name, args, env, cwd, wrapper=()):
        self.name = name
        self.log_path = grid.dir / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self._out_path = grid.dir / f"{name}.out"
            with open(self._out_path, "wb") as out:
                self.popen = subprocess.Popen([*wrapper, binary(), *args], stdin=subprocess.DEVNULL,
                                              stdout=out, stderr=log, env=env, cwd=cwd)
        self.pid = self.popen.pid
        _started.add(self.pid)

    @property
    def log(self):
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    @property
    def out(self):
        return self._out_path.read_text(errors="replace")

    def wait_for_log(self, text, deadline=15):
        def seen():
            if text in self.log:
                return True
            assert self.popen.poll() is None, (
                f"{self.name} ended with {self.popen.returncode} before '{text}':\n{self.log}")
            return False
        wait_until(seen, deadline, f"'{text}' in the log of {self.name}")
        return self

    def send(self, signum):
        self.popen.send_signal(signum)

    def kill(self):
        """kill -9, and gone."""
        self.popen.kill()
        self.popen.wait()

    def end(self, signum=signal.SIGTERM, deadline=15):
        """Its exit code after the signal."""
        self.send(signum)
        return self.popen.wait(deadline)


class Grid:
    """Use as a context manager. With discovery, nobody is told the broker's address."""

    def __init__(self, discovery=False, beacon_port=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="zgrid-e2e-"))
        self.jobs_dir = self.dir / "jobs"
        self.processes = []
        self.port = free_port(socket.SOCK_STREAM)
        self.beacon_port = beacon_port or free_port(socket.SOCK_DGRAM)
        self.secret = self.dir / "secret"
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.dir / "home"),
            "XDG_CONFIG_HOME": str(self.dir / "config"),
            "XDG_STATE_HOME": str(self.dir / "state"),
            "XDG_CACHE_HOME": str(self.dir / "cache"),
            "ZGRID_SECRET_FILE": str(self.secret),
            "ZGRID_GRID__BEACON_PORT": str(self.beacon_port),
        }
        if not discovery:
            self.env["ZGRID_GRID__PEERS"] = self.endpoint
        (self.dir / "home").mkdir()
        shutil.copytree(HERE / "jobs", self.jobs_dir)

    def __enter__(self):
        try:
            self.ok("secret", "new", "--out", str(self.secret))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, error, trace):
        self.close(failed=kind is not None)

    @property
    def endpoint(self):
        return f"tcp://127.0.0.1:{self.port}"

    def broker(self, *args, name="broker", port=None, wait=True, env=None):
        bind = f"tcp://127.0.0.1:{port or self.port}"
        process = self.start("broker", "--bind", bind, *args, name=name, env=env)
        if wait:
            process.wait_for_log("broker ready")
        return process

    def worker(self, name, *args, slots=2, wait=True, env=None, process=None):
        worker = self.start("worker", "--name", name, "--slots", str(slots), "--workflows",
                            str(self.jobs_dir), "--workflows", str(ROOT / "conf/workflows"), *args,
                            name=process or name, env=env)
        if wait:
            worker.wait_for_log(f"worker {name} ready")
        return worker

    def start(self, *args, name="command", env=None, cwd=None, wrapper=()):
        """`wrapper`: words before the program; they must exec it."""
        # In the grid's own folder: a ./zgrid.toml of the user's must not be read.
        process = Process(self, name, args, {**self.env, **(env or {})}, cwd or self.dir,
                          wrapper)
        self.processes.append(process)
        return process

    def run(self, *args, input=b"", timeout=COMMAND_MAX, env=None, cwd=None):
        """Runs a command to its end. An env value of None removes the variable."""
        merged = {**self.env, **(env or {})}
        merged = {name: value for name, value in merged.items() if value is not None}
        done = subprocess.run([binary(), *args], input=input, capture_output=True, env=merged,
                              cwd=cwd or self.dir, timeout=timeout, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **options):
        done = self.run(*args, **options)
        assert done.code == 0, f"zgrid {' '.join(args)}: {done}"
        return done

    def submit(self, workflow, text="", *args, **options):
        """Submits without waiting; the job's id."""
        return self.ok("submit", "workflow", workflow, "--text", text, "--detach", *args,
                       **options).out.strip()

    def job(self, job):
        """The job as `zgrid jobs` has it."""
        jobs = self.ok("jobs", "--json", "--limit", "0").json["jobs"]
        return next(entry for entry in jobs if entry["job"] == job)

    def wait_for_status(self, job, status, deadline=15):
        wait_until(lambda: self.job(job)["status"] == status, deadline, f"{job} being {status}")

    def open_gate(self, name):
        (self.jobs_dir / name).touch()

    def starts(self):
        """One dict for each start of a job that records it, in order."""
        path = self.jobs_dir / "starts"
        names = ("job", "attempt", "worker", "at", "pid")
        lines = path.read_text().splitlines() if path.exists() else []
        # A line that is just being written is none yet.
        return [dict(zip(names, line.split())) for line in lines if len(line.split()) == 5]

    def wait_for_start(self, job, count=1, deadline=15):
        def started():
            mine = [start for start in self.starts() if start["job"] == job]
            return mine if len(mine) >= count else None
        return wait_until(started, deadline, f"start {count} of {job}")

    def close(self, failed=False):
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.kill()
        left = leftovers()
        if failed or left:
            self._show_logs()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert failed or not left, f"left behind: {left}"

    def _show_logs(self):
        for log in sorted(self.dir.glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-25:]
            print(f"--- {log.name}", *tail, sep="\n", file=sys.stderr)


class GridCase(unittest.TestCase):
    """Tests that share one grid; a suite's set_up() starts what it needs."""

    grid = None

    @classmethod
    def set_up(cls):
        """Starts brokers and workers on cls.grid."""

    @classmethod
    def setUpClass(cls):
        cls.grid = Grid().__enter__()
        try:
            cls.set_up()
        except BaseException:
            cls.grid.close(failed=True)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.grid.close()

    def check(self, done, code, *words):
        """The command ended with this code, and its stderr has these words."""
        self.assertEqual(done.code, code, done)
        for word in words:
            self.assertIn(word, done.err)
        return done
