"""The rows that are ratios: groups of sides that run in turn, A B A B, and what is made of them.

A group yields its sides, each a function that measures once and returns a number, and its ratios,
each a function of one round's numbers. Names of ratios that bars.json knows are judged.
"""
import contextlib
import os

from harness import peers
from harness.lab import Grid, stop

LATENCY_JOBS = 4000
JOB_US = 150  # of the disk's rest between two jobs that are alone: what a job takes in memory
BATCH = 256  # jobs in a frame of the batched proxy: what a worker of ours is given ahead
TEN_KIB = 10 * 1024


class Group:
    def __init__(self, title, unit, sides, ratios):
        self.title, self.unit, self.sides, self.ratios = title, unit, sides, ratios


def over(a, b):
    return lambda values: values[a] / values[b]


def rate(measure, *arguments):
    return lambda: measure(*arguments)["jobs_per_s"]


def p50(measure, *arguments):
    return lambda: measure(*arguments)["p50_us"]


def zgrid(lab, store, *load, **options):
    """Each measurement on a grid of its own: one that has run millions of jobs is another thing
    (see aged), and the proxies begin anew each time, too."""
    def measure(*more):
        with Grid(lab, store, **options) as grid:
            return grid.load(*load, *more)
    return measure


def raw(lab):
    return lambda *arguments: lab.measure("bench_raw", *arguments)


def both_stores(lab, title, names, load):
    """Throughput of either store beside the raw proxy; the names of the two rows."""
    @contextlib.contextmanager
    def opened():
        # Each next to a proxy run of its own: what is compared runs one after the other.
        sides = {
            "raw CURVE proxy": rate(raw(lab), *load),
            "zgrid, memory": rate(zgrid(lab, "memory"), *load),
            "raw CURVE proxy ": rate(raw(lab), *load),
            "zgrid, SQLite": rate(zgrid(lab, "sqlite"), *load),
        }
        yield Group(title, "jobs/s", sides, {
            names[0]: over("zgrid, memory", "raw CURVE proxy"),
            names[1]: over("zgrid, SQLite", "raw CURVE proxy "),
        })
    return opened


def throughput(lab, jobs, window, names):
    return both_stores(lab, f"throughput, window {window}", names,
                       ("--jobs", jobs, "--window", window))


def payload(lab, jobs):
    return both_stores(lab, "throughput, 10 KiB payload", ("payload-memory", "payload-sqlite"),
                       ("--jobs", jobs, "--payload", TEN_KIB))


def clients(lab, jobs):
    return both_stores(lab, "throughput, ten clients with 100 in flight each",
                       ("clients-memory", "clients-sqlite"),
                       ("--jobs", jobs, "--clients", 10, "--window", 100))


def latency(lab, jobs=LATENCY_JOBS, appends=1000):
    def append(what, rest_us):
        return lambda: lab.measure("bench_machine", "append", lab.folder, appends, rest_us)[what]

    @contextlib.contextmanager
    def opened():
        one = ("--window", 1, "--jobs", jobs)
        sides = {
            "raw CURVE proxy": p50(raw(lab), *one),
            "zgrid, memory": p50(zgrid(lab, "memory"), *one),
            "zgrid, SQLite": p50(zgrid(lab, "sqlite"), *one),
            "one synced append": append("growing_p50_us", JOB_US),
            "one synced overwrite": append("p50_us", JOB_US),
            "synced overwrites, back to back": append("p50_us", 0),
        }
        yield Group("latency one at a time, p50", "µs", sides, {
            "latency-memory": over("zgrid, memory", "raw CURVE proxy"),
            "latency-sqlite-extra": lambda v: (
                (v["zgrid, SQLite"] - v["zgrid, memory"]) / v["one synced append"]),
            "extra over memory ÷ one synced overwrite": lambda v: (
                (v["zgrid, SQLite"] - v["zgrid, memory"]) / v["one synced overwrite"]),
        })
    return opened


def baselines(lab, jobs):
    """The other proxies and the plain Majordomo broker, for orientation."""
    @contextlib.contextmanager
    def opened():
        load = ("--jobs", jobs)
        sides = {
            "raw CURVE proxy": rate(raw(lab), *load),
            "batched CURVE proxy": rate(raw(lab), "--batch", BATCH, *load),
            "raw proxy in plain": rate(raw(lab), "--plain", *load),
            "plain Majordomo, CURVE": rate(
                lambda *a: lab.measure("bench_mdp", *a), "--jobs", max(jobs // 10, 1000)),
            "zgrid, memory": rate(zgrid(lab, "memory"), *load),
        }
        ratios = {f"zgrid, memory ÷ {name}": over("zgrid, memory", name)
                  for name in sides if name != "zgrid, memory"}
        yield Group("baselines of our own", "jobs/s", sides, ratios)
    return opened


def jetstream(lab, jobs):
    @contextlib.contextmanager
    def opened():
        with peers.Server(lab, "jetstream") as server:
            yield Group("a work queue that survives its process", "jobs/s", {
                "NATS JetStream": rate(server.load, "--jobs", max(jobs // 2, 1000)),
                "zgrid, SQLite": rate(zgrid(lab, "sqlite"), "--jobs", jobs),
            }, {"throughput-jetstream": over("zgrid, SQLite", "NATS JetStream")})
    return opened


# Name, server, options, jobs as a part of the others', what of ours it is to be compared with.
PEERS = (
    ("gearmand, 1 in hand", "gearman", (), 0.2, "zgrid, memory"),
    ("gearmand, 32 in hand", "gearman", ("--in-hand", 32), 1, "zgrid, memory"),
    ("NATS request–reply", "nats", (), 1, "zgrid, memory"),
    ("beanstalkd, synced", "beanstalk", (), 0.02, "zgrid, SQLite"),
    ("Redis lists, synced", "redis", (), 0.04, "zgrid, SQLite"),
)


def others(lab, jobs, of_latency=False):
    """Throughput or latency beside the servers of others that are installed, for orientation."""
    @contextlib.contextmanager
    def opened():
        with contextlib.ExitStack() as stack:
            sides, ratios = {}, {}

            def add(name, measure, part):
                if of_latency:
                    sides[name] = p50(measure, "--window", 1, "--jobs", LATENCY_JOBS // 2)
                else:
                    sides[name] = rate(measure, "--jobs", max(int(jobs * part), 1000))

            for name, server, options, part, ours in PEERS:
                if not peers.is_installed(server) or (of_latency and options):
                    continue
                running = stack.enter_context(peers.Server(lab, server))
                add(name, lambda *a, r=running, o=options: r.load(*o, *a), part)
                ratios[f"{ours} ÷ {name}"] = over(ours, name)
            add("zgrid, memory", zgrid(lab, "memory"), 1)
            add("zgrid, SQLite", zgrid(lab, "sqlite"), 1)
            title = "latency beside others, p50" if of_latency else "throughput beside others"
            yield Group(title, "µs" if of_latency else "jobs/s", sides, ratios)
    return opened


def submit_process(lab, count=20):
    @contextlib.contextmanager
    def opened():
        with contextlib.ExitStack() as stack:
            memory = stack.enter_context(Grid(lab, "memory"))
            server = stack.enter_context(peers.Server(lab, "gearman"))
            stack.callback(stop, server.worker())

            def run(*command):
                return lab.measure("bench_machine", "run", count, *command, env=memory.env)

            yield Group("a job from a shell, until the program has ended", "µs", {
                "gearman's client": p50(run, peers.find("gearman"), "-h", "127.0.0.1", "-p",
                                        server.port, "-f", "echo", "hello"),
                "zgrid submit": p50(run, lab.zgrid, "submit", "workflow", "zgrid.echo", "--text",
                                    "hello", "--broker", memory.endpoint),
            }, {"submit-process": over("zgrid submit", "gearman's client")})
    return opened


def process_step(lab, jobs=2000):
    @contextlib.contextmanager
    def opened():
        slots = os.cpu_count()
        workflows = os.path.join(lab.fresh("workflows"), "true.toml")
        with open(workflows, "w", encoding="ascii") as file:
            file.write('[[workflow.true.step]]\nid = "true"\nrun = ["true"]\n')
        with Grid(lab, "memory", options=("--slots", str(slots), "--workflows", workflows)) as grid:
            yield Group("process steps", "jobs/s", {
                "bare posix_spawn": rate(
                    lambda: lab.measure("bench_machine", "spawn", slots, jobs)),
                "zgrid, run = [\"true\"]": rate(
                    grid.load, "--workflow", "true", "--jobs", jobs, "--window", 100),
            }, {"process-step": over("zgrid, run = [\"true\"]", "bare posix_spawn")})
    return opened


def workers_cost(lab, jobs):
    @contextlib.contextmanager
    def opened():
        yield Group("16 worker processes", "jobs/s", {
            "1 worker": rate(zgrid(lab, "memory"), "--jobs", jobs),
            "16 workers": rate(zgrid(lab, "memory", workers=16), "--jobs", jobs),
        }, {"workers-cost": over("1 worker", "16 workers")})
    return opened


def queued_cost(lab, queued=1_000_000):
    """Jobs pass through a queue that is kept full."""
    @contextlib.contextmanager
    def opened():
        settings = {"ZGRID_BROKER__IN_FLIGHT_MAX": "100000000"}
        # As many jobs on either side, so that what is remembered of ended ones is the same.
        run = zgrid(lab, "memory", "--jobs", 2 * queued + queued // 2, "--steady",
                    settings=settings)
        yield Group("many queued jobs", "jobs/s", {
            "1 k queued": rate(run, "--window", 1000),
            "1 M queued": rate(run, "--window", queued),
        }, {"queued-cost": over("1 k queued", "1 M queued")})
    return opened


def aged(lab, jobs, before=1_500_000):
    """What a grid does after so many jobs, more than it keeps, beside what it does at first."""
    @contextlib.contextmanager
    def opened():
        with contextlib.ExitStack() as stack:
            sides, ratios = {}, {}
            for name, store in (("memory", "memory"), ("SQLite", "sqlite")):
                old = stack.enter_context(Grid(lab, store))
                old.load("--jobs", before)
                sides[f"{name}, fresh"] = rate(zgrid(lab, store), "--jobs", jobs)
                sides[f"{name}, aged"] = rate(old.load, "--jobs", jobs)
                ratios[f"{name}: after {before:,} jobs ÷ fresh"] = over(f"{name}, aged",
                                                                       f"{name}, fresh")
            yield Group("the same after many jobs", "jobs/s", sides, ratios)
    return opened
