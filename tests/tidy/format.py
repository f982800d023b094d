#!/usr/bin/env python3
"""Checks that all C++ is formatted as .clang-format says. Exits with 77 (skipped) without
clang-format-14: another version formats differently.

Usage: format.py ROOT"""

import pathlib
import shutil
import subprocess
import sys

FOLDERS = ("protocol", "conf", "broker", "worker", "client", "tests", "bench", "examples")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if shutil.which("clang-format-14") is None:
        print("skipped: clang-format-14 is not installed")
        return 77
    files = sorted(str(path.relative_to(root)) for folder in FOLDERS
                   for kind in ("*.h", "*.hpp", "*.cpp") for path in (root / folder).rglob(kind))
    run = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *files], cwd=root,
                         capture_output=True, text=True, check=False)
    bad = sorted({line.split(":")[0] for line in run.stderr.splitlines() if ": error:" in line})
    if bad:
        print("run clang-format-14 -i " + " ".join(bad))
    return 1 if run.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
