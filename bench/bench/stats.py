"""Medians and spreads."""

from statistics import median


def middle(values):
    """The median of what there is, None of nothing."""
    values = [v for v in values if v is not None]
    return median(values) if values else None


def spread(values):
    """Half of the distance between the extremes, as a share of the median."""
    values = [v for v in values if v is not None]
    if not values or not median(values):
        return None
    return (max(values) - min(values)) / 2 / median(values)


def percentile(values, share):
    """Of sorted values, the smallest that so many of them do not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else None
