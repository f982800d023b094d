#!/usr/bin/env python3
"""Plants a violation of each rule and sees it caught, and sees good code pass."""

import pathlib
import tempfile
import unittest

import tidy


class Tidy(unittest.TestCase):
    def findings(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return tidy.check_tree(root)

    def caught(self, path, text, words):
        found = self.findings({path: text})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(path + ":"), found[0])
        self.assertIn(words, found[0])

    def clean(self, path, text):
        self.assertEqual(self.findings({path: text}), [])

    def test_arrows_that_point_the_wrong_way(self):
        rows = [
            ("protocol/base/x.cpp", "protocol/job.h"),
            ("protocol/x.cpp", "protocol/transport/socket.h"),
            ("protocol/x.cpp", "broker/core/core.h"),
            ("protocol/transport/x.cpp", "conf/settings.h"),
            ("conf/x.cpp", "protocol/json.h"),
            ("broker/core/x.cpp", "protocol/transport/socket.h"),
            ("broker/core/x.cpp", "conf/settings.h"),
            ("broker/core/x.cpp", "broker/loop.h"),
            ("broker/core/x.cpp", "protocol/log/log.h"),
            ("broker/store/x.cpp", "broker/core/core.h"),
            ("broker/store/x.cpp", "conf/settings.h"),
            ("broker/x.cpp", "worker/core/core.h"),
            ("broker/core/x.cpp", "broker/store/sqlite_store.h"),
            ("broker/core/x.cpp", "client/clock.h"),
            ("worker/core/x.cpp", "worker/runner.h"),
            ("worker/executors/x.cpp", "worker/loop.h"),
            ("worker/executors/x.cpp", "worker/workflow/engine.h"),
            ("worker/workflow/x.cpp", "worker/run_worker.h"),
            ("worker/x.cpp", "broker/core/core.h"),
            ("client/x.cpp", "broker/core/core.h"),
            ("client/x.cpp", "conf/settings.h"),
            ("client/x.cpp", "client/cli/app.h"),
            ("broker/x.cpp", "client/cli/app.h"),
            ("broker/x.cpp", "tests/unit/x.h"),
            ("examples/x.cpp", "client/connection.h"),
        ]
        for path, target in rows:
            with self.subTest(path=path, target=target):
                self.caught(path, f'#include "{target}"\n', "may")

    def test_arrows_that_are_right(self):
        rows = [
            ("protocol/x.cpp", "protocol/base/ids.h"),
            ("conf/x.cpp", "protocol/base/units.h"),
            ("broker/core/x.cpp", "protocol/messages.h"),
            ("broker/store/x.cpp", "protocol/job.h"),
            ("broker/core/effects.h", "broker/store/job_store.h"),
            ("broker/x.cpp", "broker/core/core.h"),
            ("broker/x.cpp", "client/clock.h"),
            ("broker/x.cpp", "conf/settings.h"),
            ("worker/runner.h", "conf/settings.h"),
            ("worker/executors/x.cpp", "conf/settings.h"),
            ("worker/executors/x.cpp", "worker/runner.h"),
            ("worker/workflow/x.cpp", "worker/executors/spawn.h"),
            ("client/x.cpp", "protocol/transport/socket.h"),
            ("client/cli/x.cpp", "worker/run_worker.h"),
            ("tests/unit/cli/x.cpp", "client/cli/app.h"),
        ]
        for path, target in rows:
            with self.subTest(path=path, target=target):
                head = "#pragma once\n" if path.endswith(".h") else ""
                self.clean(path, f'{head}#include "{target}"\n')

    def test_libraries_outside_their_place(self):
        rows = [
            ("broker/x.cpp", "zmq.hpp"), ("client/x.cpp", "zmq.h"),
            ("broker/x.cpp", "msgpack.hpp"), ("protocol/messages.cpp", "msgpack/v3/x.hpp"),
            ("protocol/codec_extra.cpp", "nlohmann/json.hpp"),
            ("conf/settings.cpp", "toml.hpp"), ("worker/x.cpp", "CLI/App.hpp"),
            ("broker/x.cpp", "spdlog/spdlog.h"), ("broker/loop.cpp", "sodium.h"),
            ("broker/x.cpp", "sqlite3.h"), ("broker/x.cpp", "libpq-fe.h"),
        ]
        for path, target in rows:
            with self.subTest(path=path, target=target):
                self.caught(path, f"#include <{target}>\n", "belongs in")
                self.caught(path, f'#include "{target}"\n', "belongs in")

    def test_libraries_in_their_place(self):
        rows = [
            ("protocol/transport/x.cpp", "zmq.hpp"), ("protocol/codec.cpp", "msgpack.hpp"),
            ("protocol/json.cpp", "nlohmann/json.hpp"), ("conf/toml.cpp", "toml.hpp"),
            ("client/cli/x.cpp", "CLI/App.hpp"), ("protocol/log/x.cpp", "spdlog/spdlog.h"),
            ("protocol/keys.cpp", "sodium.h"), ("broker/store/x.cpp", "sqlite3.h"),
            ("tests/faults/x.cpp", "zmq.hpp"), ("bench/x.cpp", "zmq.hpp"),
        ]
        for path, target in rows:
            with self.subTest(path=path, target=target):
                self.clean(path, f"#include <{target}>\n")

    def test_words_that_a_core_may_not_know(self):
        for folder in ("broker/core", "worker/core"):
            for line in ("#include <thread>", "#include <mutex>", "#include <fstream>",
                         "auto t = std::chrono::steady_clock::now();", 'getenv("HOME");',
                         "std::random_device seed;", "int n = rand();", "spdlog::info(1);",
                         "sqlite3* db;", "time(nullptr);"):
                with self.subTest(folder=folder, line=line):
                    self.caught(f"{folder}/x.cpp", line + "\n", "a core may not use")
        self.clean("broker/core/x.cpp", "// No spdlog here, and no getenv.\nint brand(int);\n")
        self.clean("broker/x.cpp", "#include <thread>\n")

    def test_a_header_without_its_guard(self):
        self.caught("broker/x.h", "int x();\n", "#pragma once")
        self.clean("broker/x.h", "// A contract.\n#pragma once\nint x();\n")

    def test_files_and_lines_that_are_too_long(self):
        self.caught("broker/x.cpp", "int x;\n" * 601, "more than 600")
        self.clean("broker/x.cpp", "int x;\n" * 600)
        for suffix in ("h", "cpp", "py", "cmake"):
            head = "#pragma once\n" if suffix == "h" else ""
            self.caught(f"broker/x.{suffix}", head + "x" * 101 + "\n", "more than 100")
            self.clean(f"broker/x.{suffix}", head + "ä" * 100 + "\n")

    def test_tabs_and_blanks_at_the_end(self):
        self.caught("broker/x.cpp", "int x; \n", "blanks")
        self.caught("broker/x.cpp", "\tint x;\n", "tab")

    def test_work_that_is_not_finished(self):
        self.caught("broker/x.cpp", "int x;  // TODO: more\n", "unfinished")
        self.caught("tests/unit/x.cpp", "TEST(A, DISABLED_b) {}\n", "disabled")

    def test_files_that_are_not_ours_to_judge(self):
        self.clean("build/dev/x.cpp", "\t\n" * 700)
        self.clean("build-x/x.cpp", "\t\n")
        self.clean(".git/x.cpp", "\t\n")


if __name__ == "__main__":
    unittest.main()
