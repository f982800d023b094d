#!/usr/bin/env python3
"""An installed zgrid, used by programs that know nothing of its tree: through find_package() and
through pkg-config, against a broker and a worker of their own.

Arguments: ZGRID BUILD CMAKE COMPILER. BUILD is a folder in which everything is built."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import harness  # noqa: E402

BUILD, CMAKE, COMPILER = sys.argv[2:5]
del sys.argv[2:5]
EXAMPLES = harness.ROOT / "examples"
HEADERS = {"zgrid/client.hpp", "zgrid/worker.hpp"}


def run(*args, **options):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=120,
                          check=False, **options)


def ok(*args, **options):
    done = run(*args, **options)
    assert done.returncode == 0, f"{' '.join(map(str, args))}: {done.stdout}{done.stderr}"
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="zgrid-install-"))
        ok(CMAKE, "--install", BUILD, "--prefix", cls.dir / "first")
        # Nothing of it may know where it was installed first.
        cls.prefix = (cls.dir / "first").rename(cls.dir / "moved here")
        cls.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cls.dir),
                   "PKG_CONFIG_PATH": str(next(cls.prefix.rglob("pkgconfig")))}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def folder(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.dir))

    def pkg_config(self, package, source, standard="-std=c++17"):
        """The program that this source becomes."""
        flags = ok("pkg-config", "--cflags", "--libs", package, env=self.env)
        # pkg-config quotes blanks for a shell.
        program = self.folder() / "program"
        ok("sh", "-c", f'exec "$0" {standard} "$1" -o "$2" {flags}', COMPILER, source, program,
           env=self.env)
        return program

    def cmake(self, lists, *options):
        """Configures a project; how that ended."""
        folder = self.folder()
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES CXX)\n" + lists)
        return folder, run(CMAKE, "-S", folder, "-B", folder / "build",
                           f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                           *options, env=self.env)

    def test_only_the_public_headers_are_installed(self):
        include = self.prefix / "include"
        found = {path.relative_to(include).as_posix() for path in include.rglob("*")
                 if path.is_file()}
        self.assertEqual(found, HEADERS)

    def test_each_header_compiles_alone_without_warnings(self):
        for header in HEADERS:
            for standard in ("c++17", "c++20"):
                ok(COMPILER, f"-std={standard}", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic",
                   "-Werror", "-I", self.prefix / "include", "-x", "c++", "-",
                   input=f"#include <{header}>\n")

    def test_nothing_installed_names_the_tree_or_the_first_prefix(self):
        texts = [path for kind in ("*.cmake", "*.pc", "*.hpp") for path in self.prefix.rglob(kind)]
        self.assertGreater(len(texts), 8)
        for path in texts:
            text = path.read_text()
            for place in (str(harness.ROOT), BUILD, str(self.dir / "first")):
                self.assertNotIn(place, text, path)

    def test_the_program_and_its_manual_are_there(self):
        self.assertIn("zgrid ", ok(self.prefix / "bin" / "zgrid", "version", env=self.env))
        self.assertTrue((self.prefix / "share" / "man" / "man1" / "zgrid.1").exists())

    def test_another_minor_version_is_not_taken(self):
        for version, fits in (("0.1", True), ("0.2", False), ("1.0", False)):
            _, done = self.cmake(f"find_package(zgrid {version} REQUIRED)\n")
            self.assertEqual(done.returncode == 0, fits, done.stderr)

    def test_a_client_alone_needs_nothing_of_the_worker(self):
        _, done = self.cmake("find_package(zgrid 0.1 REQUIRED COMPONENTS client)\n"
                             "if(NOT TARGET zgrid::client OR TARGET zgrid::worker)\n"
                             "  message(FATAL_ERROR wrong)\nendif()\n",
                             "-DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON")
        self.assertEqual(done.returncode, 0, done.stderr)
        _, done = self.cmake("find_package(zgrid 0.1 REQUIRED COMPONENTS broker)\n")
        self.assertIn("zgrid has no component 'broker'", done.stderr)

    def test_what_the_readme_shows_builds_in_either_way_and_runs(self):
        readme = (harness.ROOT / "README.md").read_text()
        (program,) = re.findall(r"^```cpp\n(.*?)^```$", readme, re.M | re.S)
        (lists,) = re.findall(r"^```cmake\n(.*?)^```$", readme, re.M | re.S)
        (line,) = re.findall(r"`c\+\+ (-std=\S+) program.cpp "
                             r"\$\(pkg-config --cflags --libs (\S+)\)`", readme)
        with harness.Grid() as grid:
            source = self.folder() / "program.cpp"
            options = f'{{.brokers = {{"{grid.endpoint}"}}, .secret_file = "{grid.secret}"}}'
            self.assertIn('{.secret_file = "/etc/zgrid/secret"}', program)
            source.write_text(program.replace('{.secret_file = "/etc/zgrid/secret"}', options))
            folder, done = self.cmake(f"add_executable(program {source})\n{lists}")
            self.assertEqual(done.returncode, 0, done.stderr)
            ok(CMAKE, "--build", folder / "build", env=self.env)
            grid.broker()
            grid.worker("ann")
            for built in (folder / "build" / "program", self.pkg_config(line[1], source, line[0])):
                self.assertIn("words 6 ", ok(built, env=self.env))

    def test_programs_built_in_either_way_use_a_grid(self):
        build = self.folder()
        ok(CMAKE, "-S", EXAMPLES, "-B", build, f"-DCMAKE_CXX_COMPILER={COMPILER}",
           f"-DCMAKE_PREFIX_PATH={self.prefix}", env=self.env)
        ok(CMAKE, "--build", build, env=self.env)
        programs = {
            "cmake": (build / "count_words", build / "worker_in_a_program"),
            "pkg-config": (self.pkg_config("zgrid-client", EXAMPLES / "count_words.cpp"),
                           self.pkg_config("zgrid-worker", EXAMPLES / "worker_in_a_program.cpp")),
        }
        with harness.Grid() as grid:
            grid.broker()
            for way, (client, worker) in programs.items():
                with self.subTest(way):
                    self.use(grid, way, client, worker)

    def use(self, grid, name, client, worker):
        """A worker in a program answers a client in another one, and ends in good order."""
        process = subprocess.Popen(
            [worker, grid.secret, grid.endpoint, name, grid.dir / f"state-{name}",
             harness.ROOT / "conf/workflows"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=grid.env)
        harness.adopt(process.pid)
        try:
            self.assertEqual(process.stdout.readline(), "ready\n")
            words = ok(client, grid.secret, grid.endpoint, "one two three", "four", env=grid.env)
            self.assertEqual(re.findall(r"^(\S+) .*words (\d)", words, re.M),
                             [(name, "3"), (name, "1")])
            process.stdin.close()
            self.assertEqual(process.wait(15), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


if __name__ == "__main__":
    harness.main()
