"""One part of the customers through all models at once: feature rows in; scores, reasons and counts out, as tables.

A row that cannot be believed (an infinite number, an id that is none) is rejected with its field and rule, before any
model sees it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.decisions import Decisions
from features.reasons import MOST_REASONS, Strongest
from serving.desk.segments import Grouped, grouped
from serving.forecast import PARTIAL, among, partial_sums
from serving.moves import Moves, Then, moves
from serving.runs.schema import LONG, MOVED, REASON, REJECTED, SEGMENTS, STAGED, concepts
from serving.scorer import Scored, Scorer

__all__ = ["Part", "believed", "score_part"]

ROWS_AT_A_TIME = 6_000
LONGEST_ID = 64
THOUSANDTHS = 1000.0
MOVES = ("since", "previous_probability", "previous_grade", "moved")


@dataclass(frozen=True)
class Part:
    """What came of a part: tables in the order of customers, per task how many were scored or why not, and how many rows held
    a word its model has not learned, by column. `forecast` holds sums to be added up over the parts."""

    long: pa.Table
    concepts: pa.Table
    segments: pa.Table
    forecast: pa.Table
    rejected: pa.Table
    counts: dict[str, dict[str, int]]
    unseen: dict[str, dict[str, int]]


def believed(
    rows: pa.Table, names: Sequence[str], first_row: int, last_id: str | None
) -> tuple[pa.Table, pa.Table]:
    """The rows that can be scored, and the others as the table of those rejected, one line each. `names` are the columns models
    read; `first_row` is where in the whole file these begin, `last_id` the customer before them."""
    ids = rows["customer_id"].combine_chunks()
    before = pa.concat_arrays([pa.array([last_id], pa.string()), ids.slice(0, max(len(ids) - 1, 0))])[
        : len(ids)
    ]
    length = pc.utf8_length(ids)
    rules = [
        ("customer_id", "is empty", pc.fill_null(pc.equal(length, 0), True)),
        ("customer_id", f"is longer than {LONGEST_ID} characters", pc.greater(length, LONGEST_ID)),
        ("customer_id", "is there twice", pc.equal(ids, before)),
    ]
    for name in names:
        if pa.types.is_floating(rows.schema.field(name).type):
            column = rows[name].combine_chunks()
            rules.append((name, "is not a finite number", pc.invert(pc.is_finite(column))))
    wrong = np.zeros(len(rows), dtype=bool)
    found = []
    for field, rule, broken in rules:
        new = np.asarray(pc.fill_null(broken, False).to_numpy(zero_copy_only=False), dtype=bool) & ~wrong
        wrong |= new
        found += [(int(place), field, rule) for place in np.flatnonzero(new)]
    lines = [
        {"customer_id": ids[place].as_py(), "row": first_row + place, "field": field, "rule": rule}
        for place, field, rule in sorted(found)
    ]
    return rows.filter(pa.array(~wrong)) if wrong.any() else rows, pa.Table.from_pylist(lines, REJECTED)


def score_part(
    scorers: Sequence[Scorer],
    rows: pa.Table,
    rejected: pa.Table,
    as_of: datetime,
    expires_at: datetime,
    then: Then | None = None,
) -> Part:
    """Every task's scores of rows that can be believed, sorted by customer and task; and why they moved from what their rows
    were `then`."""
    job = _Job(rows, grouped(rows), _concepts_of(scorers), as_of, expires_at, then)
    counts, asked = {}, []
    for scorer in scorers:
        # Asked once: who takes something back meanwhile is minded when the run is published.
        held = scorer.refusals(rows)
        counts[scorer.task] = _counted(held, len(rejected))
        places = np.flatnonzero(held.is_null().to_numpy())
        asked += [(scorer, places[n : n + ROWS_AT_A_TIME]) for n in range(0, len(places), ROWS_AT_A_TIME)]
    blocks = [job.block(*one) for one in asked]
    strange: dict[str, Counter[str]] = {scorer.task: Counter() for scorer in scorers}
    for (scorer, _), block in zip(asked, blocks, strict=True):
        strange[scorer.task].update(block.unseen)
    unseen = {task: dict(found) for task, found in strange.items()}
    promises = pa.concat_tables([PARTIAL.empty_table(), *(block.forecast for block in blocks)])
    if not blocks:
        nobody, nothing = STAGED.empty_table(), concepts(job.names).empty_table()
        return Part(nobody, nothing, SEGMENTS.empty_table(), promises, rejected, counts, unseen)
    # Tasks come one after the other; a stable sort by customer leaves their order within each.
    who = np.concatenate([places for _, places in asked])
    order = pa.array(np.argsort(who, kind="stable"))
    scores, sums = (pa.concat_tables(some).take(order) for some in zip(*((one.long, one.concepts) for one in blocks), strict=True))  # fmt: skip
    segments = _segments(rows, job.groups, np.unique(who))
    return Part(scores, sums, segments, promises, rejected, counts, unseen)


@dataclass(frozen=True)
class _Block:
    """What came of a few rows asked about by one model."""

    long: pa.Table
    concepts: pa.Table
    forecast: pa.Table
    unseen: dict[str, int]


@dataclass(frozen=True)
class _Job:
    """What is the same for all blocks of a part; `names` are the concepts of all models."""

    rows: pa.Table
    groups: Mapping[str, Grouped]
    names: Sequence[str]
    as_of: datetime
    expires_at: datetime
    then: Then | None

    def block(self, scorer: Scorer, places: np.ndarray) -> _Block:
        """Those rows, all of which may be scored."""
        rows = self.rows.select(["customer_id", *scorer.card.features]).take(pa.array(places))
        scored = scorer.answer(rows, explained=True)
        parts = scorer.parts_of(scored)
        sums = scorer.explainer.by_concept(parts)
        ids = rows["customer_id"].combine_chunks()
        strongest = scorer.explainer.speaking(scored.rows, parts, sums, MOST_REASONS)
        moved = moves(scorer, ids, scored, parts, sums, self.then) if self.then else None
        return _Block(
            _long(scorer, ids, scored, strongest, moved, self.as_of, self.expires_at),
            _concepts(scorer, ids, sums, self.names),
            partial_sums(scorer, scored, among(self.groups, places)),
            scored.unseen,
        )


def _concepts_of(scorers: Sequence[Scorer]) -> list[str]:
    return sorted({concept for scorer in scorers for concept in scorer.explainer.concepts})


def _segments(rows: pa.Table, groups: Mapping[str, Grouped], scored: np.ndarray) -> pa.Table:
    """The segments of those with a score; null where a deployment does not tell one."""
    ids = rows["customer_id"].combine_chunks().take(pa.array(scored))
    columns = [ids]
    for name in SEGMENTS.names[1:]:
        codes = groups[name].codes[scored] if name in groups else np.full(len(scored), -1)
        words = groups[name].words if name in groups else ()
        columns.append(pa.array(words, pa.string()).take(pa.array(codes, pa.int64(), mask=codes < 0)))
    return pa.table(columns, schema=SEGMENTS)


def _counted(held: pa.ChunkedArray, rejected: int) -> dict[str, int]:
    found = pc.value_counts(held.combine_chunks())
    reasons = {entry["values"]: entry["counts"] for entry in found.to_pylist()}
    return {"scored": reasons.pop(None, 0), "rejected": rejected, **reasons}


def _long(
    scorer: Scorer,
    ids: pa.Array,
    scored: Scored,
    found: Strongest,
    moved: Moves | None,
    as_of: datetime,
    expires_at: datetime,
) -> pa.Table:
    size, card = len(ids), scorer.card
    given = {
        "customer_id": ids,
        "task": _repeated(scorer.task, size),
        "as_of": pa.repeat(pa.scalar(as_of, pa.timestamp("us")), size),
        "expires_at": pa.repeat(pa.scalar(expires_at, pa.timestamp("us")), size),
        "horizon_days": pa.repeat(pa.scalar(card.horizon_days, pa.int32()), size),
        "probability": pa.array(scored.probabilities),
        "grade": pa.array(scored.grades),
        "outlook": _outlook(scorer, scored.outlook),
        "reasons": _reasons(scorer, found, size),
        "model_version": _repeated(scorer.version, size),
        "decided": _decided(scorer, ids),
        **(
            _moves(scorer, moved, size)
            if moved
            else {name: pa.nulls(size, STAGED.field(name).type) for name in MOVES}
        ),
    }
    return pa.table([given[field.name] for field in STAGED], schema=STAGED)


def _decided(scorer: Scorer, ids: pa.Array) -> pa.Array:
    """What people decided about each score; null where nothing stands."""
    told = Decisions.here().of(ids.to_pylist(), scorer.task)
    said = [told[one].decision if one in told else None for one in ids.to_pylist()] if told else None
    return pa.nulls(len(ids), pa.string()) if said is None else pa.array(said, pa.string())


def _outlook(scorer: Scorer, outlook: np.ndarray) -> pa.Array:
    size, many = len(outlook), len(scorer.asked)
    kind = LONG.field("outlook").type.value_type
    columns = [
        pa.array([kind for kind, _ in scorer.asked] * size, pa.string()),
        pa.array(np.tile(np.array([days for _, days in scorer.asked], dtype=np.int32), size)),
        pa.array(np.ascontiguousarray(outlook.transpose(0, 2, 1)).reshape(-1)),
    ]
    chances = pa.StructArray.from_arrays(columns, fields=list(kind))
    return pa.ListArray.from_arrays(pa.array(np.arange(size + 1, dtype=np.int32) * many), chances)


def _reasons(scorer: Scorer, found: Strongest, size: int) -> pa.Array:
    explainer, said = scorer.explainer, scorer.explainer.words(found)
    columns = [
        _named(found.concept, explainer.concepts),
        _named((found.contribution > 0).astype(np.int64), ["lowers", "raises"]),
        pa.array(found.contribution),
        _named(found.feature, [feature.name for feature in explainer.features]),
        _values(scorer, found.feature, found.value),
        _named(said.place, said.en),
        _named(said.place, said.zh),
    ]
    return _listed(found.row, pa.StructArray.from_arrays(columns, fields=list(REASON)), size)


def _moves(scorer: Scorer, found: Moves, size: int) -> dict[str, pa.Array]:
    """When, what was said then, and what moved since; null for those who were not scored then."""
    explainer, told, said = scorer.explainer, found.told, scorer.explainer.moves(found.told, found.before)
    nobody = np.isnan(found.probabilities)
    columns = [
        _named(told.concept, explainer.concepts),
        pa.array(told.contribution),
        _named(told.feature, [feature.name for feature in explainer.features]),
        _values(scorer, told.feature, told.value),
        _values(scorer, told.feature, found.before),
        _named(said.place, said.en),
        _named(said.place, said.zh),
    ]
    moved = _listed(told.row, pa.StructArray.from_arrays(columns, fields=list(MOVED)), size, pa.array(nobody))
    since = np.full(size, np.datetime64(found.since, "us"))
    return {
        "since": pa.array(since, mask=nobody),
        "previous_probability": pa.array(found.probabilities, mask=nobody),
        "previous_grade": pa.array(found.grades, pa.string()),
        "moved": moved,
    }


def _values(scorer: Scorer, feature: np.ndarray, values: np.ndarray) -> pa.Array:
    """What features hold; null for nothing, and for words."""
    explainer = scorer.explainer
    category = np.array([one.name in explainer.levels for one in explainer.features])
    return pa.array(values, mask=np.isnan(values) | category[feature])


def _listed(row: np.ndarray, structs: pa.StructArray, size: int, nothing: pa.Array | None = None) -> pa.Array:
    """A list per row of what is told of it, `row` by row; null where `nothing` is true."""
    ends = np.searchsorted(row, np.arange(size + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), structs, mask=nothing)


def _concepts(scorer: Scorer, ids: pa.Array, sums: np.ndarray, names: Sequence[str]) -> pa.Table:
    places = {concept: place for place, concept in enumerate(scorer.explainer.concepts)}
    limit = np.iinfo(np.int16).max
    numbers = np.rint(sums * THOUSANDTHS).clip(-limit, limit).astype(np.int16)
    columns = [
        pa.array(numbers[:, places[name]]) if name in places else pa.nulls(len(ids), pa.int16())
        for name in names
    ]
    return pa.table([ids, _repeated(scorer.task, len(ids)), *columns], schema=concepts(names))


def _named(places: np.ndarray, names: Sequence[str]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(places))


def _repeated(text: str, size: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), size)
