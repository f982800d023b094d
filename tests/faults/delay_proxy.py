#!/usr/bin/env python3
"""A TCP proxy that hands on what it gets a moment later, in both directions and in order.

Usage: delay_proxy.py LISTEN_ADDRESS:PORT TO_ADDRESS:PORT SECONDS [BYTES_PER_SECOND]

BYTES_PER_SECOND limits what comes back from the target: a slow line.

It says "ready" on stderr. SIGUSR1: nothing passes any more, while connections stay; SIGUSR1 again:
everything passes that was held back. SIGUSR2: the delay is gone; SIGUSR2 again: it is back."""

import asyncio
import collections
import signal
import sys

CHUNK = 65536
# What is under way, at most; then the sender is not read until some has arrived.
UNDER_WAY_MAX = 64 << 20


class Proxy:
    def __init__(self, target, delay, rate=0):
        self.target = target
        self.rate = rate
        self.delay = self.slow = delay
        self.passing = asyncio.Event()
        self.passing.set()

    def toggle_passing(self):
        self.passing.clear() if self.passing.is_set() else self.passing.set()

    def toggle_delay(self):
        self.delay = 0 if self.delay else self.slow

    async def serve(self, reader, writer):
        try:
            reader2, writer2 = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self.carry(reader, writer2),
                                 self.carry(reader2, writer, self.rate))
        except OSError:
            pass
        finally:
            for each in (writer, writer2):
                each.transport.abort()

    async def carry(self, reader, writer, rate=0):
        most = min(UNDER_WAY_MAX, rate // 4) if rate else UNDER_WAY_MAX
        under_way = collections.deque()  # (when it is due, bytes); empty bytes: the end
        changed = asyncio.Condition()
        size = 0

        async def take():
            nonlocal size
            loop = asyncio.get_running_loop()
            while True:
                data = await reader.read(CHUNK)
                async with changed:
                    under_way.append((loop.time() + self.delay, data))
                    size += len(data)
                    changed.notify_all()
                    await changed.wait_for(lambda: size < most)
                if not data:
                    return

        async def give():
            nonlocal size
            loop = asyncio.get_running_loop()
            while True:
                async with changed:
                    await changed.wait_for(lambda: under_way)
                due, data = under_way[0]
                await asyncio.sleep(max(0, due - loop.time()))
                if rate:
                    await asyncio.sleep(len(data) / rate)
                await self.passing.wait()
                async with changed:
                    under_way.popleft()
                    size -= len(data)
                    changed.notify_all()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        await asyncio.gather(take(), give())


async def main():
    (host, port), (to_host, to_port) = (each.rsplit(":", 1) for each in sys.argv[1:3])
    rate = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    proxy = Proxy((to_host, int(to_port)), float(sys.argv[3]), rate)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, proxy.toggle_passing)
    loop.add_signal_handler(signal.SIGUSR2, proxy.toggle_delay)
    server = await asyncio.start_server(proxy.serve, host, int(port))
    print("ready", file=sys.stderr, flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
