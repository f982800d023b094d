#!/usr/bin/env python3
"""Compiles each header alone: one that needs another to be included first is an error.

Usage: headers.py ROOT COMPILER [FLAG…]"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

FOLDERS = ("protocol", "conf", "broker", "worker", "client")


def problem_of(root, command, header):
    run = subprocess.run([*command, str(header)], cwd=root, capture_output=True, text=True,
                         check=False)
    return run.stderr if run.returncode != 0 else ""


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    command = [sys.argv[2], "-std=c++20", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra",
               "-Wno-pragma-once-outside-header", f"-I{root}",
               f"-I{root}/client/include", f"-I{root}/worker/include",
               *sys.argv[3:]]
    headers = sorted(path for folder in FOLDERS for kind in ("*.h", "*.hpp")
                     for path in (root / folder).rglob(kind))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        problems = list(pool.map(lambda header: problem_of(root, command, header), headers))
    bad = [(header, problem) for header, problem in zip(headers, problems) if problem]
    for header, problem in bad:
        print(f"{header.relative_to(root)} does not compile alone:\n{problem}")
    print(f"{len(headers)} headers, {len(bad)} of them incomplete")
    return 1 if bad or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
