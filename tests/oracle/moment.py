"""A world of plain rows, and what was known of a customer at a date."""

from datetime import datetime
from typing import Any

from features.sources import CANONICAL

Row = dict[str, Any]
World = dict[str, list[Row]]
Index = dict[tuple[str, str], dict[str, list[Row]]]

DAY_S = 86_400
EPOCH = datetime(1970, 1, 1)


def index(world: World) -> Index:
    """Rows by whose they are; referrals also by who was invited."""
    found: Index = {}
    for source, rows in world.items():
        for owner in ("customer_id", "invitee_id") if source == "referrals" else ("customer_id",):
            of = found.setdefault((source, owner), {})
            for row in rows:
                of.setdefault(row[owner], []).append(row)
    return found


class Moment:
    """A customer at a date, and the rows known of them before it, oldest first."""

    def __init__(self, customer_id: str, as_of: datetime, rows: Index) -> None:
        self.customer_id, self.as_of, self.index = customer_id, as_of, rows
        self.seen: dict[tuple[str, str], list[Row]] = {}

    def all(self, source: str, owner: str = "customer_id") -> list[Row]:
        if (source, owner) not in self.seen:
            key = CANONICAL[source].key
            known = [
                row
                for row in self.index.get((source, owner), {}).get(self.customer_id, [])
                if row["happened_at"] < self.as_of
                and row["known_at"] < self.as_of
                and not (row["superseded_at"] and row["superseded_at"] < self.as_of)
            ]
            known.sort(key=lambda row: (row["happened_at"], row["known_at"], row[key]))
            self.seen[source, owner] = known
        return self.seen[source, owner]

    def rows(self, source: str, **equal: Any) -> list[Row]:
        kept = []
        for row in self.all(source):
            for column, wanted in equal.items():
                allowed = wanted if isinstance(wanted, tuple) else (wanted,)
                if row[column] not in allowed:
                    break
            else:
                kept.append(row)
        return kept

    def deeds(self, **equal: Any) -> list[Row]:
        return self.rows("touchpoints", initiated_by="customer", **equal)

    def age_s(self, row: Row) -> int:
        return int((self.as_of - row["happened_at"]).total_seconds())

    def recent(self, rows: list[Row], days: int | None) -> list[Row]:
        return rows if days is None else [row for row in rows if self.age_s(row) <= days * DAY_S]

    def held(self) -> list[Row]:
        newest: dict[str, Row] = {}
        for row in self.all("vehicles"):
            newest[row["vehicle_id"]] = row
        return [row for row in newest.values() if row["kind"] == "delivery"]


def day_of(instant: datetime) -> int:
    return (instant - EPOCH).days
