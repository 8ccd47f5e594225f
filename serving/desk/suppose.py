"""What if: the same customer with a fact changed, by the same models, side by side. Nothing of it is a score."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from features.feature_set import FEATURES
from serving.contract.events import Fact, Pair, WhatIfAnswer, WhatIfRequest
from serving.contract.refusals import Refused
from serving.contract.scores import Score
from serving.contract.words import Cautioned
from serving.desk.day import Day
from serving.desk.picked import Picked, Sheet
from serving.desk.scoring import Answered, Seen, read_by
from serving.scorer import Scorer

__all__ = ["answer", "changed", "require_one"]


def require_one(asked: WhatIfRequest) -> None:
    """Raise `Refused` unless either events or features are supposed, and events as of a moment."""
    if (asked.suppose.events is None) == (asked.suppose.features is None):
        raise Refused(422, "suppose either events or features, one of the two", "/suppose")
    if asked.suppose.events is not None and asked.as_of is None:
        raise Refused(422, "supposed events need as_of: the moment that they come before", "/as_of")


def changed(
    row: Picked, features: Mapping[str, float | str | None], champions: Mapping[str, Scorer]
) -> Picked:
    """The row with features set. Raises `Refused` for a feature that no model reads, or a value it cannot have."""
    read = {s.features[place].name: s for s in champions.values() for place in read_by(s).tolist()}
    table = pa.Table.from_batches([row.batch()])
    for name, value in features.items():
        at = f"/suppose/features/{name}"
        if name not in read or not row.has(name):
            raise Refused(422, "no model that serves reads a feature of this name; see /v1/features", at)
        if isinstance(value, str) != (FEATURES[name].kind == "category") and value is not None:
            raise Refused(422, f"this feature is a {FEATURES[name].kind}", at)
        place = table.schema.get_field_index(name)
        kind = pa.string() if FEATURES[name].kind == "category" else pa.float64()
        column = pa.array([value] * len(table), kind)
        table = table.set_column(place, pa.field(name, kind), column)
    return Sheet(table.to_batches()).all() if len(table) else row


def answer(
    customer_id: str,
    as_of: datetime,
    as_is: Picked,
    supposed: Picked,
    scorers: Sequence[Scorer],
    day: Day,
    warnings: list[Cautioned],
) -> WhatIfAnswer:
    """Both rows scored by each model, and the columns that any of them reads and in which the rows differ."""

    def score(scorer: Scorer, row: Picked) -> Score:
        (found,) = Answered.of(Seen.of(scorer, row), day.population(scorer)).answers([customer_id])
        return found

    pairs = []
    for scorer in scorers:
        one, other = score(scorer, as_is), score(scorer, supposed)
        both = one.probability is not None and other.probability is not None
        difference = (other.probability or 0.0) - (one.probability or 0.0) if both else None
        pairs.append(Pair(scorer.task, one, other, difference))
    scored = [s for s, pair in zip(scorers, pairs, strict=True) if pair.as_is.status == "scored"]
    names = dict.fromkeys(s.features[place].name for s in scored for place in read_by(s).tolist())
    differs = [fact for name in names if (fact := _fact(name, as_is, supposed)) is not None]
    models = {scorer.task: scorer.used for scorer in scorers}
    return WhatIfAnswer(True, as_of, models, pairs, differs, warnings)


def _fact(name: str, as_is: Picked, supposed: Picked) -> Fact | None:
    one, other = _value(name, as_is), _value(name, supposed)
    feature = FEATURES[name]
    return None if one == other else Fact(name, feature.en, feature.zh, one, other)


def _value(name: str, row: Picked) -> float | str | None:
    if not len(row):
        return None
    if FEATURES[name].kind == "category":
        return row.words(name)[0]
    number = float(row.numbers(name)[0])
    return None if np.isnan(number) else number
