"""From number columns to the canonical Parquet tables.

Rows are made and messed up as plain NumPy columns ("frames"): words are indices into a vocabulary, ids are
numbers, times are whole seconds since 1970, and -1 stands for nothing. Only `encode` turns them into text.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.sources import CANONICAL
from worlds.carmaker.state import PLANS, POWERS
from worlds.carmaker.traits import ACQUISITION, REGIONS

__all__ = ["KINDS", "Frame", "code", "encode", "join", "pick", "sort"]

Array = npt.NDArray[Any]
Frame = dict[str, Array]

KINDS = (
    "page_view", "content_read", "model_page", "configurator", "quote_request", "live_stream", "app_open", "mini_program",
    "wecom_message", "post", "social", "activity_signin", "site_lead", "showroom_visit", "test_drive", "valuation_request",
    "insurance_renewal", "roadside_assistance", "complaint", "vr_showroom",
)  # fmt: skip
MODELS = ("Aster 1", "Birch 2", "Cedar 3", "Dahlia 4", "Elm 5", "Fir 6")
SEGMENTS = ("small", "compact", "mid-size", "SUV", "large SUV", "flagship")
CHANNELS = (
    "app",
    "mini_program",
    "official_account",
    "wecom",
    "site",
    "dealer",
    "social",
    "phone",
    "short_video",
)
CAMPAIGNS = ("monthly", "welcome", "loyalty offer")
WAYS = ("wecom", "sms", "app_push", "phone", "mail")

_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("customers", "region"): REGIONS,
    ("customers", "acquisition_channel"): ACQUISITION,
    ("customers", "sex"): ("female", "male", "other"),
    ("consents", "purpose"): ("service", "marketing", "profiling"),
    ("consents", "state"): ("granted", "withdrawn", "refused"),
    ("vehicles", "kind"): ("delivery", "disposal"),
    ("vehicles", "disposal_kind"): ("trade_in", "sold", "scrapped"),
    ("orders", "kind"): ("order", "cancellation"),
    ("touchpoints", "kind"): KINDS,
    ("touchpoints", "channel"): CHANNELS,
    ("touchpoints", "initiated_by"): ("customer", "company"),
    ("touchpoints", "topic"): ("safety", "price", "finance", "maintenance", "technology", "lifestyle"),
    ("visits", "kind"): ("maintenance", "repair", "recall"),
    ("contacts", "kind"): ("sent", "delivered", "opened", "answered", "adviser_call", "opted_out"),
    ("contacts", "channel"): WAYS,
    ("contacts", "arm"): ("treated", "held_out"),
    ("points", "kind"): ("earned", "redeemed", "expired", "tier"),
    ("points", "reason"): ("activity", "good post", "workshop", "voucher", "gift", "lapse"),
    ("points", "tier"): ("silver", "gold", "diamond"),
    ("referrals", "kind"): ("invited", "registered", "ordered"),
    ("charges", "place"): ("home", "public", "brand"),
}
_SHARED = {
    "model": MODELS,
    "segment": SEGMENTS,
    "power_type": POWERS,
    "preferred_power_type": POWERS,
    "finance_plan": PLANS,
    "campaign": CAMPAIGNS,
}
_IDS = {
    "customer_id": ("C", 8),
    "merged_into": ("C", 8),
    "invitee_id": ("C", 8),
    "profile_id": ("P", 10),
    "consent_id": ("N", 10),
    "vehicle_event_id": ("E", 11),
    "vehicle_id": ("V", 10),
    "order_id": ("O", 10),
    "cancels": ("O", 10),
    "touchpoint_id": ("T", 12),
    "visit_id": ("W", 12),
    "contact_id": ("K", 12),
    "points_id": ("B", 12),
    "referral_id": ("R", 10),
    "charge_id": ("G", 12),
    "dealer_id": ("D", 3),
}


def code(table: str, column: str, word: str) -> int:
    """The number that stands for a word in a column."""
    return _vocabulary(table, column).index(word)


def encode(table: str, frame: Frame) -> pa.Table:
    """The frame as an Arrow table with exactly the columns of the canonical declaration."""
    n = len(frame["customer_id"])
    columns = []
    for column in CANONICAL[table].columns:
        values = frame.get(column.name)
        columns.append(
            pa.nulls(n, column.arrow)
            if values is None
            else _encode_column(table, column.name, values, column.arrow)
        )
    return pa.Table.from_arrays(columns, schema=CANONICAL[table].arrow_schema)


def identifiers(prefix: str, numbers: Array, digits: int) -> pa.Array:
    """Zero-padded ids such as C00000001, written as bytes: a million in a fraction of a second."""
    width = len(prefix) + digits
    text = np.empty((len(numbers), width), np.uint8)
    text[:, : len(prefix)] = list(prefix.encode())
    rest = numbers.astype(np.int64)
    for place in range(width - 1, len(prefix) - 1, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    ends = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(text))


def pick(frame: Frame, rows: Array) -> Frame:
    """Some rows of a frame, in the given order."""
    return {name: values[rows] for name, values in frame.items()}


def join(*frames: Frame) -> Frame:
    """Frames one after another; a column that one lacks is nothing there."""
    names = dict.fromkeys(name for frame in frames for name in frame)
    lengths = [len(frame["customer_id"]) for frame in frames]
    return {
        name: np.concatenate(
            [f[name] if name in f else np.full(n, -1, np.int64) for f, n in zip(frames, lengths, strict=True)]
        )
        for name in names
    }


def sort(frame: Frame) -> Frame:
    """By customer, then by time; equal rows keep their order."""
    return pick(frame, np.lexsort((frame["known_at"], frame["happened_at"], frame["customer_id"])))


def _vocabulary(table: str, column: str) -> tuple[str, ...]:
    return _WORDS.get((table, column)) or _SHARED[column]


def _encode_column(table: str, name: str, values: Array, kind: pa.DataType) -> pa.Array:
    absent = values < 0
    mask = absent if absent.any() else None
    if kind == pa.timestamp("us"):
        return pa.array(values.astype(np.int64) * 1_000_000, mask=mask).cast(kind)
    if kind == pa.int64():
        return pa.array(values.astype(np.int64), mask=mask)
    if name in _IDS:
        prefix, digits = _IDS[name]
        ids = identifiers(prefix, np.maximum(values, 0), digits)
        return ids if mask is None else pc.if_else(pa.array(~absent), ids, pa.scalar(None, pa.string()))
    words = pa.DictionaryArray.from_arrays(
        pa.array(values.astype(np.int16), mask=mask), pa.array(_vocabulary(table, name))
    )
    return words.cast(pa.string())
