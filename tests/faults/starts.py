"""What several faults share."""

import harness


def failing_sync(number):
    """Options for strace: the n-th fsync or fdatasync of a thread fails with EIO."""
    return ["-qq", "-e", "trace=fdatasync,fsync", "-e", "signal=none",
            "-e", f"inject=fdatasync,fsync:error=EIO:when={number}"]


def sync_fails_at(env, number):
    """A program for Grid.broker(): with -D strace is beside the broker, not its parent."""
    return ["strace", "-D", *failing_sync(number), env.zgrid]


def fails_or_is_ready(broker):
    """True once it has ended, False once it is ready."""
    def seen():
        if broker.popen.poll() is not None:
            return "ended"
        return "ready" if "broker ready" in broker.log else None
    return harness.wait_until(seen, 20, "an end or a readiness") == "ended"
