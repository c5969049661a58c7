"""What is measured besides the work items: the cache, the bare chain, the open loop, memory."""

import json
import resource
import socket
import threading
import time

from . import machine
from .check import send
from .contestants import Hello, PgBench, Request
from .load import picks, redis_benchmark, vegeta, wrk
from .settings import CLIENTS
from .stats import middle
from .work import BY_NAME
from .words import Unmeasured, say

KEYS = 1000
OPEN_LOOP_SHARES = (0.5, 0.8)
IDLE, BUSY = 10_000, 1000


def septem(everybody):
    return next(c for c in everybody if c.name == "septem")


def cache(stack, settings, data, results, everybody):
    """GET and SET of 256 bytes: ours over HTTP with everything that belongs to it, and redis-benchmark with nothing."""
    ours, value = septem(everybody), json.dumps({"value": "x" * 256, "ttl": 3600})

    def requests(method):
        body = value if method == "PUT" else None
        return [Request(method, f"/v1/cache/bench-{i}", ours.headers(i % data.tenants), body) for i in range(KEYS)]

    for request in requests("PUT"):
        if send(ours, request)[0] != 204:
            raise Unmeasured("a value cannot be put into the cache")
    status, body = send(ours, requests("GET")[0])
    if status != 200 or json.loads(body)["data"] != "x" * 256:
        raise Unmeasured("the cache does not answer what was put into it")
    for _ in range(settings.rounds):
        for clients in CLIENTS:
            for work, method in (("cache-get", "GET"), ("cache-set", "PUT")):
                one(results, work, "redis-benchmark", clients,
                    lambda: redis_benchmark(stack, method.replace("PUT", "SET").lower(), clients, settings.seconds))
                one(results, work, "septem", clients, lambda: wrk(ours, requests(method), clients, settings.seconds))
    for i in range(KEYS):
        send(ours, Request("DELETE", f"/v1/cache/bench-{i}", ours.headers(i % data.tenants)))


def one(results, work, name, clients, run):
    try:
        sample = run()
        results.add(work, name, clients, sample)
        say(f"{work} {name} at {clients}: {sample.rate:.0f}/s")
    except Unmeasured as reason:
        say(f"{work} {name} at {clients}: failed: {reason}")
        results.fail(work, name, clients, str(reason))


def chain(stack, settings, data, results, everybody):
    """The full chain without a database (an empty page touches none) beside a bare hello endpoint."""
    ours = septem(everybody)
    empty = [Request("GET", f"{ours.contacts}?limit=0", ours.headers(t)) for t in range(data.tenants)]
    for _ in range(settings.rounds):
        for clients in CLIENTS:
            one(results, "chain", "septem", clients, lambda: wrk(ours, empty, clients, settings.seconds))
            for hello in (Hello("hyper"), Hello("pingora")):
                def race():
                    try:
                        hello.start(stack)
                        return wrk(hello, [Request("GET", "/")], clients, settings.seconds)
                    finally:
                        hello.stop()
                one(results, "chain", hello.name, clients, race)


def open_loop(stack, settings, data, results, everybody):
    """Latency at 50 % and 80 % of what each could do in the closed loop at 64 clients."""
    title = "Open loop"
    for work in (BY_NAME["get"], BY_NAME["list"], BY_NAME["patch"]):
        for contestant in everybody:
            if isinstance(contestant, PgBench) or not settings.wants(f"open-loop/{work.name}/{contestant.name}"):
                continue
            capacity = results.middle(work.name, contestant.name, 64)
            if not capacity:
                results.notes.append(f"open loop of {work.name}, {contestant.name}: its capacity was not measured.")
                continue
            for share in OPEN_LOOP_SHARES:
                rate = max(1, int(capacity * share))
                cells = {"work": work.name, "peer": contestant.name, "share": share, "rate": rate}
                try:
                    contestant.start(stack)
                    wrk(contestant, picks(contestant, work, data), 8, 1)
                    samples = [vegeta(contestant, picks(contestant, work, data), rate, settings.seconds)
                               for _ in range(settings.rounds)]
                    cells |= {field: middle([getattr(s, field) for s in samples]) for field in ("p50", "p99", "p999")}
                    cells |= {"worst_p99": max(s.p99 for s in samples), "answered": middle([s.rate for s in samples])}
                    say(f"open loop {work.name} {contestant.name} {rate}/s: p99 {cells['p99']:.2f} ms")
                except Unmeasured as reason:
                    say(f"open loop {work.name} {contestant.name} {rate}/s: failed: {reason}")
                    cells["failed"] = str(reason)
                finally:
                    contestant.stop()
                results.row(title, **cells)


def memory(stack, settings, data, results, everybody):
    """The proxy's memory: as it is, with many idle connections, with a thousand busy ones."""
    ours, title = septem(everybody), "Memory of the proxy"
    before = machine.pss_mib(ours.pid)
    results.row(title, state="no connections", connections=0, mib=before)
    allow_files(ours.pid)
    request = ours.request(BY_NAME["get"], 0, 110 * 10**9).raw(f"127.0.0.1:{ours.port}")
    connections = []
    try:
        for _ in range(IDLE):
            one_ = socket.create_connection(("127.0.0.1", ours.port), timeout=10)
            one_.sendall(request)
            connections.append(one_)
            if not one_.recv(65536).startswith(b"HTTP/1.1 200"):
                raise Unmeasured("a connection to be left idle was answered otherwise than 200")
        time.sleep(2)
        still = sum(alive(c) for c in connections)
        results.row(title, state="idle, each after one request", connections=still, mib=machine.pss_mib(ours.pid))
    except OSError as error:
        results.notes.append(f"memory at {IDLE} idle connections was not measured: {len(connections)} opened, then {error}.")
    finally:
        for c in connections:
            c.close()
    time.sleep(2)
    most, over = [0.0], threading.Event()

    def watch():
        while not over.wait(0.5):
            most[0] = max(most[0], machine.pss_mib(ours.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sample = wrk(ours, picks(ours, BY_NAME["get"], data), BUSY, max(3, settings.seconds))
    finally:
        over.set()
        watcher.join()
    results.row(title, state=f"busy, GET by id, {sample.rate:.0f}/s", connections=BUSY, mib=most[0])


def allow_files(pid):
    """This process and the proxy need a descriptor for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    text = next(l for l in open(f"/proc/{pid}/limits") if l.startswith("Max open files"))
    theirs = int(text.split()[3])
    if min(hard, theirs) < IDLE + 500:
        raise Unmeasured(f"{IDLE} connections need as many descriptors, and {min(hard, theirs)} are allowed (ulimit -n)")


def alive(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
