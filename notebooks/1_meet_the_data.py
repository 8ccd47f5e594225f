# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Meet the data
#
# Ten tables of events, each row with two clocks: `happened_at`, when it occurred, and `known_at`, when our systems learned
# of it. This notebook looks at what the last load brought; run `make demo` first, or load tables of your own.

# %%
import ibis
import matplotlib.pyplot as plt
import pandas as pd

import features
from features.feature_set import named
from features.sources import CANONICAL

db = features.connect()

# %% [markdown]
# ## What is there, and how complete
#
# A source is complete up to its date in the maturity ledger: later rows may still arrive, so no outcome window may end after it.

# %%
tables = pd.DataFrame(
    {
        "rows": {name: table.count().to_pandas() for name, table in db.tables.items()},
        "complete until": pd.Series(db.complete_until),
    }
)
tables

# %% [markdown]
# Each table is declared once, with types, units, meanings, consent purpose and what is sensitive. The declaration gives checks,
# the empty table, test rows and documentation. Sensitive columns are off unless a task says why it needs them.

# %%
pd.DataFrame(
    [
        {"column": column.name, "type": column.type, "sensitive": column.sensitive, "meaning": column.meaning}
        for column in CANONICAL["touchpoints"].columns
    ]
)

# %% [markdown]
# ## What do customers do?

# %%
touchpoints = db.tables["touchpoints"]
by_kind = touchpoints.group_by("kind", "initiated_by").aggregate(rows=ibis._.count()).to_pandas()
kinds = by_kind.pivot(index="kind", columns="initiated_by", values="rows").fillna(0)
kinds = kinds.loc[kinds.sum(axis=1).sort_values().index]
kinds.plot.barh(
    stacked=True, figsize=(8, 5), title="Touchpoints by kind and who began them", xlabel="rows", ylabel=""
)
plt.tight_layout()

# %% [markdown]
# Only what the customer began is behaviour. A message *sent* is a contact, and lies in another table:

# %%
contacts = db.tables["contacts"]
contacts.group_by("kind").aggregate(rows=ibis._.count()).order_by(ibis.desc("rows")).to_pandas()

# %% [markdown]
# ## Two clocks
#
# A row counts for a moment only when it was *known* by then. Most rows are known within the hour; some take days, and a feature
# that used them earlier than that would know the future.

# %%
delay = touchpoints.known_at.epoch_seconds() - touchpoints.happened_at.epoch_seconds()
delays = touchpoints.mutate(
    known=ibis.cases(
        (delay < 3600, "within the hour"),
        (delay < 86_400, "within a day"),
        (delay < 7 * 86_400, "within a week"),
        else_="later",
    )
)
delays = delays.group_by("known").aggregate(rows=ibis._.count()).to_pandas().set_index("known")
(delays / delays.sum()).rename(columns={"rows": "share"}).sort_values("share", ascending=False)

# %% [markdown]
# Corrections keep what was believed before: the old version ends (`superseded_at`) when the new one becomes known, so that a moment
# between the two still sees the old one.

# %%
orders = db.tables["orders"]
corrected = orders.filter(orders.superseded_at.notnull()).count().to_pandas()
f"{corrected} order rows were replaced by a later version"

# %% [markdown]
# ## Seasons
#
# Months in which people buy, and months in which they only look.

# %%
placed = orders.filter(orders.kind == "order", orders.superseded_at.isnull())
per_month = {
    "touchpoints": touchpoints.group_by(month=touchpoints.happened_at.truncate("M")).aggregate(
        rows=ibis._.count()
    ),
    "orders": placed.group_by(month=placed.happened_at.truncate("M")).aggregate(rows=ibis._.count()),
}
figure, axes = plt.subplots(2, 1, sharex=True, figsize=(9, 4))
for axis, (name, counted) in zip(axes, per_month.items(), strict=True):
    months = counted.order_by("month").to_pandas().set_index("month").rows
    axis.bar(months.index, months, width=25)
    axis.set_title(f"{name} per month", loc="left")
figure.tight_layout()

# %% [markdown]
# ## One customer, as one moment sees it
#
# `features.at` answers for any moment. The same customer a year apart is two different pasts:

# %%
customer = placed.customer_id.min().to_pandas()
moments = ibis.memtable(
    {
        "customer_id": [customer] * 2,
        "as_of": [features.midnight("2024-01-01"), features.midnight("2025-01-01")],
    }
)
some = named(
    [
        "lifecycle_stage_name",
        "touchpoints_90d",
        "days_since_touchpoint",
        "test_drives_365d",
        "cars_held",
        "orders_365d",
    ]
)
features.at(moments, db, some).to_pandas().set_index("as_of").drop(columns="customer_id").T
