"""Which columns features read, and which of them a use may not: the planner reads what needs name, and nothing else."""

from collections.abc import Iterable, Mapping

from features.consent import needed_for
from features.feature import Feature
from features.rows import needs_of
from features.sources import CANONICAL

__all__ = ["columns_read", "undeclared"]


def columns_read(features: Iterable[Feature]) -> list[str]:
    """The columns of sources that features measure or select by, as `source.column`, in order."""
    needs = {need for feature in features for need in needs_of(feature.definition)[1]}
    return sorted({f"{need.source}.{column}" for need in needs for column in need.columns})


def undeclared(features: Iterable[Feature], purpose: str, sensitive: Mapping[str, str]) -> list[str]:
    """The columns among them that a use for `purpose` may not read: of a source collected for something else, or sensitive without a
    stated reason (`sensitive`, by column)."""
    may = needed_for(purpose)
    found = []
    for name in columns_read(features):
        source, column = name.split(".")
        declared = CANONICAL[source]
        if declared.purpose not in may or (declared[column].sensitive and not sensitive.get(name)):
            found.append(name)
    return found
