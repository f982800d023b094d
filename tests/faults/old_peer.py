"""A client and a worker of the first release, in frozen bytes, against a broker of today.

Nothing of zgrid is used to talk: libzmq through ctypes, first-release/peers.hex, and a reader for
the few bytes of msgpack that must be seen. A nonce of ee*16 in the frozen FINAL stands for the one
that the broker gives."""

import ctypes
import ctypes.util
import pathlib
import time

HERE = pathlib.Path(__file__).resolve().parent

DEALER, RCVTIMEO, LINGER = 5, 27, 17
CURVE_PUBLIC, CURVE_SECRET, CURVE_SERVER = 48, 49, 50
KINDS = {3: "WELCOME", 5: "HEARTBEAT", 11: "SUBMIT_ACK", 13: "WATCH_ACK", 14: "RESULTS",
         15: "EVENTS", 17: "CANCEL_ACK", 19: "ANSWER", 30: "REQUEST", 32: "FINAL_ACK", 4: "REFUSED",
         34: "ABORT"}
OUTPUT = b'{"text":"made by a frozen worker"}'


def frozen():
    """Frames by the name of their case."""
    cases, name = {}, None
    for line in (HERE / "first-release" / "peers.hex").read_text().splitlines():
        if line.startswith("["):
            name = line[1:-1]
            cases[name] = [b""]
        elif line and not line.startswith("#"):
            for word in line.removeprefix("0:").split():
                value, _, times = word.partition("*")
                cases[name][-1] += bytes.fromhex(value) * int(times or 1)
    return cases


def unpack(data, at=0):
    """One msgpack value, and where it ends."""
    tag = data[at]
    at += 1
    if tag < 0x80:
        return tag, at
    if tag >= 0xe0:
        return tag - 256, at
    if tag < 0x90 or tag in (0xde, 0xdf):
        count, at = _count(data, at, tag, 0x80, 0xde)
        pairs = {}
        for _ in range(count):
            key, at = unpack(data, at)
            pairs[key], at = unpack(data, at)
        return pairs, at
    if tag < 0xa0 or tag in (0xdc, 0xdd):
        count, at = _count(data, at, tag, 0x90, 0xdc)
        items = []
        for _ in range(count):
            item, at = unpack(data, at)
            items.append(item)
        return items, at
    if tag < 0xc0:
        return data[at:at + tag - 0xa0], at + tag - 0xa0
    if tag in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[tag], at
    if tag in (0xc4, 0xc5, 0xc6, 0xd9, 0xda, 0xdb):
        width = 1 << (tag - (0xc4 if tag < 0xd0 else 0xd9))
        size = int.from_bytes(data[at:at + width], "big")
        return data[at + width:at + width + size], at + width + size
    if tag == 0xcb:
        return data[at:at + 8], at + 8  # a double: nobody here asks for one
    width = 1 << (tag & 3)
    return int.from_bytes(data[at:at + width], "big", signed=tag >= 0xd0), at + width


def _count(data, at, tag, small, wide):
    if tag < wide:
        return tag - small, at
    width = 2 if tag == wide else 4
    return int.from_bytes(data[at:at + width], "big"), at + width


class Peer:
    def __init__(self, zmq, context, grid, role):
        self._zmq = zmq
        self._socket = zmq.zmq_socket(context, DEALER)
        keys = grid.ok("secret", "keys", "--role", role, "--json").json
        for option, value in ((CURVE_PUBLIC, keys["public"]), (CURVE_SECRET, keys["secret"]),
                              (CURVE_SERVER, keys["server_public"])):
            zmq.zmq_setsockopt(self._socket, option, value.encode(), ctypes.c_size_t(len(value)))
        for option, value in ((RCVTIMEO, 200), (LINGER, 0)):
            number = ctypes.c_int(value)
            zmq.zmq_setsockopt(self._socket, option, ctypes.byref(number), ctypes.c_size_t(4))
        assert zmq.zmq_connect(self._socket, grid.endpoint.encode()) == 0

    def send(self, frames):
        for number, frame in enumerate(frames):
            more = 2 if number + 1 < len(frames) else 0
            sent = self._zmq.zmq_send(self._socket, frame, ctypes.c_size_t(len(frame)), more)
            assert sent == len(frame), "a frame was not sent"

    def _receive(self):
        buffer = ctypes.create_string_buffer(1 << 20)
        size = self._zmq.zmq_recv(self._socket, buffer, ctypes.c_size_t(len(buffer)), 0)
        return None if size < 0 else buffer.raw[:size]

    def expect(self, kind, having=b"", deadline=10):
        """The body of the next message of that kind that has these bytes; others are passed."""
        end = time.monotonic() + deadline
        heard = []
        while time.monotonic() < end:
            frame = self._receive()
            if frame is None or frame[:1] != b"\x93":  # nothing, or a large payload's frame
                continue
            (version, number, body), _ = unpack(frame)
            assert version == 1, f"the broker speaks version {version} to a peer of version 1"
            heard.append(KINDS.get(number, number))
            if heard[-1] == kind and having in frame:
                return body
        raise AssertionError(f"no {kind} within {deadline} s, only {heard}")

    def close(self):
        self._zmq.zmq_close(self._socket)


def check(env, outcome):
    library = ctypes.util.find_library("zmq")
    if not library:
        outcome.fact("frozen peers were not tried: no libzmq")
        return
    zmq = ctypes.CDLL(library)
    zmq.zmq_ctx_new.restype = zmq.zmq_socket.restype = ctypes.c_void_p
    zmq.zmq_ctx_term.argtypes = zmq.zmq_close.argtypes = [ctypes.c_void_p]
    zmq.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
    zmq.zmq_setsockopt.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    zmq.zmq_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    send_and_receive = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    zmq.zmq_send.argtypes = zmq.zmq_recv.argtypes = send_and_receive
    context = zmq.zmq_ctx_new()
    with env.grid() as grid:
        grid.broker()
        client, worker = (Peer(zmq, context, grid, role) for role in ("client", "worker"))
        try:
            converse(grid, outcome, client, worker)
        finally:
            client.close()
            worker.close()
            zmq.zmq_ctx_term(context)


def converse(grid, outcome, client, worker):
    say = frozen()
    worker.send(say["worker: READY"])
    worker.expect("WELCOME")
    worker.send(say["worker: HEARTBEAT"])
    client.send(say["client: HELLO"])
    client.expect("WELCOME")
    client.send(say["client: HEARTBEAT"])
    client.send(say["client: SUBMIT"])
    client.expect("SUBMIT_ACK")
    submitted = unpack(say["client: SUBMIT"][0])[0][2]
    first, second = (entry[1] for entry in submitted[6])
    request = worker.expect("REQUEST", having=first)
    token = request[2][0][1]  # of the first assignment
    outcome.must(token[1] == first and token[2] == 1, f"another assignment: {token}")
    for name in ("STARTED", "PARTIAL", "FINAL"):
        worker.send([frame.replace(b"\xee" * 16, token[3]) for frame in say[f"worker: {name}"]])
    ack = worker.expect("FINAL_ACK")
    outcome.must(ack.get(1) == 1 and not ack.get(2), f"the result was refused: {ack}")
    client.expect("EVENTS", having=first)
    client.expect("RESULTS", having=OUTPUT)
    client.send(say["client: CANCEL"])
    client.expect("CANCEL_ACK", having=second)
    client.send(say["client: WATCH"])
    client.expect("WATCH_ACK", having=second)
    client.send(say["client: SUBMIT"])  # once more: the same jobs
    client.expect("SUBMIT_ACK")
    for name, words in (("jobs", b"frozen.service"), ("status", b""), ("workers", b"debian 12"),
                        ("explain", b"cancelled")):
        client.send(say[f"client: QUERY {name}"])
        client.expect("ANSWER", having=words)
    client.send(say["client: CONTROL drain"])
    client.expect("ANSWER")
    worker.send(say["peer: DISCONNECT"])
    jobs = {job["name"]: job for job in grid.ok("jobs", "--json").json["jobs"]}
    states = {name: (job["status"], job["attempt"]) for name, job in jobs.items()}
    outcome.must(states == {"frozen.service": ("succeeded", 1), "frozen.nobody": ("cancelled", 0)},
                 f"in the end: {states}")
    done = grid.run("result", jobs["frozen.service"]["job"])
    outcome.must(done.out == "made by a frozen worker", f"the frozen worker's output: {done}")
    outcome.times += 2
