"""Parquet files whose rows lie in the order of customers, as the loader writes them: those of a few customers at a time.

    files = SortedFiles.of(paths, CANONICAL["orders"])       # None when they are not in order, or not as declared
    files.between("c0001", "c0500")["amount_cents"]          # a column of these customers' rows

Whether they are in order is not believed but read: the column of customers alone, once, which tells as well where each
group of rows begins. Strings come as places in a dictionary, as they lie in the file.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.sources import Source

__all__ = ["Held", "Piece", "SortedFiles"]

OWNER = "customer_id"
MOST_ROWS = 1 << 20  # of a row group: a piece reads whole ones
LATELY = 64  # columns of row groups, a megabyte each at most, and footers of files that are kept at hand


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    strings: Sequence[str]

    def column(self, name: str, group: int) -> pa.ChunkedArray:
        """A column of a row group, by a reader of its own: threads do not share one."""
        strings = [name] if name in self.strings else None
        reader = pq.ParquetFile(self.path, metadata=_footer(self), read_dictionary=strings)
        return reader.read_row_group(group, columns=[name], use_threads=False)[name]


@dataclass(frozen=True)
class _Group:
    """A row group, and the first and last customer in it."""

    file: _File
    number: int
    rows: int
    first: str
    last: str

    def column(self, name: str) -> pa.ChunkedArray:
        return _column(self.file, name, self.number)


@dataclass(frozen=True)
class SortedFiles:
    """The row groups of a source's files, in the order of customers."""

    source: Source
    names: frozenset[str]
    groups: Sequence[_Group]

    @classmethod
    def of(cls, paths: Iterable[Path], source: Source) -> "SortedFiles | None":
        """The files, when their columns are as declared and their rows in the order of customers, in row groups small
        enough to be read one by one; else None."""
        strings = [c.name for c in source.columns if c.type == "string" and c.name != source.key]
        names: frozenset[str] | None = None
        groups: list[_Group] = []
        for path in paths:
            file = _File(path, strings)
            footer = _footer(file)
            schema = footer.schema.to_arrow_schema()
            if names is None:
                names = frozenset(schema.names) & set(source.column_names)
            if any(
                name not in schema.names or schema.field(name).type != source[name].arrow for name in names
            ):
                return None
            for number in range(footer.num_row_groups):
                rows = footer.row_group(number).num_rows
                if rows > MOST_ROWS:
                    return None
                ends = _ends(file.column(OWNER, number))
                if ends is None or (groups and ends[0] < groups[-1].last):
                    return None
                groups.append(_Group(file, number, rows, *ends))
        return cls(source, names or frozenset(), groups)

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)

    def between(self, first: str, last: str) -> "Piece":
        """The rows of the customers from one to another, both included."""
        begin = bisect_left(self.groups, first, key=lambda group: group.last)
        end = bisect_right(self.groups, last, key=lambda group: group.first)
        return Piece(self, first, last, self.groups[begin:end])


class Piece:
    """Rows of neighbouring customers; a column is read when it is first asked for."""

    def __init__(self, files: SortedFiles, first: str, last: str, groups: Sequence[_Group]) -> None:
        self.files, self.groups = files, groups
        owners = [group.column(OWNER) for group in groups]
        self.slices = [_inside(found, first, last) for found in owners]
        self.read = {OWNER: self._joined(owners, pa.string())}

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        if column not in self.read:
            kind = self.files.source[column].arrow
            if column in self.files.names:
                self.read[column] = self._joined([group.column(column) for group in self.groups], kind)
            else:
                self.read[column] = pa.chunked_array([pa.nulls(len(self.read[OWNER]), kind)])
        return self.read[column]

    def _joined(self, found: list[pa.ChunkedArray], kind: pa.DataType) -> pa.ChunkedArray:
        parts = [one.slice(begin, rows) for one, (begin, rows) in zip(found, self.slices, strict=True)]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], None if parts else kind)


class Held:
    """Rows in memory in the order of an owner, where no file is: of those whom customers invited, say."""

    def __init__(self, table: pa.Table, owner: str) -> None:
        self.table = table.filter(pc.field(owner).is_valid()).sort_by(owner).combine_chunks()
        self.owner = owner

    @classmethod
    def of(cls, files: SortedFiles, columns: Iterable[str], owner: str) -> "Held":
        every = (
            Piece(files, files.groups[0].first, files.groups[-1].last, files.groups) if files.groups else None
        )
        empty = files.source.empty()
        return cls(pa.table({name: _plain(every[name]) if every else empty[name] for name in columns}), owner)

    def between(self, first: str, last: str) -> pa.Table:
        every = range(len(self.table))
        begin = bisect_left(every, first, key=self._owner)
        return self.table.slice(begin, bisect_right(every, last, key=self._owner) - begin)

    def _owner(self, row: int) -> str:
        return str(self.table[self.owner][row].as_py())


@lru_cache(maxsize=LATELY)
def _footer(file: _File) -> pq.FileMetaData:
    """What a file says of its row groups; of thousands of files it is not held, that would be a kilobyte for each column of each group."""
    return pq.read_metadata(file.path)


@lru_cache(maxsize=LATELY)
def _column(file: _File, name: str, group: int) -> pa.ChunkedArray:
    """Read once for the piece that ends in a row group and the one that begins there."""
    return file.column(name, group)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _ends(owners: pa.ChunkedArray) -> tuple[str, str] | None:
    """The first and the last customer; None where they are not in order, or not all told."""
    if owners.null_count or not len(owners):
        return None
    words = pa.concat_arrays([_changes(chunk) for chunk in owners.chunks if len(chunk)])
    if not pc.all(pc.less_equal(words[:-1], words[1:])).as_py() and len(words) > 1:
        return None
    return words[0].as_py(), words[-1].as_py()


def _changes(owners: pa.DictionaryArray) -> pa.Array:
    """The customers, once for each run of rows."""
    codes = owners.indices.to_numpy()
    runs = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    return owners.dictionary.take(pa.array(codes[runs]))


def _inside(owners: pa.ChunkedArray, first: str, last: str) -> tuple[int, int]:
    """(begin, rows): which of these rows, in order, are of the customers from one to another."""
    begin = rows = 0
    for chunk in owners.chunks:
        words = chunk.dictionary
        inside = pc.and_(pc.greater_equal(words, first), pc.less_equal(words, last))
        before = np.append(pc.less(words, first).to_numpy(zero_copy_only=False), False)
        codes = chunk.indices.to_numpy()
        begin += int(before[codes].sum())
        rows += int(inside.to_numpy(zero_copy_only=False)[codes].sum())
    return begin, rows
