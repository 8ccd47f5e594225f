"""All features there are, and the table of their values for any moments."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal

import ibis.expr.types as ir
from rich.console import Console
from rich.table import Table

from features import timeline
from features.errors import UnknownName
from features.feature import Feature
from features.planner import compute
from features.views import (
    charges,
    configurator,
    contacts,
    content,
    context,
    lifecycle,
    orders,
    points,
    referrals,
    season,
    test_drives,
    touchpoints,
    vehicles,
    visits,
)
from features.warehouse import Warehouse

__all__ = ["FEATURES", "at", "available", "catalogue", "named"]

VIEWS = (
    orders, touchpoints, content, test_drives, configurator, vehicles, visits, contacts, points, referrals,
    charges, lifecycle, context, season,
)  # fmt: skip

FEATURES: dict[str, Feature] = {
    feature.name: feature for feature in chain.from_iterable(view.FEATURES for view in VIEWS)
}


def available(warehouse: Warehouse, *, categories: bool = True, sensitive: bool = False) -> list[Feature]:
    """The features whose sources this warehouse holds and that read nothing sensitive.

    Without `categories` only numbers; `sensitive` adds those that read a sensitive column, which only a task
    that declares why may use.
    """
    return [
        feature
        for feature in FEATURES.values()
        if warehouse.has(feature.sources)
        and (categories or feature.kind == "number")
        and (sensitive or not feature.sensitive)
    ]


def named(names: Iterable[str]) -> list[Feature]:
    """Features by name, in that order; `UnknownName` says which exist."""
    found = []
    for name in names:
        if name not in FEATURES:
            raise UnknownName("feature", name, FEATURES)
        found.append(FEATURES[name])
    return found


def at(moments: ir.Table, warehouse: Warehouse, features: Sequence[Feature] | None = None) -> ir.Table:
    """One row per moment (customer_id, as_of) with a column per feature: what was known strictly before it.

    An expression on the warehouse's engine; nothing runs until it is asked for.
    """
    chosen = available(warehouse) if features is None else features
    return compute(moments, {f.name: f.definition for f in chosen}, warehouse.tables, timeline.past)


def catalogue(language: Literal["en", "zh"] = "en") -> None:
    """Print every feature: sentence, unit, window and what it is for a customer without rows ("Nothing")."""
    columns = ("feature", "meaning", "unit", "window", "nothing", "concept", "sources", "fingerprint")
    table = Table(*columns, box=None)
    for f in FEATURES.values():
        words = (getattr(f, language), f.unit, f.window_text, f.nothing_text, f.concept)
        table.add_row(f.name, *words, ", ".join(sorted(f.sources)), f.fingerprint)
    Console(width=None if Console().is_terminal else 200).print(table)
