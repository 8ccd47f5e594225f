"""The canonical tables: each declared once, with its columns, clocks, units and meanings.

The declaration is what everything else reads: validation at load, the empty table, test rows,
documentation, what a feature may look at. Every table has two clocks:

    happened_at     when it occurred
    known_at        when our systems learned of it (never earlier than the first row that could use it)

Times are naive UTC with whole seconds. Money is an integer in cents (1/100 of the deployment's
currency: fen in China), durations are integers: sums are then exact, on any engine and in any order.

A row that arrives again with the same key and other values is a correction. Both versions stay; the
loader fills `superseded_at` of the older one with the `known_at` of the newer, so that a moment
between the two still sees what was known then.
"""

from dataclasses import dataclass
from functools import cached_property

import ibis.expr.datatypes as dt
import pyarrow as pa

__all__ = ["CANONICAL", "Column", "Source"]

_ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class Column:
    """One column: type (`string`, `int64`, `boolean`, `timestamp`), meaning, unit and what a value may be.

    `required` columns are never null. An `optional` column may be absent from a delivery and is then
    null throughout. `values` is a closed vocabulary; `usual` an open one: other words are loaded, and their
    share is watched. Without either a string is free. `sensitive` columns are read only by a task that declares
    why. `references` names a source whose key must hold the value.
    """

    name: str
    type: str
    meaning: str
    unit: str | None = None
    required: bool = False
    optional: bool = False
    values: tuple[str, ...] | None = None
    usual: tuple[str, ...] | None = None
    minimum: int | None = None
    maximum: int | None = None
    sensitive: bool = False
    references: str | None = None

    @property
    def arrow(self) -> pa.DataType:
        return _ARROW[self.type]


@dataclass(frozen=True)
class Source:
    """One canonical table. `purpose` is the consent purpose its use needs; `initiated_by` says whose
    deed a row is: the customer's, the company's, or a column's name that tells it row by row. A source
    said to be complete until an instant has rows within `fresh_days` before it; None where it may be silent."""

    name: str
    meaning: str
    key: str
    columns: tuple[Column, ...]
    purpose: str = "service"
    initiated_by: str = "customer"
    fresh_days: int | None = None

    def __getitem__(self, column: str) -> Column:
        for candidate in self.columns:
            if candidate.name == column:
                return candidate
        raise KeyError(f"{self.name} has no column {column!r}; it has {', '.join(self.column_names)}")

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def naming_customers(self) -> tuple[str, ...]:
        """The columns that hold a customer's id: whose the row is, and whom else it names."""
        others = (c.name for c in self.columns if c.references == "customers" or c.name == "merged_into")
        return tuple(dict.fromkeys(("customer_id", *others)))

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([(c.name, c.arrow) for c in self.columns])

    @property
    def ibis_schema(self) -> dict[str, dt.DataType]:
        return {c.name: dt.dtype("timestamp(6)" if c.type == "timestamp" else c.type) for c in self.columns}

    def empty(self) -> pa.Table:
        """The table without rows: an empty world is made of these."""
        return self.arrow_schema.empty_table()


def _source(
    name: str,
    meaning: str,
    key: str,
    *columns: Column,
    purpose: str = "service",
    initiated_by: str = "customer",
    fresh_days: int | None = None,
) -> Source:
    owner: Column = Column("customer_id", "string", "whose row this is", required=True)
    if name != "customers":
        owner = Column("customer_id", "string", "whose row this is", required=True, references="customers")
    frame = (
        Column(
            key, "string", f"identifies a row of {name}; the same key again is a correction", required=True
        ),
        owner,
        Column("happened_at", "timestamp", "when it occurred", unit="UTC", required=True),
        Column("known_at", "timestamp", "when our systems learned of it", unit="UTC", required=True),
        Column(
            "superseded_at",
            "timestamp",
            "when a correction of this row became known; filled at load",
            unit="UTC",
            optional=True,
        ),
    )
    return Source(name, meaning, key, frame + columns, purpose, initiated_by, fresh_days)


customers = _source(
    "customers",
    "profile versions: the first makes a person known to us, each later one replaces it from `happened_at` on",
    "profile_id",
    Column(
        "city_tier", "int64", "tier of the home city, 1 is the largest", minimum=1, maximum=5, optional=True
    ),
    Column("region", "string", "sales region of the home city", optional=True),
    Column("acquisition_channel", "string", "channel of first contact", optional=True),
    Column(
        "preferred_power_type",
        "string",
        "stated preference",
        values=("ICE", "HEV", "PHEV", "BEV"),
        optional=True,
    ),
    Column("birth_year", "int64", "year of birth", minimum=1900, maximum=2100, sensitive=True, optional=True),
    Column("sex", "string", "as stated", values=("female", "male", "other"), sensitive=True, optional=True),
    Column(
        "merged_into",
        "string",
        "customer this identity turned out to be, known from `known_at` on; loaded as stated, rows stay with both",
        optional=True,
    ),
)

consents = _source(
    "consents",
    "consent per purpose: the latest row known at a moment decides",
    "consent_id",
    Column("purpose", "string", "what for", required=True, values=("service", "marketing", "profiling")),
    Column("state", "string", "what was said", required=True, values=("granted", "withdrawn", "refused")),
    Column("expires_at", "timestamp", "end of a consent given for a time", unit="UTC", optional=True),
)

vehicles = _source(
    "vehicles",
    "a car's ownership events: delivered to a customer, disposed of by a customer",
    "vehicle_event_id",
    Column("vehicle_id", "string", "the car", required=True),
    Column(
        "kind", "string", "what happened to the ownership", required=True, values=("delivery", "disposal")
    ),
    Column("model", "string", "model name", optional=True),
    Column("segment", "string", "body and size class", optional=True),
    Column("power_type", "string", "drive", values=("ICE", "HEV", "PHEV", "BEV"), optional=True),
    Column(
        "price_class",
        "int64",
        "price class of the model, 1 is the cheapest",
        minimum=1,
        maximum=9,
        optional=True,
    ),
    Column("price_cents", "int64", "price paid", unit="cents", minimum=0, optional=True),
    Column("finance_plan", "string", "how it was paid", values=("cash", "loan", "lease"), optional=True),
    Column(
        "finance_ends_at", "timestamp", "last instalment, as agreed at delivery", unit="UTC", optional=True
    ),
    Column(
        "warranty_ends_at", "timestamp", "end of warranty, as agreed at delivery", unit="UTC", optional=True
    ),
    Column(
        "disposal_kind",
        "string",
        "how a disposed car left",
        values=("trade_in", "sold", "scrapped"),
        optional=True,
    ),
    Column("dealer_id", "string", "dealer of the event", optional=True),
    fresh_days=62,
)

orders = _source(
    "orders",
    "orders placed and cancelled",
    "order_id",
    Column(
        "kind",
        "string",
        "an order or the cancellation of one",
        required=True,
        values=("order", "cancellation"),
    ),
    Column("cancels", "string", "order that a cancellation ends", optional=True),
    Column("quantity", "int64", "pieces", minimum=0, optional=True),
    Column("amount_cents", "int64", "value of the order", unit="cents", minimum=0, optional=True),
    Column("discount_cents", "int64", "what offers took off", unit="cents", minimum=0, optional=True),
    Column("model", "string", "model ordered", optional=True),
    Column("power_type", "string", "drive ordered", values=("ICE", "HEV", "PHEV", "BEV"), optional=True),
    Column(
        "price_class",
        "int64",
        "price class of the model, 1 is the cheapest",
        minimum=1,
        maximum=9,
        optional=True,
    ),
    Column("finance_plan", "string", "plan chosen", values=("cash", "loan", "lease"), optional=True),
    Column("dealer_id", "string", "dealer of the order", optional=True),
    fresh_days=31,
)

touchpoints = _source(
    "touchpoints",
    "channel events: what a person did where we could see it",
    "touchpoint_id",
    Column(
        "kind",
        "string",
        "what was done; a new kind is not an error",
        required=True,
        usual=(
            "page_view",
            "content_read",
            "model_page",
            "configurator",
            "quote_request",
            "live_stream",
            "app_open",
            "mini_program",
            "wecom_message",
            "post",
            "social",
            "activity_signin",
            "site_lead",
            "showroom_visit",
            "test_drive",
            "valuation_request",
            "insurance_renewal",
            "roadside_assistance",
            "complaint",
            "coupon_redemption",
        ),
    ),
    Column(
        "channel",
        "string",
        "where",
        usual=("app", "mini_program", "official_account", "wecom", "site", "dealer", "social", "phone"),
        optional=True,
    ),
    Column("initiated_by", "string", "whose deed it was", required=True, values=("customer", "company")),
    Column(
        "topic",
        "string",
        "topic of content",
        usual=("safety", "price", "finance", "maintenance", "technology", "lifestyle"),
        optional=True,
    ),
    Column("model", "string", "model it was about", optional=True),
    Column("campaign", "string", "campaign it is attributed to", optional=True),
    Column("dealer_id", "string", "dealer, for what happens in a showroom", optional=True),
    Column("duration_s", "int64", "how long it took", unit="seconds", minimum=0, optional=True),
    Column("depth", "int64", "steps completed in a configurator", minimum=0, optional=True),
    initiated_by="initiated_by",
    fresh_days=7,
)

visits = _source(
    "visits",
    "workshop visits",
    "visit_id",
    Column(
        "kind", "string", "reason for the visit", required=True, values=("maintenance", "repair", "recall")
    ),
    Column("vehicle_id", "string", "the car", optional=True),
    Column("amount_cents", "int64", "invoice", unit="cents", minimum=0, optional=True),
    Column("odometer_km", "int64", "odometer at the visit", unit="km", minimum=0, optional=True),
    Column("dealer_id", "string", "workshop", optional=True),
    fresh_days=14,
)

contacts = _source(
    "contacts",
    "what the company sent or said, and what came of it",
    "contact_id",
    Column(
        "kind",
        "string",
        "step of the contact; `held_out` is the message that was not sent, for comparison's sake",
        required=True,
        values=("sent", "delivered", "opened", "answered", "adviser_call", "opted_out", "held_out"),
    ),
    Column(
        "channel",
        "string",
        "way it was sent",
        usual=("wecom", "sms", "app_push", "phone", "mail"),
        optional=True,
    ),
    Column("campaign", "string", "campaign", optional=True),
    Column(
        "arm", "string", "arm of a campaign with a hold-out", values=("treated", "held_out"), optional=True
    ),
    purpose="marketing",
    initiated_by="company",
)

points = _source(
    "points",
    "loyalty points and membership tier",
    "points_id",
    Column("kind", "string", "movement", required=True, values=("earned", "redeemed", "expired", "tier")),
    Column("points", "int64", "points moved, positive", unit="points", minimum=0, optional=True),
    Column("reason", "string", "what they were earned or redeemed for", optional=True),
    Column("expires_at", "timestamp", "when earned points lapse", unit="UTC", optional=True),
    Column("tier", "string", "tier from `happened_at` on; the vocabulary is the brand's", optional=True),
    fresh_days=31,
)

referrals = _source(
    "referrals",
    "invitations by customers and what came of them",
    "referral_id",
    Column("kind", "string", "step", required=True, values=("invited", "registered", "ordered")),
    Column("invitee_id", "string", "customer who was invited", optional=True, references="customers"),
)

charges = _source(
    "charges",
    "charging sessions of electric cars",
    "charge_id",
    Column("vehicle_id", "string", "the car", optional=True),
    Column("place", "string", "where", values=("home", "public", "brand"), optional=True),
    Column("energy_wh", "int64", "energy taken", unit="Wh", minimum=0, optional=True),
    Column("duration_s", "int64", "time on the plug", unit="seconds", minimum=0, optional=True),
    fresh_days=14,
)

CANONICAL: dict[str, Source] = {
    source.name: source
    for source in (
        customers,
        consents,
        vehicles,
        orders,
        touchpoints,
        visits,
        contacts,
        points,
        referrals,
        charges,
    )
}
