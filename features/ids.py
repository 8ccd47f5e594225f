"""Places in a column of ids that lie in order, found by halves: nothing is made of the column, however long it is."""

from bisect import bisect_left, bisect_right

import pyarrow as pa

__all__ = ["after", "before"]


def before(
    ids: "pa.StringArray | pa.ChunkedArray", customer_id: str, begin: int = 0, end: int | None = None
) -> int:
    """The place of the first id, between `begin` and `end`, that is this one or comes later."""
    whole, end = range(len(ids)), len(ids) if end is None else end
    return bisect_left(whole, customer_id, begin, end, key=lambda place: ids[place].as_py())


def after(
    ids: "pa.StringArray | pa.ChunkedArray", customer_id: str, begin: int = 0, end: int | None = None
) -> int:
    """The place of the first id, between `begin` and `end`, that comes later than this one."""
    whole, end = range(len(ids)), len(ids) if end is None else end
    return bisect_right(whole, customer_id, begin, end, key=lambda place: ids[place].as_py())
