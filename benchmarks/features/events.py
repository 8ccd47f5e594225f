"""Touchpoints to measure on: about a hundred a customer over three years, a few customers with thousands.

Everything follows from hashes of row numbers, so that two runs measure the same rows. Files are sorted by customer,
as the loader writes them.
"""

from pathlib import Path

import duckdb

__all__ = ["AS_OF", "write"]

AS_OF = "2025-07-01"
EVENTS_PER_FILE = 5_000_000
KINDS = (
    "page_view", "content_read", "model_page", "app_open", "mini_program", "wecom_message", "configurator", "social",
    "post", "live_stream", "activity_signin", "quote_request", "coupon_redemption", "site_lead", "showroom_visit",
    "test_drive", "valuation_request", "insurance_renewal", "roadside_assistance", "complaint",
)  # fmt: skip
CHANNELS = ("app", "mini_program", "official_account", "wecom", "site", "dealer", "social", "phone")
TOPICS = ("safety", "price", "finance", "maintenance", "technology", "lifestyle")

# a, b and c are three hashes of the event; the square of b makes the first kinds the frequent ones.
ROWS = """
WITH people AS (SELECT i, floor(62 * power((hash(i, 'activity') % 100000 + 1) / 100001.0, -0.38))::INT AS n FROM range({first}, {end}) t(i)),
numbered AS (SELECT i, unnest(range(n)) AS j FROM people),
hashed AS (SELECT i, j, (hash(i, j, 'a') >> 1)::BIGINT AS a, (hash(i, j, 'b') >> 1)::BIGINT AS b, (hash(i, j, 'c') >> 1)::BIGINT AS c FROM numbered),
placed AS (SELECT *, TIMESTAMP '2022-07-01' + to_seconds(a % 94608000) AS happened_at, floor(20 * power((b % 100003) / 100003.0, 2))::INT AS k FROM hashed)
SELECT 't' || i || '-' || j AS touchpoint_id, 'c' || lpad(i::VARCHAR, 9, '0') AS customer_id, happened_at,
    happened_at + to_seconds(CASE WHEN c % 20 = 0 THEN c % 172800 ELSE 60 END) AS known_at, NULL::TIMESTAMP AS superseded_at,
    ({kinds})[k + 1] AS kind, ({channels})[1 + (b // 7) % 8] AS channel, CASE WHEN c % 8 = 0 THEN 'company' ELSE 'customer' END AS initiated_by,
    CASE WHEN k IN (0, 1, 9) THEN ({topics})[1 + (c // 11) % 6] END AS topic, CASE WHEN k IN (2, 6, 11, 15) THEN 'M' || (c // 13) % 9 END AS model,
    CASE WHEN c % 10 = 1 THEN 'campaign ' || (c // 17) % 40 END AS campaign, CASE WHEN k IN (14, 15) THEN 'd' || (a // 19) % 300 END AS dealer_id,
    b % 600 AS duration_s, CASE WHEN k = 6 THEN c % 5 + 1 END AS depth
FROM placed ORDER BY customer_id, happened_at, touchpoint_id
"""


# Every customer known from the first day, and nothing else said of them.
PEOPLE = """SELECT 'p' || customer_id AS profile_id, customer_id, TIMESTAMP '2022-07-01' AS happened_at,
    TIMESTAMP '2022-07-01' AS known_at, NULL::TIMESTAMP AS superseded_at
FROM (SELECT DISTINCT customer_id FROM '{events}/*.parquet') ORDER BY customer_id"""


def write(events: int, folder: Path) -> Path:
    """About so many touchpoints of known customers, as Parquet files in `folder`, unless they are there already."""
    target = folder / "touchpoints"
    if (folder / "written").is_file():
        return folder
    target.mkdir(parents=True, exist_ok=True)
    customers, files = events // 100, -(-events // EVENTS_PER_FILE)
    engine = duckdb.connect()
    for n in range(files):
        words = {"kinds": list(KINDS), "channels": list(CHANNELS), "topics": list(TOPICS)}
        rows = ROWS.format(first=customers * n // files, end=customers * (n + 1) // files, **words)
        engine.execute(f"COPY ({rows}) TO '{target}/part-{n:05d}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    (folder / "customers").mkdir(exist_ok=True)
    engine.execute(f"COPY ({PEOPLE.format(events=target)}) TO '{folder}/customers/part-00000.parquet'")
    (folder / "written").touch()
    return folder
