"""The benchmark from nothing to its two files."""

import signal
import sys

from . import growth, machine, report
from .contestants import PEERS, PgBench, Septem
from .dataset import Dataset
from .extras import cache, chain, memory, open_loop
from .load import measure
from .check import check
from .results import Results
from .settings import CLIENTS, read_settings
from .stack import Stack, need
from .work import WORKS
from .words import Refused, Unmeasured, say


def main():
    # `make` and CI end a run with SIGTERM; what was applied is removed all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        run()
    except Refused as refusal:
        sys.exit(f"error: {refusal}")


def run():
    settings = read_settings()
    stack = Stack()
    for tool, package in (("wrk", "wrk"), ("redis-benchmark", "redis-tools")):
        need(tool, package)
    if stack.profile() != "release" and not settings.trial:
        raise Refused("The stack runs a debug build, whose figures say nothing: run `make up` without SEPTEM_PROFILE=dev, or "
                      "add TRIAL=1 to try the benchmark itself.")
    data = Dataset(stack, settings)
    results = Results(settings, machine.facts(), stack.profile())
    stolen = machine.steal()
    try:
        data.set_up()
        ours = Septem(stack, data.tokens)
        everybody = [PgBench(True), PgBench(False), ours, *(peer() for peer in PEERS)]
        results.versions = versions(stack, everybody)
        for work in WORKS:
            if any(settings.wants(f"{work.name}/{c.name}") for c in everybody):
                side_by_side(stack, settings, data, results, work, everybody)
        extras = [("cache", cache), ("chain", chain), ("open-loop", open_loop), ("memory", memory), ("growth", growth.measure_growth)]
        for name, part in [] if settings.check else extras:
            if any(word.startswith(name) for word in settings.only) or not settings.only:
                try:
                    part(stack, settings, data, results, everybody)
                except Unmeasured as reason:
                    say(f"{name}: not measured: {reason}")
                    results.notes.append(f"{name} was not measured: {reason}")
    finally:
        results.machine["stolen_seconds"] = round(machine.steal() - stolen, 1)
        if results.figures or results.tables:
            report.write(results)
        if not settings.keep:
            data.tear_down()


def side_by_side(stack, settings, data, results, work, everybody):
    """All contestants of one work item, in rounds; each round begins with another of them."""
    able = []
    for contestant in everybody:
        if not settings.wants(f"{work.name}/{contestant.name}"):
            continue
        try:
            contestant.start(stack)
            check(stack, contestant, work, data)
            able.append(contestant)
        except Unmeasured as reason:
            say(f"{work.name} {contestant.name}: not measured: {reason}")
            for clients in CLIENTS:
                results.fail(work.name, contestant.name, clients, str(reason))
        finally:
            contestant.stop()
    if settings.check:
        say(f"{work.name}: answers rightly: {', '.join(c.name for c in able) or 'nobody'}")
        return
    for round_ in range(settings.rounds):
        for clients in CLIENTS:
            turn = round_ % len(able) if able else 0
            for contestant in able[turn:] + able[:turn]:
                try:
                    contestant.start(stack)
                    sample = measure(stack, contestant, work, data, clients, settings.seconds)
                    results.add(work.name, contestant.name, clients, sample)
                    say(f"{work.name} {contestant.name} at {clients}: {sample.rate:.0f}/s, p99 {sample.p99 or 0:.2f} ms")
                except Unmeasured as reason:
                    say(f"{work.name} {contestant.name} at {clients}: failed: {reason}")
                    results.fail(work.name, contestant.name, clients, str(reason))
                finally:
                    contestant.stop()
    if work.writes:
        data.restore()


def versions(stack, everybody):
    found = {c.name: c.version() for c in everybody if hasattr(c, "version")}
    found["postgresql"] = stack.sql("show server_version;")[0][0]
    found["settings"] = ", ".join(f"{name} {stack.sql(f'show {name};')[0][0]}" for name in
                                  ("fsync", "synchronous_commit", "wal_level", "shared_buffers"))
    found["valkey"] = stack.run("valkey-server", "--version").split("v=")[1].split()[0]
    return found
