"""Bits flip in the store's files, or the files are cut

A store with ended and queued jobs, some with payloads in rows of their own, is copied, damaged in
one place, and served again. Either the start is refused with the file's name, or every read gives
what was stored, or a read says that the store is damaged. What is different without a word is a
violation: a wrong output, a job that is gone, an input that changed on its way to a worker. An
end by a signal is one, too."""

import collections
import random
import re
import shutil
import struct

import harness
from outcome import Outcome
from starts import fails_or_is_ready

FRAME = 24 + 4096  # of the log: a header and a page
CLEAR_EXITS = (65, 74)
WORDS = re.compile(r"corrupt|damaged|checksum|malformed|cut to|missing|not a database")


def short(env):
    return body(env, flips=10, cuts=2)


def long(env):
    return body(env, flips=200, cuts=20)


class Image:
    """The files of a store, and what must be found in it."""

    def __init__(self, grid, name, orderly):
        self.folder = grid.dir / f"image-{name}"
        work = grid.dir / f"work-{name}"
        broker = grid.broker("--store", str(work / "broker.db"), name=f"broker-{name}")
        ann = grid.worker("ann", process=f"ann-{name}")
        load = grid.load("--count", 40, "--payload", 3000, "--window", 1)
        grid.load("--count", 40, "--payload", 30, "--window", 1).finish()
        load.finish()
        # These wait for bob, who comes when the damage is done.
        for text in ("small", "large " * 500):
            for _ in range(10):
                job = grid.submit("zgrid.echo", text, "--on", "bob", "--key", f"{len(text)}-{_}")
                grid.history.write("ack", job, "queued", 0)
        if orderly:
            assert broker.end() == 0
        else:
            broker.kill()
        shutil.copytree(work, self.folder)
        ann.kill()

    def restore(self, into):
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(self.folder, into)


def used_of(log):
    """Where the frames at the start of a log end that are of its present generation."""
    data = log.read_bytes()
    at = 32
    while data[at + 8:at + 16] == data[16:24]:
        at += FRAME
    return at


def damages(image, chance, flips, cuts):
    """(what, file name, function that damages it) of one image."""
    for path in sorted(image.folder.iterdir()):
        if path.suffix not in (".db", ".db-wal"):
            continue
        used = used_of(path) if path.suffix == ".db-wal" else path.stat().st_size
        # The headers of the file and of its first page or frame, the last page or frame, anywhere.
        places = [18, 24, 40, used - 100, 110] + [chance.randrange(used) for _ in range(flips)]
        for place in places[:flips]:
            yield f"bit at {place} of {used}", path.name, flip(place, chance.randrange(8))
        for size in [0] + [chance.randrange(used) for _ in range(cuts)]:
            what = f"cut to {size} of {used}"
            yield what, path.name, lambda file, size=size: file.truncate(size)


def flip(place, bit):
    def damage(file):
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(struct.pack("B", byte ^ 1 << bit))
    return damage


class Served:
    """A store that was served: None as results if the start was refused."""

    def __init__(self, broker):
        self.broker = broker
        self.results = None
        self.code = broker.popen.poll()
        self.wrong = []   # results that are not those of the whole store
        self.gone = []    # jobs without one
        self.silent = []  # wrong ones of which `zgrid result` says nothing


def serve(grid, image, number, damage, name, truth=None):
    store = grid.dir / "store"
    image.restore(store)
    with open(store / name, "r+b") as file:
        damage(file)
    broker = grid.broker("--store", str(store / "broker.db"), wait=False, name=f"broker-{number}")
    if fails_or_is_ready(broker):
        return Served(broker)
    bob = grid.worker("bob", wait=False, process=f"bob-{number}")
    before = sum(1 for _ in grid.history.lines())
    grid.load("--settle", 1.5, mode="audit").finish()
    served = Served(broker)
    served.results = {rest[0]: (rest[1], rest[2], rest[4]) for _, word, rest
                      in list(grid.history.lines())[before:] if word == "final"}
    if truth:
        served.wrong = [job for job, got in served.results.items() if truth[job] != got]
        served.gone = [job for job in truth if job not in served.results]
        served.silent = [job for job in served.wrong
                         if not WORDS.search(grid.run("result", job, "--json").out)]
    bob.kill()
    served.code = broker.popen.poll()
    broker.kill()
    return served


def body(env, flips, cuts):
    outcome = Outcome("bit flips and cuts in database and log", times=0)
    seen = collections.Counter()
    chance = random.Random(10)
    for name, orderly in (("closed", True), ("killed", False)):
        with env.grid() as grid:
            image = Image(grid, name, orderly)
            whole = serve(grid, image, "whole", lambda file: None, "broker.db")
            assert len(whole.results or ()) == 100, "a whole store does not give its results"
            for what, file, damage in damages(image, chance, flips, cuts):
                served = serve(grid, image, outcome.times, damage, file, whole.results)
                outcome.times += 1
                seen[judge(grid, outcome, served, f"{name} {file}, {what}")] += 1
    outcome.fact(", ".join(f"{count} {what}" for what, count in seen.items()))
    return outcome


def judge(grid, outcome, served, where):
    log = served.broker.log
    said = next((line for line in log.splitlines() if line.startswith("zgrid: ")), "")
    if served.results is None:
        outcome.must(served.code in CLEAR_EXITS, f"{where}: exit {served.code}: {said}")
        outcome.must(str(grid.dir) in said, f"{where}: no clear message: {said}")
        return "refused at the start"
    outcome.must(served.code in (None, *CLEAR_EXITS), f"{where}: ended by {served.code}: {said}")
    if not served.wrong and not served.gone:
        return "harmless"
    outcome.must(not served.silent, f"{where}: wrong results without a word: {served.silent[:2]}")
    if served.gone and not WORDS.search(log):
        outcome.must(False, f"{where}: {len(served.gone)} jobs are gone without a word")
    return "said at a read"
