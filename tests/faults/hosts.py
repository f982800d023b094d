"""Hosts of a test's own: network namespaces on one bridge, with cables that can be cut.

    with Hosts("broker", "ann", "client") as hosts:
        grid.start("worker", …, program=[*hosts.prefix("ann"), harness.binary()])
        hosts.cut("ann", "broker")                 # one way
        hosts.cut_both("ann", "broker")
        hosts.lose(30)                             # per cent of all that passes the bridge
        hosts.heal()

Each host has an address in 10.79.0.0/24 and reaches the others only; nothing is connected to the
machine's own network. Names carry the pid, so that tests run side by side; all of it is removed at
the end, whatever happened. Needs root, ip and nft: otherwise entering raises NotAllowed, whose text
says what is missing."""

import os
import shutil
import subprocess


class NotAllowed(Exception):
    """No namespaces here; the text says why."""


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotAllowed(f"`{' '.join(command)}`: {done.stderr.strip() or done.returncode}")


class Hosts:
    _made = 0

    def __init__(self, *names):
        Hosts._made += 1
        # The name of an interface has at most 15 characters.
        self._stem = f"zg{os.getpid() % 10_000_000}-{Hosts._made}"
        self._names = list(names)
        self._spaces = []

    def __enter__(self):
        for program in ("ip", "nft"):
            if not shutil.which(program):
                raise NotAllowed(f"there is no {program}")
        if os.geteuid() != 0:
            raise NotAllowed("network namespaces need root")
        try:
            self._switch = self._add_space("s")
            self._in_switch("ip", "link", "add", "br0", "type", "bridge")
            self._in_switch("ip", "link", "set", "br0", "up")
            for name in self._names:
                self._add_host(name)
            self.heal()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        while self._spaces:
            # What still runs inside keeps it alive until it ends; its name goes now.
            subprocess.run(["ip", "netns", "del", self._spaces.pop()], capture_output=True,
                           check=False)

    def address(self, name):
        return f"10.79.0.{self._names.index(name) + 1}"

    def prefix(self, name):
        """Before a command, runs it on that host. It stays the same process."""
        return ["ip", "netns", "exec", self._space(name)]

    # ---- the cables --------------------------------------------------------------------

    def cut(self, source, target):
        """What source sends to target is lost, from now on; nothing else is."""
        self._rule(f'iifname "{self._cable(source)}" oifname "{self._cable(target)}" drop')

    def cut_both(self, one, other):
        self.cut(one, other)
        self.cut(other, one)

    def lose(self, per_cent):
        self._rule(f"numgen random mod 100 < {per_cent} drop")

    def heal(self):
        self._nft("flush ruleset\n"
                  "table bridge cables {\n"
                  "  chain forward {\n"
                  "    type filter hook forward priority 0; policy accept;\n"
                  "  }\n"
                  "}\n")

    # ---- how -----------------------------------------------------------------------------

    def _space(self, name):
        return f"{self._stem}h{self._names.index(name)}"

    def _cable(self, name):
        return f"c{self._names.index(name)}"

    def _add_space(self, suffix):
        name = self._stem + suffix
        run("ip", "netns", "add", name)
        self._spaces.append(name)
        return name

    def _add_host(self, name):
        space, cable = self._space(name), self._cable(name)
        run("ip", "netns", "add", space)
        self._spaces.append(space)
        self._in_switch("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0",
                        "netns", space)
        self._in_switch("ip", "link", "set", cable, "master", "br0", "up")
        for device in ("lo", "eth0"):
            run(*self.prefix(name), "ip", "link", "set", device, "up")
        run(*self.prefix(name), "ip", "addr", "add", self.address(name) + "/24", "dev", "eth0")

    def _in_switch(self, *command, text=None):
        run("ip", "netns", "exec", self._switch, *command, text=text)

    def _nft(self, script):
        self._in_switch("nft", "-f", "-", text=script)

    def _rule(self, rule):
        self._nft(f"add rule bridge cables forward {rule}\n")
