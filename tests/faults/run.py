#!/usr/bin/env python3
"""Injects faults into real processes, and checks what clients were told against what became true.

Usage: run.py ZGRID_BINARY LOAD_BINARY [--long] [--keep FILE] [F1 F7 …]

Without names: all faults. The short form (CI) checks the properties; --long has the numbers of
README.md and is strict about times. --keep appends the table to a file. Prints a line for
each fault as it ends and the table at the end. Exit: 0 all held, 1 a violation, 77 all skipped.

A fault is a module faults/fNN_NAME.py. The first line of its docstring is its title. It defines

    def short(env): return body(env, kills=25, …)
    def long(env): return body(env, kills=200, …)

which share one body, and return an Outcome (outcome.py):

    def body(env, kills):
        outcome = Outcome("kill -9 the broker", times=kills)
        with env.grid() as grid:                    # a FaultGrid: tests/e2e/harness.Grid and more
            broker = grid.broker()                  # … as in tests/e2e
            grid.worker("ann", slots=4)             # offers tests/e2e/jobs and tests/faults/jobs
            load = grid.load("--rate", "500", "--seconds", "5")     # fault_load, see load.cpp
            grid.history.inject("kill", broker.pid)
            broker.kill()
            …
            load.finish()                           # its summary as a dict; waits for its end
            outcome.add(grid.audit())               # asks for every acknowledged job; a Verdict
        outcome.timing("first dispatch", seconds)   # p50, p99 and maximum go into the table
        outcome.must(condition, "what must hold")   # a violation if it does not; the body goes on
        return outcome

outcome.add() makes a violation of everything lost, accepted twice, stale, illegal or wrong.
env.long tells which form runs; env.strict(condition, text) is must() in the long form only.
env.skip(reason) ends the fault as skipped. env.note(text) says on stderr what is going on.
env.layer("unsynced") is the path of layer/unsynced.cpp's library, for LD_PRELOAD.
Any exception is a violation too, with the grid's logs on stderr."""

import argparse
import ctypes
import importlib.util
import json
import os
import pathlib
import re
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import harness  # noqa: E402
import history as history_file  # noqa: E402
from outcome import Outcome, Skip, table  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
LOGS_SHOWN = 6  # of a grid that failed


class Load:
    """A running fault_load."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid

    @property
    def is_running(self):
        return self.process.popen.poll() is None

    def stop(self):
        """Ends the submitting; it then waits for its results (--settle)."""
        self.process.send(signal.SIGTERM)

    def finish(self, deadline=120):
        """Waits for its end. The summary, with its exit code as `code`."""
        code = self.process.popen.wait(deadline)
        assert code in (0, 3), f"{self.process.name} ended with {code}: {self.process.log}"
        return {**json.loads(self.process.out.splitlines()[-1]), "code": code}


class FaultGrid(harness.Grid):
    """A grid with a history, a load driver and the jobs of tests/faults/jobs."""

    host = "127.0.0.1"  # where its broker is
    load_prefix = ()    # before the load driver's command, to run it elsewhere (hosts.py)

    def __init__(self, env, **options):
        super().__init__(**options)
        self.fault_env = env
        self.history = history_file.History(self.dir / "history")
        for file in (HERE / "jobs").glob("*"):
            (self.jobs_dir / file.name).write_bytes(file.read_bytes())
        self._loads = 0

    @property
    def endpoint(self):
        return f"tcp://{self.host}:{self.port}"

    @property
    def store(self):
        """The default store of this grid's broker."""
        return self.dir / "state" / "zgrid" / "broker.db"

    def load(self, *args, mode="load", broker=None, env=None, name=None):
        """Starts fault_load; see load.cpp for what it takes."""
        self._loads += 1
        process = self.start(mode, "--secret-file", str(self.secret), "--broker",
                             broker or self.endpoint, "--history", str(self.history.path),
                             *(str(arg) for arg in args), name=name or f"load-{self._loads}",
                             env=env, program=[*self.load_prefix, self.fault_env.load_binary])
        return Load(process)

    def _show_logs(self):
        """Of the latest few: a fault may have started hundreds of brokers."""
        logs = sorted(self.dir.glob("*.log"), key=lambda log: log.stat().st_mtime)
        for log in logs[:-LOGS_SHOWN]:
            log.unlink()
        super()._show_logs()

    @staticmethod
    def adopt(popen):
        """A process that the test starts and ends by itself is no leftover."""
        harness.adopt(popen.pid)

    def audit(self, settle=60, check_starts=True):
        """Asks a fresh connection what became of every acknowledged job. The Verdict."""
        self.load("--settle", settle, mode="audit").finish(settle + 60)
        return history_file.check(self.history, self.starts() if check_starts else ())


class Env:
    def __init__(self, zgrid, load_binary, is_long):
        self.zgrid = zgrid
        self.load_binary = load_binary
        self.long = is_long

    def grid(self, **options):
        return FaultGrid(self, **options)

    def layer(self, name):
        path = pathlib.Path(self.load_binary).parent / f"layer_{name}.so"
        assert path.exists(), f"{path} was not built"
        return str(path)

    def strict(self, outcome, condition, text):
        if self.long:
            outcome.must(condition, text)
        elif not condition:
            self.note(f"(not checked in the short form) {text}")

    @staticmethod
    def skip(reason):
        raise Skip(reason)

    @staticmethod
    def note(text):
        print(f"    {text}", file=sys.stderr, flush=True)


def modules():
    """The faults by name, in order of their numbers."""
    found = {}
    for path in sorted((HERE / "faults").glob("f[0-9]*_*.py")):
        found["F" + str(int(re.match(r"f(\d+)_", path.name).group(1)))] = path
    return found


def load_module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_one(name, path, env):
    module = load_module(path)
    title = module.__doc__.strip().splitlines()[0]
    print(f"{name}: {title}", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        outcome = (module.long if env.long else module.short)(env)
    except Skip as skip:
        outcome = Outcome(title, times=0)
        outcome.skipped = str(skip)
    except Exception:  # whatever it is, the next fault must run and the table must tell
        outcome = Outcome(title, times=0)
        outcome.must(False, traceback.format_exc())
    outcome.name = name
    outcome.seconds = time.monotonic() - started
    outcome.print_end()
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zgrid")
    parser.add_argument("load")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--keep")
    parser.add_argument("faults", nargs="*")
    options = parser.parse_intermixed_args()
    known = modules()
    unknown = [name for name in options.faults if name not in known]
    if unknown:
        parser.error(f"no fault {', '.join(unknown)}; there are {', '.join(known)}")
    harness.set_binary(os.path.abspath(options.zgrid))
    # What a killed worker leaves behind becomes our child, so that it can be seen.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env = Env(os.path.abspath(options.zgrid), os.path.abspath(options.load), options.long)
    outcomes = [run_one(name, path, env) for name, path in known.items()
                if not options.faults or name in options.faults]
    text = table(outcomes)
    print(text)
    if options.keep:
        with open(options.keep, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    if any(outcome.problems for outcome in outcomes):
        return 1
    return 77 if all(outcome.skipped for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
