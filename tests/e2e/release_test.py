#!/usr/bin/env python3
"""The hook that switches the ZAP handler off, and with it the door, is not there in a release.

Arguments: ZGRID COMPILER. Code that uses the hook must compile with ZGRID_TEST_HOOKS and fail
without; and neither CMake's default nor the release preset may set it."""

import json
import subprocess
import sys
import unittest

import harness

COMPILER = sys.argv.pop(2) if len(sys.argv) > 2 else "c++"
USES = {
    "protocol/transport/socket.h": "zgrid::protocol::Router::Options",
    "broker/run_broker.h": "zgrid::broker::RunOptions",
}


class Release(unittest.TestCase):
    def compiles(self, header, options, *flags):
        code = f'#include "{header}"\nvoid f({options}& o) {{ o.disable_zap_handler = true; }}\n'
        done = subprocess.run([COMPILER, "-std=c++20", "-fsyntax-only", f"-I{harness.ROOT}", *flags,
                               "-x", "c++", "-"], input=code.encode(), capture_output=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            self.assertIn(b"disable_zap_handler", done.stderr)
        return done.returncode == 0

    def test_the_hook_exists_only_in_test_builds(self):
        for header, options in USES.items():
            self.assertTrue(self.compiles(header, options, "-DZGRID_TEST_HOOKS=1"))
            self.assertFalse(self.compiles(header, options))

    def test_a_release_does_not_ask_for_hooks(self):
        cmake = (harness.ROOT / "CMakeLists.txt").read_text()
        self.assertRegex(cmake, r"option\(ZGRID_TEST_HOOKS .* OFF\)")
        presets = json.loads((harness.ROOT / "CMakePresets.json").read_text())["configurePresets"]
        by_name = {preset["name"]: preset for preset in presets}
        name = "release"
        while name:
            self.assertNotIn("ZGRID_TEST_HOOKS", by_name[name].get("cacheVariables", {}))
            name = by_name[name].get("inherits")


if __name__ == "__main__":
    harness.main()
