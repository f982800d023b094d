#!/usr/bin/env python3
"""Checks the rules of docs/STYLE.md that a compiler does not: who may include whom, what the cores
may not touch, where each library is included, and how long files and lines may be.

Usage: tidy.py [ROOT]. Prints FILE:LINE: problem for each finding; exits with 1 if there is any."""

import pathlib
import re
import sys

LINES_MAX = 600
COLUMNS_MAX = 100

CODE = {".h", ".hpp", ".cpp"}
NARROW = CODE | {".py", ".cmake"}  # files with a column limit
COUNTED = NARROW | {".sh", ".md", ".toml"}  # files with a line limit

# Which folders the files of a folder may include. The longest matching folder counts.
WIRE = ["protocol/base", "protocol"]
EVERYTHING = [
    "protocol/base", "protocol", "protocol/log", "protocol/transport", "conf", "broker",
    "broker/core", "broker/store", "worker", "worker/core", "worker/executors",
    "worker/workflow", "worker/include", "client", "client/cli", "client/include", "tests", "bench",
    "examples",
]
ARROWS = {
    "protocol/base": ["protocol/base"],
    "protocol": WIRE,
    "protocol/log": [*WIRE, "protocol/log"],
    "protocol/transport": [*WIRE, "protocol/transport"],
    "conf": ["protocol/base", "conf"],
    "broker/core": [*WIRE, "broker/core", "broker/store"],
    "broker/store": [*WIRE, "broker/store"],
    "broker": [*WIRE, "protocol/log", "protocol/transport", "conf", "client", "broker",
               "broker/core", "broker/store"],
    "worker/core": [*WIRE, "worker/core"],
    "worker/executors": [*WIRE, "conf", "worker", "worker/executors"],
    "worker/workflow": [*WIRE, "conf", "worker", "worker/executors", "worker/workflow"],
    "worker": [*WIRE, "protocol/log", "protocol/transport", "conf", "client", "worker",
               "worker/core", "worker/executors", "worker/workflow"],
    "client": [*WIRE, "protocol/log", "protocol/transport", "client", "client/include"],
    "client/cli": [folder for folder in EVERYTHING
                   if folder not in ("tests", "bench", "examples")],
    "tests": EVERYTHING,
    "bench": EVERYTHING,
    "examples": ["client/include", "worker/include"],
}
# Where of a folder the contract alone may be seen: records are what a core's effects are made of,
# the runner is what executors and workflows implement.
NARROW_DOORS = {
    ("broker/core", "broker/store"): {"broker/store/job_store.h"},
    ("worker/executors", "worker"): {"worker/runner.h"},
    ("worker/workflow", "worker"): {"worker/runner.h"},
}

# Where each library may be included; a trailing slash means a folder.
LIBRARIES = {
    "libzmq": (r"zmq(_addon)?\.h(pp)?", ["protocol/transport/"]),
    "msgpack": (r"msgpack(/.*|\.hpp|\.h)", ["protocol/codec.cpp", "protocol/codec_read.cpp"]),
    "nlohmann-json": (r"nlohmann/.*", ["protocol/json.cpp"]),
    "toml11": (r"toml(/.*|\.hpp)", ["conf/toml.cpp"]),
    "CLI11": (r"CLI/.*", ["client/cli/"]),
    "spdlog": (r"(spdlog|fmt)/.*", ["protocol/log/"]),
    "libsodium": (r"sodium(/.*|\.h)", ["protocol/", "broker/store/", "broker/run_broker.cpp",
                                       "worker/run_worker.cpp"]),
    "SQLite": (r"sqlite3\.h", ["broker/store/"]),
    "libpq": (r"(libpq-fe|postgresql/.*)\.h", ["broker/store/"]),
}

# What would give a core a clock, a thread, a disk, a log or chance of its own.
CORES = ("broker/core/", "worker/core/")
BANNED_IN_CORES = [
    r"<zmq", r"<thread>", r"<mutex>", r"<condition_variable>", r"<atomic>", r"<fstream>",
    r"clock::now", r"\bspdlog\b", r"\bgetenv\b", r"\brandom_device\b", r"\bsqlite3", r"\blibpq",
    r"\brand\s*\(", r"\btime\s*\(\s*(nullptr|NULL|0)\s*\)",
]

MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
DISABLED = re.compile(r"\bDISABLED_\w+")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path, folders):
    """The longest of `folders` that `path` lies in, or None."""
    parents = [str(parent) for parent in pathlib.PurePosixPath(path).parents]
    return next((parent for parent in parents if parent in folders), None)


def without_comments(text):
    """The text with comments blanked out, line by line the same. Strings are kept."""
    def blank(match):
        found = match.group(0)
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def check_arrow(path, target):
    """What is wrong with `path` including the project's `target`; None if nothing."""
    source = folder_of(path, ARROWS)
    aim = folder_of(target, EVERYTHING)
    if source is None or aim is None:
        return None
    if aim not in ARROWS[source]:
        return f"{source} may not include {aim} ({target})"
    door = NARROW_DOORS.get((source, aim))
    if door is not None and target not in door:
        return f"{source} may include only {', '.join(sorted(door))} of {aim}, not {target}"
    return None


def check_library(path, target):
    """What is wrong with `path` including a library's header; None if nothing."""
    if path.startswith(("tests/", "bench/", "examples/")):
        return None
    for name, (pattern, places) in LIBRARIES.items():
        if not re.fullmatch(pattern, target):
            continue
        if any(path == place or (place.endswith("/") and path.startswith(place))
               for place in places):
            return None
        return f"{name} ({target}) belongs in {', '.join(places)} only"
    return None


def check_code(path, text):
    """Findings in one C++ file, as (line, problem)."""
    code = without_comments(text)
    if path.endswith((".h", ".hpp")) and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "a header needs #pragma once"
    for number, line in enumerate(code.splitlines(), 1):
        include = INCLUDE.match(line)
        if include:
            check = check_arrow if include.group(1) == '"' else check_library
            problem = check(path, include.group(2)) or check_library(path, include.group(2))
            if problem:
                yield number, problem
        if path.startswith(CORES):
            for pattern in BANNED_IN_CORES:
                if re.search(pattern, line):
                    yield number, f"a core may not use {pattern}"
        if DISABLED.search(line):
            yield number, "a test may not be disabled"


def check_file(path, text):
    """All findings in one file, as (line, problem)."""
    suffix = pathlib.PurePosixPath(path).suffix
    lines = text.splitlines()
    if suffix in COUNTED and len(lines) > LINES_MAX:
        yield len(lines), f"{len(lines)} lines, more than {LINES_MAX}"
    if suffix in NARROW:
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield number, f"{len(line)} columns, more than {COLUMNS_MAX}"
            if line != line.rstrip():
                yield number, "blanks at the end of the line"
            if "\t" in line:
                yield number, "a tab"
            if MARKS.search(line) and not path.startswith("tests/tidy/"):
                yield number, "unfinished work belongs into docs/decisions.md, with an owner"
    if suffix in CODE:
        yield from check_code(path, text)


def files_below(root):
    """The text files that are checked, as paths with slashes, relative to root."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "build" or part.startswith("build-")
                     for part in relative.parts)
        if not hidden and path.suffix in COUNTED and path.is_file():
            yield relative.as_posix()


def check_tree(root):
    """All findings below root, as lines of text."""
    findings = []
    for path in files_below(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            findings.append(f"{path}:1: not UTF-8")
            continue
        findings += [f"{path}:{number}: {problem}" for number, problem in check_file(path, text)]
    return findings


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    findings = check_tree(root)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} findings; the rules are in docs/STYLE.md and {__file__}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
