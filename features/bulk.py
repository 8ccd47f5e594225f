"""Feature rows of many moments, the fastest way that the warehouse allows, in the order of customers and time.

    for batch in rows_of(moments, warehouse, features): ...

Where the warehouse is a folder whose files lie in the order of customers, as the loader leaves them, a piece of
neighbouring customers is read at a time and measured over arrays (see `features.prepared`), on as many threads as the
engine has: memory holds one piece per thread. Elsewhere the planner's query is run. The rows are the same to the bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from features import timeline
from features.cohorts import Cohort, excluded_column
from features.errors import UnknownOperation
from features.feature import Feature
from features.feature_set import at, available
from features.ids import after, before
from features.past import Columns
from features.planner import compute
from features.prepared import Prepared
from features.reach import Group
from features.sorted_files import Held, SortedFiles
from features.sources import CANONICAL
from features.timeline import MOMENTS
from features.warehouse import Warehouse

__all__ = ["in_order", "over_arrays", "rows_of", "table_of"]

# So many rows of the largest source, or moments, fit into the processor's caches with what is made of them.
ROWS_PER_PIECE = 100_000
MOMENTS_PER_PIECE = 20_000


def rows_of(
    moments: ir.Table,
    warehouse: Warehouse,
    features: Sequence[Feature] | None = None,
    cohorts: Sequence[Cohort] = (),
) -> Iterator[pa.RecordBatch]:
    """One row per moment (customer_id, as_of; each once) with a column per feature, what was known strictly before it,
    and per cohort the reason for no; ordered by customer and moment."""
    chosen = available(warehouse) if features is None else features
    found = over_arrays(moments, warehouse, chosen, cohorts)
    if found is not None:
        return found
    asked = _answered(moments, warehouse, chosen, cohorts).order_by("customer_id", "as_of")
    schema = asked.schema().to_pyarrow()  # an engine may widen sums
    return (batch.cast(schema) for batch in warehouse.engine.to_pyarrow_batches(asked))


def in_order(warehouse: Warehouse, features: Sequence[Feature], cohorts: Sequence[Cohort] = ()) -> bool:
    """Whether these rows can be had over arrays."""
    return _Arrays.over(warehouse, tuple(features), tuple(cohorts)) is not None


def over_arrays(
    moments: ir.Table, warehouse: Warehouse, features: Sequence[Feature], cohorts: Sequence[Cohort] = ()
) -> Iterator[pa.RecordBatch] | None:
    """The same, or None where it cannot be had over arrays."""
    arrays = _Arrays.over(warehouse, tuple(features), tuple(cohorts))
    if arrays is None:
        return None
    ordered = moments.select("customer_id", "as_of").order_by("customer_id", "as_of")
    people = warehouse.engine.to_pyarrow(ordered).cast(MOMENTS)
    tables = _in_turn(arrays.rows, arrays.pieces(people), _threads(warehouse))
    return (batch for table in tables for batch in table.to_batches())


def table_of(moments: ir.Table, warehouse: Warehouse, features: Sequence[Feature]) -> pa.Table:
    """The same rows as one table."""
    found = list(rows_of(moments, warehouse, features))
    return (
        pa.Table.from_batches(found)
        if found
        else warehouse.engine.to_pyarrow(at(moments, warehouse, features))
    )


def _answered(
    moments: ir.Table, warehouse: Warehouse, features: Sequence[Feature], cohorts: Sequence[Cohort]
) -> ir.Table:
    """The same as a query for the engine, in no order."""
    definitions = {feature.name: feature.definition for feature in features}
    checks = {name: check for cohort in cohorts for name, check in cohort.checks.items()}
    computed = compute(moments, definitions | checks, warehouse.tables, timeline.past)
    excluded = {excluded_column(cohort.name): cohort.excluded(computed) for cohort in cohorts}
    return computed.select("customer_id", "as_of", *definitions, **excluded)


class _Arrays:
    """Definitions prepared, and the files they read."""

    def __init__(self, prepared: Prepared, files: dict[str, SortedFiles]) -> None:
        self.prepared, self.files = prepared, files
        self.held = {
            group: Held.of(files[group.source], {*group.columns, "superseded_at", group.owner}, group.owner)
            for group in prepared.groups
            if group.owner != "customer_id"
        }

    @classmethod
    def over(
        cls, warehouse: Warehouse, features: tuple[Feature, ...], cohorts: tuple[Cohort, ...]
    ) -> "_Arrays | None":
        """None where something is not a table of files in order, or cannot be computed over arrays."""
        try:
            prepared = _prepared(features, cohorts)
        except UnknownOperation:
            return None
        files: dict[str, SortedFiles] = {}
        for name in {group.source for group in prepared.groups}:
            held = warehouse.files.get(name)
            if held is None or held.table is not warehouse.tables[name]:
                return None
            found = _sorted_files(name, tuple((path, path.stat().st_mtime_ns) for path in held.paths))
            if found is None:
                return None
            files[name] = found
        return cls(prepared, files)

    def pieces(self, moments: pa.Table) -> Iterator[pa.Table]:
        """The moments of neighbouring customers, cut where a row group of the largest source ends."""
        if not len(moments):
            return iter([moments])
        return _cut(moments, sorted({after(moments["customer_id"], end) for end in self._ends()}))

    def _ends(self) -> Iterator[str]:
        """Customers after whom to cut."""
        largest = max(self.files.values(), key=lambda files: files.rows, default=None)
        rows = 0
        for group in largest.groups if largest else ():
            rows += group.rows
            if rows >= ROWS_PER_PIECE:
                rows = 0
                yield group.last

    def rows(self, moments: pa.Table) -> pa.Table:
        if not len(moments):
            return self.prepared.schema.empty_table()
        first, last = (moments["customer_id"][place].as_py() for place in (0, -1))

        def rows_of(group: Group) -> Columns:
            return (self.held.get(group) or self.files[group.source]).between(first, last)

        return self.prepared.rows(moments, rows_of)


def _cut(moments: pa.Table, cuts: Iterable[int]) -> Iterator[pa.Table]:
    """The moments between the cuts, and not too many at once, but all those of one customer."""
    ids, at = moments["customer_id"], 0
    for cut in [*cuts, len(moments)]:
        while at < cut:
            end = min(cut, at + MOMENTS_PER_PIECE)
            if end < cut:
                whose = ids[end].as_py()
                first = before(ids, whose, at, end)
                end = first if first > at else after(ids, whose, end, cut)
            yield moments.slice(at, end - at)
            at = end


@lru_cache(maxsize=8)
def _prepared(features: tuple[Feature, ...], cohorts: tuple[Cohort, ...]) -> Prepared:
    return Prepared(features, cohorts)


@lru_cache(maxsize=64)
def _sorted_files(source: str, paths: tuple[tuple[Path, int], ...]) -> SortedFiles | None:
    """The order of files is looked at once, unless they are written anew."""
    return SortedFiles.of([path for path, _ in paths], CANONICAL[source])


def _threads(warehouse: Warehouse) -> int:
    return int(warehouse.engine.raw_sql("SELECT current_setting('threads')").fetchone()[0])


def _in_turn(
    work: Callable[[pa.Table], pa.Table], items: Iterable[pa.Table], threads: int
) -> Iterator[pa.Table]:
    """The work's results in the order of the items; at most one more than there are threads waits to be taken."""
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
