"""How the benchmark speaks: one line for a step, one clear sentence for an end."""

import sys
import time

STARTED = time.monotonic()


class Refused(Exception):
    """What stops the whole benchmark, in words for whoever started it."""


class Unmeasured(Exception):
    """What makes one figure impossible. It is reported in the figure's place; the others go on."""


def say(text):
    print(f"{time.monotonic() - STARTED:5.0f}s  {text}", file=sys.stderr, flush=True)
