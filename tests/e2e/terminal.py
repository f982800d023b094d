"""A terminal for one program, as a test sees it: what it shows, and keys to press."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import harness


class Terminal:
    """Runs `command` on a pty of `columns`; stdout may go elsewhere. Use as a context manager."""

    def __init__(self, command, env, cwd, columns=80, stdout=None, stdin=None):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._popen = subprocess.Popen(
            [str(word) for word in command], stdin=theirs if stdin is None else stdin,
            stdout=theirs if stdout is None else stdout, stderr=theirs, env=env, cwd=cwd,
            start_new_session=True, preexec_fn=_take_terminal)
        harness.adopt(self._popen.pid)
        os.close(theirs)
        self.shown = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        os.close(self._ours)

    def press(self, keys):
        os.write(self._ours, keys.encode())

    def _read(self, seconds):
        """False at the end."""
        if not select.select([self._ours], [], [], max(0, seconds))[0]:
            return True
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:  # the other end is gone
            return False
        self.shown += chunk
        return bool(chunk)

    def wait_for(self, text, deadline=15):
        """Reads until it is shown, and forgets what was shown up to there."""
        end = time.monotonic() + deadline
        wanted = text.encode()
        while wanted not in self.shown:
            if time.monotonic() >= end or not self._read(end - time.monotonic()):
                raise AssertionError(f"'{text}' was not shown, but:\n{self.shown.decode()}")
        self.shown = self.shown.partition(wanted)[2]

    def finish(self, deadline=20):
        """All that was shown, once the program has ended; lines end with a newline alone."""
        end = time.monotonic() + deadline
        while self._read(end - time.monotonic()):
            if time.monotonic() >= end:
                raise AssertionError(f"it has not ended:\n{self.shown.decode()}")
        self.code = self._popen.wait(5)
        return self.shown.decode(errors="replace").replace("\r\n", "\n")


def _take_terminal():
    try:
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)
    except OSError:
        pass
