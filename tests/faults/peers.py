"""Runs fault_peers (peers.cpp) beside a grid."""

import json
import pathlib
import signal

import harness


class Peers:
    _started = 0

    def __init__(self, env, grid, mode, *args):
        Peers._started += 1
        program = pathlib.Path(env.load_binary).with_name("fault_peers")
        self.process = grid.start(mode, "--secret-file", str(grid.secret), "--broker",
                                  grid.endpoint, *(str(arg) for arg in args),
                                  name=f"peers-{Peers._started}", program=[str(program)])

    def wait_until_up(self, count, deadline):
        """When all were up for the count-th time, in microseconds of CLOCK_MONOTONIC."""
        def times():
            assert self.process.popen.poll() is None, f"the peers ended: {self.process.log}"
            lines = self.process.out.splitlines()
            return [int(line.split()[0]) for line in lines if line.endswith(" all-up")]
        harness.wait_until(lambda: len(times()) >= count, deadline, "all peers being up")
        return times()[count - 1]

    def wait_for_word(self, word, deadline):
        harness.wait_until(lambda: word in self.process.out, deadline, f"'{word}' of the peers")

    def finish(self, deadline):
        """Its summary."""
        code = self.process.popen.wait(deadline)
        assert code == 0, f"the peers ended with {code}: {self.process.log}"
        return json.loads(self.process.out.splitlines()[-1])

    def stop(self, deadline=60):
        self.process.send(signal.SIGTERM)
        return self.finish(deadline)
