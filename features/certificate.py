"""The certificate as a value: what was cut, what was compared, what was hunted, and what was found.

Equal inputs give an equal certificate and so an equal digest: it holds no clock, no address and nobody's values.
"""

import hashlib
import io
from datetime import datetime

import msgspec
from rich.console import Console, Group
from rich.table import Table

from features.errors import BadData

__all__ = ["Accusation", "Certificate", "Cut", "Hunt", "Mismatch", "Seal"]

SHOWN = 20
WIDTH = 130


class Cut(msgspec.Struct, frozen=True):
    """One moment: how many customers were compared, and per source the rows copied and those left behind."""

    as_of: datetime
    customers: int
    kept: dict[str, int]
    removed: dict[str, int]


class Mismatch(msgspec.Struct, frozen=True):
    """An answer that differs once the rows not known at `as_of` are gone, for so many customers."""

    answer: str
    as_of: datetime
    customers: int


class Accusation(msgspec.Struct, frozen=True):
    """A column of a table (or all of them, `*`) that knows more than its moment, and the evidence."""

    table: str
    column: str
    reason: str


class Hunt(msgspec.Struct, frozen=True):
    """One test, over how many columns, and whom it accuses."""

    name: str
    columns: int
    accused: list[Accusation] = []


class Seal(msgspec.Struct, frozen=True):
    """What a card says of its certificate: the digest that finds it, the verdict, and the finding in words."""

    digest: str
    clean: bool
    finding: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """`warehouse` is the load's digest (empty where the tables are no load), `features` maps names to
    fingerprints; `customers` of `of_customers` were compared, drawn with `seed` where they are fewer."""

    warehouse: str
    customers: int
    of_customers: int
    seed: int
    features: dict[str, str]
    cohorts: list[str]
    cuts: list[Cut]
    mismatches: list[Mismatch]
    hunts: list[Hunt]

    @property
    def accused(self) -> list[Accusation]:
        return [accusation for hunt in self.hunts for accusation in hunt.accused]

    @property
    def clean(self) -> bool:
        return not self.mismatches and not self.accused

    @property
    def digest(self) -> str:
        """SHA-256 over everything the certificate says."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    @property
    def leaks(self) -> list[str]:
        """The names of what leaks: answers that differ, columns accused."""
        named = [f"{a.table}.{a.column}" if a.table else a.column for a in self.accused]
        return sorted({m.answer for m in self.mismatches} | set(named))

    @property
    def finding(self) -> str:
        """The verdict as one sentence."""
        if self.clean:
            removed = sum(sum(cut.removed.values()) for cut in self.cuts)
            return (
                f"no leak: {len(self.features)} features, {self._dates}, {self.customers:,} customers; "
                f"{removed:,} rows not known then taken away, 0 values changed"
            )
        more = f" and {len(self.leaks) - 5} more" if len(self.leaks) > 5 else ""
        return f"LEAK: {', '.join(self.leaks[:5])}{more}"

    @property
    def seal(self) -> Seal:
        return Seal(self.digest, self.clean, self.finding)

    @property
    def _dates(self) -> str:
        return f"{len(self.cuts)} date{'s' if len(self.cuts) != 1 else ''}"

    def to_json(self) -> bytes:
        """The certificate under its digest, as it is kept beside a model."""
        text = msgspec.json.encode(
            {"digest": self.digest, "clean": self.clean, "certificate": self}, order="sorted"
        )
        return msgspec.json.format(text, indent=1)

    @classmethod
    def from_json(cls, text: bytes) -> "Certificate":
        """Read one back. Raises `BadData` when it does not have the digest it claims."""
        try:
            read = msgspec.json.decode(text, type=_Kept)
        except msgspec.DecodeError as error:
            raise BadData(f"this is no leak certificate: {error}") from error
        if read.digest != read.certificate.digest:
            raise BadData(
                "the certificate does not have the SHA-256 it states: it was altered; certify again"
            )
        return read.certificate

    def __rich__(self) -> Group:
        """The page one shows to a sponsor."""
        parts = [self._cut_table(), self._hunt_table()] if self.hunts else [self._cut_table()]
        found = self._finding_table()
        drawn = (
            ""
            if self.customers == self.of_customers
            else f" of {self.of_customers:,}, drawn with seed {self.seed}"
        )
        lines = [
            f"customers    {self.customers:,}{drawn}",
            f"features     {len(self.features)}, cohorts {len(self.cohorts)}; fingerprints {self._fingerprints}",
            f"warehouse    {self.warehouse or 'not a load: no digest'}",
            f"certificate  {self.digest}",
            f"verdict      {self.finding}",
        ]
        return Group(*parts, *([found] if found.row_count else []), "", "\n".join(lines))

    def __str__(self) -> str:
        page = io.StringIO()
        Console(width=WIDTH, file=page).print(self, highlight=False)
        return page.getvalue()

    @property
    def _fingerprints(self) -> str:
        listed = "\n".join(f"{name} {mark}" for name, mark in sorted(self.features.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:12]

    def _cut_table(self) -> Table:
        table = Table(
            "moment", title="Everything computed twice: from all rows, and from those known at the moment"
        )
        for title in ("customers", "rows known", "rows taken away", "answers compared", "different"):
            table.add_column(title, justify="right")
        for cut in self.cuts:
            different = sum(m.customers for m in self.mismatches if m.as_of == cut.as_of)
            compared = cut.customers * (len(self.features) + len(self.cohorts))
            counts = (cut.customers, sum(cut.kept.values()), sum(cut.removed.values()), compared, different)
            table.add_row(f"{cut.as_of:%Y-%m-%d}", *(f"{count:,}" for count in counts))
        return table

    def _hunt_table(self) -> Table:
        table = Table("hunt", title="Leak columns hunted")
        table.add_column("columns", justify="right")
        table.add_column("accused", justify="right")
        for hunt in self.hunts:
            table.add_row(hunt.name, f"{hunt.columns:,}", f"{len(hunt.accused):,}")
        return table

    def _finding_table(self) -> Table:
        table = Table("leak", "why", title="Leaks found")
        for m in self.mismatches[:SHOWN]:
            why = f"differs for {m.customers:,} customers at {m.as_of:%Y-%m-%d} once rows not yet known are gone"
            table.add_row(m.answer, why)
        for a in self.accused[:SHOWN]:
            table.add_row(f"{a.table}.{a.column}" if a.table else a.column, a.reason)
        rest = max(len(self.mismatches) - SHOWN, 0) + max(len(self.accused) - SHOWN, 0)
        if rest:
            table.add_row(f"and {rest:,} more", "all of them are in the JSON")
        return table


class _Kept(msgspec.Struct):
    digest: str
    clean: bool
    certificate: Certificate
