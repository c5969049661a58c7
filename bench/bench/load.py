"""The load generators, each with its answer as one Sample."""

import glob
import json
import random
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .contestants import PgBench, make
from .dataset import contact_number
from .settings import CACHE, HOME
from .stack import Stack, need
from .stats import percentile
from .work import pgbench_script
from .words import Unmeasured, say

PICKS = 5000  # different requests of a run that picks; the same for every contestant
VEGETA = "12.13.0"


@dataclass
class Sample:
    """One run: requests a second, milliseconds, CPU microseconds a request of the server and of PostgreSQL."""

    rate: float
    p50: float
    p99: float
    p999: float = None
    cpu_server: float = None
    cpu_postgres: float = None
    count: int = 0


class Meter:
    """CPU time of the server and of PostgreSQL over a run."""

    def __init__(self, pid):
        self.pids = pid, Stack.part_pid("postgres")

    def __enter__(self):
        self.before = [machine.cpu_seconds(pid) if pid else None for pid in self.pids]
        return self

    def __exit__(self, *_):
        self.used = [machine.cpu_seconds(pid) - was if pid else None for pid, was in zip(self.pids, self.before)]

    def per(self, count):
        return [None if used is None or not count else used / count * 1e6 for used in self.used]


def picks(contestant, work, data):
    """The requests of a run that picks, drawn alike for every contestant."""
    draw = random.Random(work.name)
    if work.name in ("list", "list-include"):
        return [contestant.request(work, t, 0) for t in range(data.tenants)]
    drawn = ((draw.randrange(data.tenants), draw.randrange(data.rows), draw.randrange(1000)) for _ in range(PICKS))
    return [contestant.request(work, t, contact_number(t, i), score) for t, i, score in drawn]


def wrk(contestant, requests, clients, seconds, makes=None):
    """A closed loop over HTTP. `makes`: the first number of what it creates, and how many a request."""
    need("wrk", "wrk")
    host = f"127.0.0.1:{contestant.port}"
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\0".join(r.raw(host) for r in requests))
        file.flush()
        words = ["make", *map(str, makes)] if makes else ["pick", "0", "0"]
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "5s", "-s", str(HOME / "lua/load.lua"),
                   f"http://{host}/", "--", file.name, *words, *(["errors"] if contestant.answers_errors_with_200 else [])]
        with Meter(contestant.pid) as meter:
            done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^JSON (.*)$", done.stdout, re.M)
    if not found:
        raise Unmeasured(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    answer = json.loads(found[1])
    refused = {what: answer[what] for what in ("status", "socket", "timeout", "bad") if answer[what]}
    if refused:
        raise Unmeasured(f"of {answer['requests']} answers some were no success: {refused}")
    if not answer["requests"]:
        raise Unmeasured("there was no answer at all")
    cpu = meter.per(answer["requests"])
    return Sample(answer["requests"] / answer["seconds"], answer["p50"], answer["p99"], answer["p999"], *cpu,
                  count=answer["requests"])


def pgbench(stack, contestant, work, data, first, clients, seconds):
    """The ceiling, with the latency of every write, and of every twentieth read: the log costs."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.sql"
        script.write_text(pgbench_script(work, data, first, contestant.pipelined))
        command = ["pgbench", stack.app_url, "-n", "-M", "prepared", "-j", "1", "-c", str(clients), "-T", str(seconds),
                   "-D", f"clients={clients}", "-D", "k=0", "-f", str(script), "-l", f"--sampling-rate={1 if work.writes else 0.05}",
                   "--log-prefix", f"{folder}/log"]
        with Meter(None) as meter:
            done = subprocess.run(command, env=stack.env, cwd=folder, capture_output=True, text=True)
        count = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
        rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
        failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
        if done.returncode or not count or not rate or (failed and int(failed[1])):
            said = done.stderr.strip() or " ".join(done.stdout.split())
            raise Unmeasured(f"pgbench ended with {done.returncode}: {said[-300:]}")
        taken = sorted(int(line.split()[2]) / 1000 for path in glob.glob(f"{folder}/log*") for line in open(path))
    count = int(count[1])
    return Sample(float(rate[1]), percentile(taken, 0.5), percentile(taken, 0.99), percentile(taken, 0.999),
                  *meter.per(count), count=count)


def warm_up(contestant, data, work):
    """A second of the same when that writes nothing new, else of reads: pools filled, code compiled."""
    from .work import BY_NAME

    work = work if work.picks else BY_NAME["get"]
    wrk(contestant, picks(contestant, work, data), 8, 1)


def measure(stack, contestant, work, data, clients, seconds):
    """One run of one contestant, proven by what is in the tables afterwards."""
    if work.writes:
        data.restore()
    first = work.first(data)
    if isinstance(contestant, PgBench):
        sample = pgbench(stack, contestant, work, data, first, clients, seconds)
    else:
        warm_up(contestant, data, work)
        if work.picks:
            sample = wrk(contestant, picks(contestant, work, data), clients, seconds)
        else:
            requests = [contestant.request(work, t, None) for t in range(data.tenants)]
            sample = wrk(contestant, requests, clients, seconds, (first, work.makes))
    if work.makes:
        # Requests that were under way at the end may have written, and are not counted.
        rows, least = data.written(work.name), sample.count * work.makes
        if not least <= rows <= least + clients * work.makes:
            raise Unmeasured(f"{sample.count} answers have left {rows} rows, not {least}")
    return sample


def redis_benchmark(stack, what, clients, seconds):
    """redis-benchmark on the stack's Valkey, in a database of its own, with values of 256 bytes."""
    need("redis-benchmark", "redis-tools")
    host, port = stack.valkey.hostname, str(stack.valkey.port)
    command = ["redis-benchmark", "-h", host, "-p", port, "--dbnum", "15", "-c", str(clients), "-d", "256", "-P", "1",
               "-r", "1000", "-t", what, "--csv"]

    def run(count):
        out = make(*command, "-n", str(count), cwd=HOME)
        rows = [[cell.strip('"') for cell in line.split(",")] for line in out.splitlines() if line.startswith('"')]
        return dict(zip(rows[0], rows[1]))

    # It knows no time, only a number: a short run tells how many take so long.
    answer = run(int(float(run(5000)["rps"]) * seconds))
    stack.run("valkey-cli", "-h", host, "-p", port, "-n", "15", "flushdb")
    return Sample(float(answer["rps"]), float(answer["p50_latency_ms"]), float(answer["p99_latency_ms"]))


def vegeta_binary():
    path = CACHE / "bin" / f"vegeta-{VEGETA}"
    if not path.exists():
        say(f"building vegeta {VEGETA}")
        path.parent.mkdir(parents=True, exist_ok=True)
        make("go", "build", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", f"{path}.part", "github.com/tsenart/vegeta/v12",
             cwd=HOME / "tools/vegeta", env={"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"})
        Path(f"{path}.part").rename(path)
    return str(path)


def vegeta(contestant, requests, rate, seconds):
    """An open loop: requests leave at their time, whether or not earlier ones are answered."""
    import base64

    def target(r):
        body = {"body": base64.b64encode(r.body.encode()).decode()} if r.body is not None else {}
        headers = {name: [value] for name, value in r.headers.items()}
        if r.body is not None:
            headers["Content-Type"] = ["application/json"]
        return json.dumps({"method": r.method, "url": f"http://127.0.0.1:{contestant.port}{r.path}", "header": headers, **body})

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "targets").write_text("\n".join(map(target, requests)) + "\n")
        with Meter(contestant.pid) as meter:
            make(vegeta_binary(), "attack", "-format=json", "-targets=targets", f"-rate={int(rate)}", f"-duration={seconds}s",
                 "-connections=64", "-max-connections=256", "-workers=64", "-max-workers=512", "-http2=false", "-timeout=5s",
                 "-max-body=0", "-output=results", cwd=folder)
        report = json.loads(make(vegeta_binary(), "report", "-type=json", "results", cwd=folder))
        plot = make(vegeta_binary(), "report", "-type=hdrplot", "results", cwd=folder)
    codes = report["status_codes"]
    if set(codes) - {"200", "201", "204"}:
        raise Unmeasured(f"at {int(rate)} requests a second: {codes}")
    rows = [list(map(float, line.split()[:2])) for line in plot.splitlines() if re.match(r"^[\d.]+\s", line)]
    p999 = next((value for value, share in rows if share >= 0.999), None)
    latencies = report["latencies"]
    return Sample(report["throughput"], latencies["50th"] / 1e6, latencies["99th"] / 1e6, p999,
                  *meter.per(report["requests"]), count=report["requests"])
