"""Parts of a table: each customer whole in one of them, in order over all, and a hash that knows only content."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from features.parts import write_parts

SCHEMA = pa.schema(
    [("customer_id", pa.string()), ("n", pa.int64()), ("at", pa.timestamp("us")), ("yes", pa.bool_())]
)
ROWS = st.lists(
    st.tuples(
        st.text(alphabet="ab\0é", max_size=2),
        st.none() | st.integers(-9, 9),
        st.none() | st.integers(0, 9),
        st.none() | st.booleans(),
    ),
    max_size=30,
)


def table_of(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)


def written(folder: Path, rows: list[tuple[object, ...]], per_block: int, per_part: int) -> str:
    return write_parts(table_of(rows).to_batches(max_chunksize=per_block), SCHEMA, folder, per_part)


@settings(max_examples=25)
@given(ROWS, st.integers(1, 7), st.integers(1, 20))
def test_a_customer_is_whole_in_one_part_and_nothing_is_lost(
    tmp_path_factory: object, rows: list[tuple[object, ...]], per_block: int, per_part: int
) -> None:
    ordered = sorted(rows, key=lambda row: str(row[0]))
    folder = tmp_path_factory.mktemp("parts") / "orders"  # type: ignore[attr-defined]
    content = written(folder, ordered, per_block, per_part)
    parts = [pq.read_table(file) for file in sorted(folder.glob("part-*.parquet"))]
    assert pa.concat_tables(parts).equals(table_of(ordered))
    seen = [set(part["customer_id"].to_pylist()) for part in parts]
    assert sum(map(len, seen)) == len({row[0] for row in rows})
    sizes = [len(part) for part in parts]
    largest = max((sum(row[0] == who for row in rows) for who in {row[0] for row in rows}), default=0)
    assert max(sizes) <= per_part + per_block + largest
    assert all(size >= per_part for size in sizes[:-1])
    assert written(folder.with_name("again"), ordered, 30, 100) == content


@settings(max_examples=25)
@given(ROWS, ROWS)
def test_other_content_has_another_hash(
    tmp_path_factory: object, one: list[tuple[object, ...]], two: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("parts")  # type: ignore[attr-defined]
    same = written(folder / "one", one, 3, 100) == written(folder / "two", two, 5, 100)
    assert same == (one == two)
