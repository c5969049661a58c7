"""RESULTS.md and results.json."""

import json

from .settings import CLIENTS, HOME
from .words import say

WORDS = {
    "get": "GET by id", "list": "list of 20, filter and order", "list-include": "list of 20 with its companies",
    "create": "create", "patch": "patch", "delete": "delete (soft)", "batch": "create of 100 in one request",
    "cache-get": "cache GET, 256 B", "cache-set": "cache SET, 256 B", "chain": "full chain without a database",
    "growth-tenants-get": "GET by id: 1 tenant (few), 1,000 skewed ones (many)",
    "growth-tenants-list": "list of 20: 1 tenant (few), 1,000 skewed ones (many)",
    "growth-models": "GET by id: 1 model (few), 200 (many)", "growth-shapes": "list of 20: 1 shape of query (few), 500 (many)",
}
CEILINGS = ("pgbench-pipelined", "redis-benchmark", "hyper", "few")


def bars(results):
    """(what is asked, what was found, whether it is met; None when it was not measured)."""
    def bar(text, found, met, form="{:.2f}"):
        return text, "not measured" if found is None else form.format(found), None if found is None else met(found)

    def times(work, theirs, least, clients=64):
        return bar(f"{WORDS[work]}: ≥ {least} × {theirs} at {clients}", results.ratio(work, theirs, clients), lambda r: r >= least)

    reads, writes = ("get", "list", "list-include"), ("create", "patch", "delete", "batch")
    all_ = [times("get", "pgbench-pipelined", 0.75), times("list", "pgbench-pipelined", 0.8)]
    all_ += [bar(f"{WORDS[work]}: p99 ≤ 5 ms at 64, closed loop", results.middle(work, "septem", 64, "p99"), lambda ms: ms <= 5)
             for work in reads + writes]
    all_ += [times(work, "pgbench", 0.7) for work in writes]
    all_ += [times("cache-get", "redis-benchmark", 0.6)]
    all_ += [times(work, peer, least) for peer, least in (("postgraphile", 3), ("fastapi", 3), ("go-pgx", 1.5))
             for work in reads + writes]
    return all_


def write(results):
    folder = HOME / "trial" if results.settings.trial else HOME
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n")
    (folder / "RESULTS.md").write_text(as_markdown(results))
    say(f"written: {folder / 'RESULTS.md'} and results.json")


def short(value, digits=4):
    return None if value is None else round(value, digits)


def as_json(results):
    rows = []
    for work in results.works():
        for peer in results.names(work):
            for clients in CLIENTS:
                if peer == "septem" or (work, peer, clients) not in {**results.figures, **results.failures}:
                    continue
                mine = "many" if work.startswith("growth") else "septem"
                if peer == mine:
                    continue
                get = lambda name, field="rate": short(results.middle(work, name, clients, field))
                rows.append({
                    "work": work, "peer": peer, "clients": clients, "ours": get(mine), "theirs": get(peer),
                    "ratio": short(results.ratio(work, peer, clients, mine)),
                    "spread": short(results.spread(work, mine, clients)), "theirs_spread": short(results.spread(work, peer, clients)),
                    "p50_ms": get(mine, "p50"), "p99_ms": get(mine, "p99"),
                    "theirs_p50_ms": get(peer, "p50"), "theirs_p99_ms": get(peer, "p99"),
                    "cpu_us": get(mine, "cpu_server"), "cpu_postgres_us": get(mine, "cpu_postgres"),
                    "theirs_cpu_us": get(peer, "cpu_server"), "theirs_cpu_postgres_us": get(peer, "cpu_postgres"),
                    **({"failed": results.failures[work, peer, clients]} if (work, peer, clients) in results.failures else {}),
                    **({"ours_failed": results.failures[work, mine, clients]} if (work, mine, clients) in results.failures else {}),
                })
    return {
        "machine": results.machine, "versions": results.versions, "profile": results.profile, "trial": results.settings.trial,
        "rounds": results.settings.rounds, "seconds": results.settings.seconds, "results": rows,
        "bars": [{"bar": text, "found": found, "met": met} for text, found, met in bars(results)],
        "tables": results.tables, "notes": results.notes,
    }


def cell(value, form="{:.2f}"):
    return "–" if value is None else form.format(value)


def table(head, rows):
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    return [line(head), "|" + "---|" * len(head), *map(line, rows), ""]


def as_markdown(results):
    s, m = results.settings, results.machine
    out = ["# Results", ""]
    if s.trial:
        out += [f"**A trial of the benchmark ({results.profile} build), not a result.**", ""]
    out += [f"Written by `make bench`; `bench/README.md` says how it is measured. {m['date']}, {m['cpu']}, {m['cores']} cores, "
            f"{m['memory_gib']} GiB, {m['os']}, Linux {m['kernel']}; load before it began {m['load_before']:.2f}, "
            f"{m.get('stolen_seconds', 0)} s of CPU taken by the host. Clients, servers and database share these cores. "
            f"Medians of {s.rounds} rounds of {s.seconds} s; ± is half of the distance between the extremes. "
            f"{s.contacts} contacts of {s.tenants} tenants.", ""]
    out += [f"- {name}: {version}" for name, version in results.versions.items()] + [""]
    out += ["## Bars", ""] + table(["asked", "found", ""], [
        (text, found, {True: "met", False: "**missed**", None: ""}[met]) for text, found, met in bars(results)])
    for work in results.works():
        out += [f"## {WORDS[work]}", ""]
        ceiling = next((c for c in CEILINGS if c in results.names(work)), None)
        rows, reasons = [], []
        for clients in CLIENTS:
            for name in results.names(work):
                key = (work, name, clients)
                if key in results.failures:
                    rows.append((name, clients, "failed", *["–"] * 6))
                    reasons.append(f"- {name} at {clients}: {results.failures[key]}")
                elif key in results.figures:
                    get = lambda field, form="{:.2f}": cell(results.middle(*key, field), form)
                    rows.append((name, clients, f"{get('rate', '{:,.0f}')} ± {cell(results.spread(*key), '{:.0%}')}",
                                 cell(results.ratio(work, ceiling, clients, name)) if ceiling else "–", get("p50"), get("p99"),
                                 get("p999"), get("cpu_server", "{:.0f}"), get("cpu_postgres", "{:.0f}")))
        out += table(["who", "clients", "a second", f"× {ceiling or '–'}", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs, server",
                      "CPU µs, PostgreSQL"], rows) + reasons + ([""] if reasons else [])
    for title, rows in results.tables.items():
        head = list(dict.fromkeys(name for row in rows for name in row))
        out += [f"## {title}", ""] + table(head, [[plain(row.get(name)) for name in head] for row in rows])
    if results.notes:
        out += ["## Notes", ""] + [f"- {note}" for note in results.notes] + [""]
    return "\n".join(out)


def plain(value):
    return "–" if value is None else f"{value:.2f}" if isinstance(value, float) else value
