"""What was measured, round by round, and the medians of it."""

from .stats import middle, spread


class Results:
    def __init__(self, settings, machine, profile):
        self.settings, self.machine, self.profile = settings, machine, profile
        self.versions = {}
        self.figures = {}  # (work, contestant, clients) to samples
        self.failures = {}  # the same to the first reason
        self.tables = {}  # a title to rows of what is no race: open loop, memory, growth
        self.notes = []

    def add(self, work, name, clients, sample):
        self.figures.setdefault((work, name, clients), []).append(sample)

    def fail(self, work, name, clients, reason):
        """One failed round makes the figure a failure: what did not answer well is not averaged away."""
        self.failures.setdefault((work, name, clients), reason)

    def row(self, title, **cells):
        self.tables.setdefault(title, []).append(cells)

    def rates(self, work, name, clients):
        if (work, name, clients) in self.failures:
            return []
        return [s.rate for s in self.figures.get((work, name, clients), [])]

    def middle(self, work, name, clients, field="rate"):
        """The median over the rounds, None where it failed or was not measured."""
        if (work, name, clients) in self.failures:
            return None
        return middle([getattr(s, field) for s in self.figures.get((work, name, clients), [])])

    def spread(self, work, name, clients):
        return spread(self.rates(work, name, clients))

    def ratio(self, work, theirs, clients, name="septem"):
        """How many times as fast a contestant is as another: the median of the rounds' ratios."""
        mine, other = self.rates(work, name, clients), self.rates(work, theirs, clients)
        return middle([a / b for a, b in zip(mine, other)]) if mine and other else None

    def works(self):
        return list(dict.fromkeys(work for work, _, _ in [*self.figures, *self.failures]))

    def names(self, work):
        return list(dict.fromkeys(name for w, name, _ in [*self.figures, *self.failures] if w == work))
