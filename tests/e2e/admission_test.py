#!/usr/bin/env python3
"""Who is let in: raw ZeroMQ peers knock at a real broker. Arguments: ZGRID RAW_PEER."""

import os
import socket
import subprocess
import sys

import harness

PEER = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 else ""
# A refused peer is watched for so long; a member is in after a few milliseconds.
REFUSED_MS = "1200"
ACCEPTED_MS = "10000"
SILENT = 50  # connections that never say a word


class Admission(harness.GridCase):
    @classmethod
    def set_up(cls):
        cls.grid.broker()
        cls.grid.worker("ann")
        cls.keys = {role: cls.grid.ok("secret", "keys", "--role", role, "--json").json
                    for role in ("client", "worker")}

    def tearDown(self):
        # Whatever knocked: the grid works on.
        done = self.grid.ok("submit", "workflow", "zgrid.echo", "--text", "still here")
        self.assertEqual(done.out, "still here")

    def knock(self, *args):
        done = subprocess.run([PEER, self.grid.endpoint, *args], capture_output=True, timeout=20,
                              check=True)
        return done.stdout.decode().strip()

    def curve(self, *keys, patience=REFUSED_MS):
        return self.knock("curve", self.keys["client"]["server_public"], *keys, patience)

    def test_the_keys_of_a_role_are_let_in(self):
        for keys in self.keys.values():
            said = self.curve(keys["public"], keys["secret"], patience=ACCEPTED_MS)
            self.assertTrue(said.startswith("accepted"), said)

    def test_an_unknown_key_is_refused_though_it_knows_the_brokers(self):
        self.assertEqual(self.curve("new"), "refused auth messages 0")

    def test_a_members_public_key_without_its_secret_is_refused(self):
        said = self.curve(self.keys["client"]["public"], self.keys["worker"]["secret"])
        self.assertRegex(said, "^refused .* messages 0$")

    def test_a_peer_without_encryption_is_refused(self):
        for mechanism in ("null", "plain"):
            self.assertRegex(self.knock(mechanism, REFUSED_MS), "^refused .* messages 0$")

    def test_a_member_of_another_grid_is_refused(self):
        other = self.grid.dir / "other"
        self.grid.ok("secret", "new", "--out", str(other))
        keys = self.grid.ok("secret", "keys", "--role", "client", "--secret-file", str(other),
                            "--json").json
        # With its own broker's key, and with ours.
        said = self.knock("curve", keys["server_public"], keys["public"], keys["secret"],
                          REFUSED_MS)
        self.assertRegex(said, "^refused .* messages 0$")
        self.assertEqual(self.curve(keys["public"], keys["secret"]), "refused auth messages 0")

    def test_garbage_and_silence_before_the_handshake_change_nothing(self):
        connections = []
        try:
            for number in range(SILENT):
                connection = socket.create_connection(("127.0.0.1", self.grid.port), timeout=5)
                connections.append(connection)
                if number % 2:
                    connection.sendall(os.urandom(4096))
            self.tearDown()
        finally:
            for connection in connections:
                connection.close()

    def test_the_secret_is_in_no_argument_log_or_stored_file(self):
        secret = self.grid.secret.read_bytes().strip()
        for process in self.grid.processes:
            with open(f"/proc/{process.pid}/cmdline", "rb") as cmdline:
                self.assertNotIn(secret, cmdline.read())
        for path in self.grid.dir.rglob("*"):
            if path.is_file() and path.name not in ("secret", "other"):
                self.assertNotIn(secret, path.read_bytes(), path)


if __name__ == "__main__":
    harness.main()
