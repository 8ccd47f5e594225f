"""Deliveries: what arrives for a source, read a block at a time, every row under its number in its file.

    orders.csv | orders.parquet | orders/*.parquet ──► Delivery ──► open() ──► blocks of rows, numbered

Nothing is judged here but the form: a file that is cut off, in another encoding or that opens a quote and never
closes it is refused by name. Rows that cannot be split into fields are numbered in `malformed`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import BadData
from features.sources import CANONICAL, Source

__all__ = ["ROW", "Delivery", "Opened", "deliveries_in"]

ROW = "row "  # the column of row numbers; no source can declare a name that ends in a blank
ROWS_PER_BLOCK = 65_536
CSV_BLOCK_BYTES = 32 << 20  # a row must fit into one
NOTHING = ("", r"\N")


@dataclass(frozen=True)
class Delivery:
    """Rows for one source: a table in memory, or a file that is opened when its turn comes.

    The rows of a table are typed, or all text; `first_row` is the number of the first of them where they came from,
    and `malformed` lists the numbers of rows that could not even be split into fields. `encoding` is that of a CSV file.
    """

    source: Source
    file: str
    rows: pa.Table | Path
    first_row: int = 1
    malformed: tuple[int, ...] = ()
    encoding: str = "utf-8"

    def open(self) -> "Opened":
        """Read the head; raises `BadData` for a file that is not what its name says."""
        if isinstance(self.rows, Path):
            return _parquet(self.rows) if self.rows.suffix == ".parquet" else _csv(self.rows, self.encoding)
        blocks = self.rows.to_batches(max_chunksize=ROWS_PER_BLOCK)
        return Opened(
            self.rows.schema, len(self.rows), lambda: iter(blocks), self.first_row, list(self.malformed)
        )


@dataclass(frozen=True)
class Opened:
    """A delivery whose head has been read: its columns, about how many rows, and the way to them."""

    schema: pa.Schema
    rows: int
    read: Callable[[], Iterator[pa.RecordBatch]]
    first_row: int = 1
    malformed: list[int] = field(default_factory=list)

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """The rows with their numbers in the column `ROW`; text is plain text. Fills `malformed` on the way."""
        number = self.first_row
        for block in self.read():
            numbers, number = self._numbers(number, len(block))
            plain = [_plain(column) for column in block.columns]
            yield pa.RecordBatch.from_arrays(
                [*plain, pa.array(numbers, pa.int64())], [*block.schema.names, ROW]
            )

    def _numbers(self, first: int, count: int) -> tuple[Collection[int], int]:
        """Numbers for `count` good rows from `first` on, and the next one; malformed rows keep theirs."""
        bad = {number for number in self.malformed if number >= first}
        if not bad:
            return range(first, first + count), first + count
        numbers: list[int] = []
        while len(numbers) < count:
            if first not in bad:
                numbers.append(first)
            first += 1
        return numbers, first


def deliveries_in(incoming: Path, ignore: Collection[str] = (), encoding: str = "utf-8") -> list[Delivery]:
    """The deliveries in a folder: `orders.csv`, `orders.parquet` or `orders/*.parquet`, one name per source.
    Folders named in `ignore` are passed over. `encoding` is that of the CSV files.

    Raises `BadData` for a file that belongs to no source or cannot be read.
    """
    found = []
    for path in sorted(incoming.rglob("*")):
        if path.suffix not in (".csv", ".parquet") or path.stem == "maturity":
            continue
        if path.relative_to(incoming).parts[0] in ignore:
            continue
        name = path.stem if path.parent == incoming else path.parent.name
        if name not in CANONICAL:
            raise BadData(f"{path} belongs to no source; there are {', '.join(CANONICAL)}")
        found.append(Delivery(CANONICAL[name], str(path), path, encoding=encoding))
        found[-1].open()
    return found


def _parquet(path: Path) -> Opened:
    unreadable = BadData(f"{path} is not a readable Parquet file; deliver it again")
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable from error

    def read() -> Iterator[pa.RecordBatch]:
        try:
            for block in file.iter_batches(ROWS_PER_BLOCK):
                block.validate(full=True)
                yield block
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable from error

    return Opened(file.schema_arrow, file.metadata.num_rows, read)


def _csv(path: Path, encoding: str) -> Opened:
    malformed: list[int] = []

    def note(row: pacsv.InvalidRow) -> str:
        malformed.append(row.number or 0)
        return "skip"

    lines, quotes = _counted(path)
    if quotes % 2:
        raise BadData(f"{path} opens a quote and never closes it; mend it and deliver it again")
    names = _header(path, encoding)
    unreadable = BadData(
        f"{path} is not CSV in {encoding.upper()} with a header line; convert it, or name what it is with "
        "--encoding (gb18030 for instance), and deliver it again"
    )

    def read() -> Iterator[pa.RecordBatch]:
        try:
            yield from pacsv.open_csv(
                path,
                pacsv.ReadOptions(encoding=encoding, block_size=CSV_BLOCK_BYTES, use_threads=False),
                pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=list(NOTHING),
                ),
            )
        except (pa.ArrowInvalid, UnicodeError, LookupError) as error:
            raise unreadable from error

    if not names:
        raise unreadable
    return Opened(pa.schema([(name, pa.string()) for name in names]), lines, read, 2, malformed)


def _header(path: Path, encoding: str) -> list[str]:
    """The names in the first line; none if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
            line = file.readline(CSV_BLOCK_BYTES).rstrip("\r\n")
    except (UnicodeError, LookupError):
        return []
    return (
        [name[1:-1].replace('""', '"') if name[:1] == '"' else name for name in line.split(",")]
        if line
        else []
    )


def _counted(path: Path) -> tuple[int, int]:
    """How many lines and quotes a file has."""
    lines = quotes = 0
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            lines += part.count(b"\n")
            quotes += part.count(b'"')
    return lines, quotes


def _plain(column: pa.Array) -> pa.Array:
    """Text in one form, however a file encodes it."""
    encoded = pa.types.is_dictionary(column.type) or column.type in (pa.string_view(), pa.null())
    return column.cast(pa.string()) if encoded else column
