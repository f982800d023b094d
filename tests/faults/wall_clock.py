"""A wall clock that a test can set: layer/clock.cpp."""

import struct
import time

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY


class WallClock:
    """Shifts the wall clock of every process that is started with `env`."""

    def __init__(self, env, path):
        self._path = path
        self.env = {"LD_PRELOAD": env.layer("clock"), "CLOCK_SHIFT": str(path)}
        path.write_bytes(struct.pack("=q", 0))

    def shift(self, seconds):
        """From the true time; in place, as the processes have the file mapped."""
        with open(self._path, "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1_000_000)))

    def set(self, unix_time):
        self.shift(unix_time - time.time())
