"""What may be chosen, from the environment (`make bench` fills it), and where things lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from .words import Refused

HOME = Path(__file__).resolve().parents[1]
ROOT = HOME.parent
CACHE = Path(os.environ.get("SEPTEM_CACHE") or Path.home() / ".cache/septem-data")
STACK = Path(os.environ.get("BENCH_STACK") or ROOT / ".stack")

# Peers listen here, one at a time.
PEER_PORT = int(os.environ.get("BENCH_PORT") or 17480)
CLIENTS = (64, 8)


@dataclass(frozen=True)
class Settings:
    rounds: int
    seconds: int
    only: tuple  # words; a part of the benchmark runs when one of them is in its name
    keep: bool
    trial: bool
    check: bool  # compare the answers, and put no load on anything
    tenants: int
    contacts: int

    def wants(self, name):
        """Whether ONLY asks for what is called so, such as `get`, `get/go-pgx`, `growth/shapes`."""
        return not self.only or any(word in name for word in self.only)


def number(name, default, least):
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or int(text) < least:
        raise Refused(f"{name} is {text!r} and has to be a number from {least} on.")
    return int(text)


def read_settings():
    rounds, check = number("BENCH_ROUNDS", 3, 1), bool(os.environ.get("BENCH_CHECK"))
    trial = check or bool(os.environ.get("BENCH_TRIAL"))
    if rounds < 3 and not trial:
        raise Refused("ROUNDS below 3 gives no median worth printing: add TRIAL=1 if this is a trial.")
    return Settings(
        rounds=rounds,
        seconds=number("BENCH_SECONDS", 10, 1),
        only=tuple(filter(None, (os.environ.get("BENCH_ONLY") or "").replace(",", " ").split())),
        keep=bool(os.environ.get("BENCH_KEEP")),
        trial=trial,
        check=check,
        tenants=number("BENCH_TENANTS", 100, 2),
        contacts=number("BENCH_CONTACTS", 200_000, 1000),
    )
