"""What stands in the files: the canonical columns, both clocks, keys, order, and lives that make sense."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import CANONICAL
from tests.worlds.reading import ask, none
from worlds.carmaker.tables import KINDS
from worlds.carmaker.write import read_world


@pytest.mark.parametrize("name", list(CANONICAL))
def test_every_table_has_exactly_the_declared_columns(clean: Path, name: str) -> None:
    table = pq.read_table(clean / name / "part-00000.parquet")
    assert table.schema.equals(CANONICAL[name].arrow_schema)
    assert table.num_rows > 0


@pytest.mark.parametrize("name", list(CANONICAL))
def test_values_keep_to_the_declaration(messy: Path, name: str) -> None:
    source = CANONICAL[name]
    for column in source.columns:
        table, c = f'"{name}"', f'"{column.name}"'
        if column.required:
            assert none(messy, f"FROM {table} WHERE {c} IS NULL"), column.name
        if column.values:
            words = ", ".join(f"'{word}'" for word in column.values)
            assert none(messy, f"FROM {table} WHERE {c} NOT IN ({words})"), column.name
        if column.minimum is not None:
            assert none(messy, f"FROM {table} WHERE {c} < {column.minimum}"), column.name
        if column.maximum is not None:
            assert none(messy, f"FROM {table} WHERE {c} > {column.maximum}"), column.name
        if column.type == "timestamp":
            assert none(messy, f"FROM {table} WHERE {c} <> date_trunc('second', {c})"), column.name
        if column.references:
            assert none(
                messy,
                f"SELECT {c} FROM {table} WHERE {c} IS NOT NULL EXCEPT SELECT customer_id FROM {column.references}",
            ), column.name


@pytest.mark.parametrize("name", list(CANONICAL))
def test_rows_are_sorted_by_customer_and_superseded_at_is_left_to_the_loader(messy: Path, name: str) -> None:
    table = pq.read_table(messy / name / "part-00000.parquet")
    customers = table["customer_id"].to_pylist()
    assert customers == sorted(customers)
    assert table["superseded_at"].null_count == table.num_rows


@pytest.mark.parametrize("name", list(CANONICAL))
def test_without_mess_keys_are_unique_and_nothing_is_known_before_it_happened(clean: Path, name: str) -> None:
    key = CANONICAL[name].key
    assert none(clean, f'SELECT "{key}" FROM "{name}" GROUP BY ALL HAVING count(*) > 1')
    assert none(clean, f'FROM "{name}" WHERE known_at < happened_at')


@pytest.mark.parametrize("name", list(CANONICAL))
def test_nothing_is_known_after_the_end_of_the_history(messy: Path, name: str) -> None:
    assert none(messy, f"FROM \"{name}\" WHERE known_at >= TIMESTAMP '{read_world(messy).end}'")


@pytest.mark.parametrize("name", [name for name in CANONICAL if name != "customers"])
def test_nobody_does_anything_before_being_known(clean: Path, name: str) -> None:
    born = "SELECT customer_id, min(happened_at) AS born FROM customers GROUP BY ALL"
    assert none(clean, f'FROM "{name}" JOIN ({born}) USING (customer_id) WHERE happened_at < born')


def test_the_whole_event_catalogue_occurs(messy: Path) -> None:
    assert {row[0] for row in ask(messy, "SELECT DISTINCT kind FROM touchpoints")} == set(KINDS)
    for name in ("consents", "vehicles", "orders", "visits", "contacts", "points", "referrals"):
        seen = (
            {row[0] for row in ask(messy, f"SELECT DISTINCT kind FROM {name}")}
            if name != "consents"
            else {"granted", "withdrawn", "refused"}
        )
        declared = CANONICAL[name]["state" if name == "consents" else "kind"].values
        assert seen == set(declared or ()), name


def test_a_delivery_follows_its_order_by_one_to_twelve_weeks(clean: Path) -> None:
    assert none(clean, """
        SELECT order_id FROM orders o
        WHERE kind = 'order' AND NOT EXISTS (FROM orders c WHERE c.cancels = o.order_id)
        AND happened_at < (SELECT max(happened_at) FROM orders) - INTERVAL 90 DAY
        AND NOT EXISTS (FROM vehicles v WHERE v.customer_id = o.customer_id AND v.kind = 'delivery' AND v.price_class = o.price_class
            AND v.happened_at > o.happened_at + INTERVAL 7 DAY AND v.happened_at < o.happened_at + INTERVAL 84 DAY)
    """)  # fmt: skip


def test_every_cancellation_names_an_earlier_order_of_the_same_person(clean: Path) -> None:
    assert none(clean, """
        FROM orders c LEFT JOIN orders o ON o.order_id = c.cancels AND o.kind = 'order' AND o.customer_id = c.customer_id
        WHERE c.kind = 'cancellation' AND (o.happened_at IS NULL OR o.happened_at >= c.happened_at)
    """)  # fmt: skip


def test_every_disposed_car_was_delivered_before_and_only_once(clean: Path) -> None:
    assert none(clean, """
        FROM vehicles d LEFT JOIN vehicles b ON b.vehicle_id = d.vehicle_id AND b.kind = 'delivery'
        WHERE d.kind = 'disposal' AND (b.happened_at IS NULL OR b.happened_at >= d.happened_at)
    """)  # fmt: skip
    assert none(clean, "SELECT vehicle_id, kind FROM vehicles GROUP BY ALL HAVING count(*) > 1")


def test_a_quote_request_comes_before_every_order(clean: Path) -> None:
    assert none(clean, """
        SELECT order_id, max((t.happened_at < o.happened_at AND t.happened_at > o.happened_at - INTERVAL 1 HOUR)::INT) AS asked
        FROM orders o LEFT JOIN touchpoints t ON t.customer_id = o.customer_id AND t.kind = 'quote_request'
        WHERE o.kind = 'order' AND o.happened_at >= (SELECT min(happened_at) + INTERVAL 1 DAY FROM touchpoints)
        GROUP BY order_id HAVING coalesce(asked, 0) = 0
    """)  # fmt: skip


def test_cars_are_served_and_charged_only_while_held(clean: Path) -> None:
    held = """SELECT vehicle_id, min(happened_at) FILTER (kind = 'delivery') AS delivered,
        coalesce(min(happened_at) FILTER (kind = 'disposal'), '2100-01-01'::TIMESTAMP) AS gone FROM vehicles GROUP BY ALL"""
    for name in ("visits", "charges"):
        # A car that is given up for another brand may still be seen in the days after, as the week is the step.
        assert none(clean, f"""
            FROM {name} e LEFT JOIN ({held}) USING (vehicle_id) WHERE happened_at < (SELECT max(happened_at) - INTERVAL 5 DAY FROM visits)
            AND (delivered IS NULL OR happened_at < delivered OR happened_at > gone + INTERVAL 7 DAY)
        """)  # fmt: skip


def test_points_follow_the_published_rules(clean: Path) -> None:
    by_reason = dict(
        ask(
            clean,
            "SELECT reason, list_sort(list(DISTINCT points)) FROM points WHERE kind = 'earned' AND reason <> 'workshop' GROUP BY ALL",
        )
    )
    assert by_reason == {"activity": [50], "good post": [300]}
    (paid,), (given,) = (
        ask(clean, "SELECT sum(amount_cents // 100)::BIGINT FROM visits")[0],
        ask(clean, "SELECT sum(points)::BIGINT FROM points WHERE reason = 'workshop'")[0],
    )
    assert isinstance(paid, int)
    assert isinstance(given, int)
    assert given == pytest.approx(
        paid, rel=0.01
    )  # a visit of the last hours is known, its points are not yet


def test_an_invitation_does_not_say_who_will_come_and_a_registered_guest_is_a_customer_since_then(
    clean: Path,
) -> None:
    assert none(clean, "FROM referrals WHERE kind = 'invited' AND invitee_id IS NOT NULL")
    assert none(clean, """
        FROM referrals r LEFT JOIN customers c ON c.customer_id = r.invitee_id AND c.happened_at <= r.happened_at
        WHERE kind <> 'invited' AND c.customer_id IS NULL
    """)  # fmt: skip
    assert none(clean, """
        FROM referrals r ANTI JOIN orders o ON o.customer_id = r.invitee_id AND o.happened_at = r.happened_at WHERE r.kind = 'ordered'
    """)  # fmt: skip


def test_withdrawn_marketing_consent_ends_the_messages(clean: Path, messy: Path) -> None:
    assert none(clean, "FROM consents WHERE state <> 'granted'")
    assert not none(messy, "FROM consents WHERE state = 'withdrawn'")
    assert none(messy, """
        FROM contacts k JOIN consents c ON c.customer_id = k.customer_id AND c.purpose = 'marketing' AND c.state = 'withdrawn'
        WHERE k.kind = 'sent' AND k.happened_at > c.happened_at + INTERVAL 7 DAY
    """)  # fmt: skip


def test_the_world_says_everywhere_that_it_is_invented(messy: Path) -> None:
    told = json.loads((messy / "world.json").read_text())
    assert told["name"] == "carmaker"
    assert told["invented"] is True
    assert {"seed", "customers", "start", "end", "mess", "settings"} <= told.keys()
    assert json.loads((messy / "truth" / "drivers.json").read_text())["invented"] is True


def test_the_maturity_ledger_covers_every_source_and_respects_late_arrivals(messy: Path, clean: Path) -> None:
    late, prompt = (
        {row["source"]: row["complete_until"] for row in pq.read_table(f / "maturity.parquet").to_pylist()}
        for f in (messy, clean)
    )
    assert set(late) == set(prompt) == set(CANONICAL)
    assert pq.read_table(messy / "maturity.parquet").schema.field("complete_until").type == pa.timestamp("us")
    assert late["visits"] < prompt["visits"]
    for name in CANONICAL:
        waited = f"happened_at < TIMESTAMP '{late[name]}'"
        (days,) = ask(messy, f"SELECT max(date_diff('day', happened_at, known_at)) FROM (SELECT happened_at, min(known_at) AS known_at FROM \"{name}\" WHERE {waited} GROUP BY \"{CANONICAL[name].key}\", happened_at)")[0]  # fmt: skip
        end = ask(
            messy, f"SELECT date_diff('day', TIMESTAMP '{late[name]}', TIMESTAMP '{read_world(messy).end}')"
        )[0][0]
        assert isinstance(days, int)
        assert isinstance(end, int)
        assert days <= end, name
