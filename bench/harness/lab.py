"""Where measurements run: a build's programs, a folder that goes again, private processes.

Everything listens on 127.0.0.1 only and is ended by its process id.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_SECONDS = 120
STOP_SECONDS = 30


class Failed(Exception):
    """A program that must work did not; the message says which and what it printed."""


class Lab:
    def __init__(self, build, folder=None):
        # Ends as an exception, so that what was started is stopped.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.build = os.path.abspath(build)
        self.zgrid = self.program("client/cli/zgrid")
        self.temporary = tempfile.TemporaryDirectory(prefix="zgrid-bench-", dir=folder)
        self.folder = self.temporary.name
        self.count = 0

    def program(self, path):
        program = os.path.join(self.build, path)
        if not os.access(program, os.X_OK):
            raise Failed(f"no program {program}: build it, or name another folder with --build")
        return program

    def fresh(self, name):
        """A new folder."""
        self.count += 1
        path = os.path.join(self.folder, f"{name}-{self.count}")
        os.mkdir(path)
        return path

    def measure(self, program, *arguments, env=None, timeout=300):
        """The JSON object that a program of bench/ prints."""
        command = [self.program(f"bench/{program}"), *map(str, arguments)]
        return json.loads(output_of(command, env=env, timeout=timeout))

    def close(self):
        self.temporary.cleanup()


def output_of(command, env=None, timeout=300):
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout,
                              check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)} did not end within {timeout} s") from late
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def until(condition, what, seconds=START_SECONDS, pause=0.002):
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not happen within {seconds} s")
        time.sleep(pause)
    return value


def stop(process, how=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Grid:
    """A broker and workers as processes of their own; `store` is memory or sqlite."""

    def __init__(self, lab, store="memory", workers=1, options=(), settings=None):
        self.lab = lab
        self.folder = lab.fresh(f"grid-{store}")
        self.store = store if store == "memory" else os.path.join(self.folder, "broker.db")
        self.secret = os.path.join(self.folder, "secret")
        self.env = dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder,
                        XDG_STATE_HOME=self.folder, XDG_CACHE_HOME=self.folder,
                        ZGRID_SECRET_FILE=self.secret, **(settings or {}))
        self.endpoint = "tcp://127.0.0.1:*"
        self.processes = []
        self.broker = None
        output_of([lab.zgrid, "secret", "new", "--out", self.secret, "--quiet"], env=self.env)
        try:
            self.start_broker()
            self.start_workers(workers, options)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, name, *arguments):
        """Starts zgrid; returns the process and a function that finds "ready at" in its log."""
        path = os.path.join(self.folder, f"{name}.log")
        with open(path, "ab") as log:
            mark = log.tell()
            process = subprocess.Popen([self.lab.zgrid, *arguments], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)

        def ready():
            with open(path, "rb") as text:
                text.seek(mark)
                lines = text.read().decode(errors="replace").splitlines()
            for line in lines:
                if line.startswith("zgrid: ") and " ready at " in line:
                    return line.split(" ready at ")[1].split()[0]
            if process.poll() is not None:
                raise Failed(f"zgrid {' '.join(arguments)} ended with {process.returncode}:\n"
                             + "\n".join(lines[-5:]))
            return None

        return process, ready

    def start_broker(self):
        """Returns how long it took until it was ready."""
        begun = time.monotonic()
        self.broker, ready = self.start("broker", "broker", "--bind", self.endpoint, "--no-beacon",
                                        "--store", self.store)
        self.endpoint = until(ready, "the start of the broker")
        return time.monotonic() - begun

    def start_workers(self, count, options=(), wait=True):
        started = [self.start(name, "worker", "--name", name, "--broker", self.endpoint, *options)
                   for name in (f"bench-{i}" for i in range(count))]
        for _, ready in started:
            if wait:
                until(ready, "the start of a worker")

    def load(self, *arguments, timeout=600):
        """bench_echo against this grid."""
        return self.lab.measure("bench_echo", "--secret-file", self.secret, "--broker",
                                self.endpoint, *arguments, env=self.env, timeout=timeout)

    def status(self):
        done = subprocess.run([self.lab.zgrid, "status", "--json", "--broker", self.endpoint],
                              env=self.env, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def succeeded(self):
        status = self.status()
        return status["jobs"]["succeeded"] if status else 0

    def close(self):
        # Workers first: they have nothing to lose, and nobody waits for them.
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()


def resident_bytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def cpu_seconds(process):
    """What all threads of a process have used so far."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
