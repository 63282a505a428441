"""Metrics of several processes as those of one."""

from collections.abc import Iterable

from prometheus_client.core import Metric

_LASTING = ("counter", "histogram")


def summed(pages: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Adds up samples of one name and the same labels; of times of creation the first counts."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for page in pages for family in page):
        families.setdefault(family.name, family)
        kept = values.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            if key not in kept:
                kept[key] = sample.value
            elif sample.name.endswith("_created"):
                kept[key] = min(kept[key], sample.value)
            else:
                kept[key] += sample.value
    return [_family(families[name], kept) for name, kept in values.items()]


def lasting(page: Iterable[Metric]) -> list[Metric]:
    """What still counts when its process is gone: what it has counted, not how it stood."""
    return [family for family in page if family.type in _LASTING]


def _family(like: Metric, values: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Metric:
    made = Metric(like.name, like.documentation, like.type, like.unit)
    for (name, labels), value in values.items():
        made.add_sample(name, dict(labels), value)
    return made
