"""Servers of others, from Debian's packages: each a private process on loopback, with a folder of
its own, ended by its process id. bench_peer puts load on them."""
import os
import shutil
import subprocess
import sys

from harness.lab import Failed, accepts, free_port, stop, until

PACKAGES = ("gearman-job-server", "gearman-tools", "beanstalkd", "nats-server", "redis-server",
            "gnuplot-nox")
POLICY = "/usr/sbin/policy-rc.d"

# The program, and its arguments.
SERVERS = {
    "gearman": ("gearmand", lambda port, folder: [
        "--listen=127.0.0.1", f"--port={port}", f"--log-file={folder}/log",
        f"--pid-file={folder}/pid", "--threads=2",
        *(["--user=root"] if os.geteuid() == 0 else [])]),
    "nats": ("nats-server", lambda port, folder: [
        "-a", "127.0.0.1", "-p", str(port), "-l", f"{folder}/log"]),
    "jetstream": ("nats-server", lambda port, folder: [
        "-a", "127.0.0.1", "-p", str(port), "-l", f"{folder}/log", "-js", "-sd", folder]),
    "beanstalk": ("beanstalkd", lambda port, folder: [
        "-l", "127.0.0.1", "-p", str(port), "-b", folder, "-f", "0"]),
    "redis": ("redis-server", lambda port, folder: [
        "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--logfile", f"{folder}/log"]),
}


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def is_installed(peer):
    return find(SERVERS[peer][0]) is not None


def install():
    """From Debian's archive. What the packages would start as services stays off."""
    own_policy = not os.path.exists(POLICY)
    if own_policy:
        with open(POLICY, "w", encoding="ascii") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for command in (["apt-get", "update", "-q"],
                        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
            if subprocess.run(command, env=env, stdout=sys.stderr, check=False).returncode != 0:
                raise Failed(f"{' '.join(command)} failed")
    finally:
        if own_policy:
            os.remove(POLICY)


class Server:
    def __init__(self, lab, peer):
        self.lab, self.peer = lab, peer
        self.port = free_port()
        program, arguments = SERVERS[peer]
        folder = lab.fresh(peer)
        self.process = subprocess.Popen([find(program), *arguments(self.port, folder)],
                                        cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: accepts(self.port) or self.died(), f"the start of {program}", 20)

    def died(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.peer}: the server ended with {self.process.returncode}")
        return False

    def load(self, *arguments):
        return self.lab.measure("peers/bench_peer", self.peer, "--port", self.port, *arguments)

    def worker(self):
        """A process that works until it is stopped."""
        return subprocess.Popen([self.lab.program("bench/peers/bench_peer"), self.peer, "--port",
                                 str(self.port), "--work"], stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
