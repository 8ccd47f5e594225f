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
# # A feature is born
#
# From a hunch to a column that training, batch and service share: declare it, look at it, ask whether it tells customers apart,
# and prove that it never saw the future. To keep it, the line moves into a view (see the README).

# %%
from datetime import timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import features
from features.certify import certify
from features.cohorts import active_owners, everyone
from features.feature import Feature
from features.warehouse import in_memory
from training.dataset import dataset
from training.metrics import auc, lift_at
from training.tasks import task_named

db = features.connect()

# %% [markdown]
# ## The hunch
#
# An owner whose money goes into repairs rather than maintenance may have had enough of the car, or of us. How much of the last
# year's workshop spend was repairs?

# %%
repair_share_365d = Feature(
    "repair_share_365d",
    lambda past: (
        past.visits.where(kind="repair").sum("amount_cents", days=365)
        / past.visits.sum("amount_cents", days=365).nullif(0)
    ),
    unit="of spend",
    nothing=None,
    concept="repairs and complaints",
    window_days=365,
    en="Share of the workshop spend of the last 365 days that went into repairs",
    zh="近365天售后消费中维修占比",
)
repair_share_365d.sources, repair_share_365d.fingerprint

# %% [markdown]
# Name, unit and window, a sentence in two languages, what it is for a customer without rows, the concept a reason names. Nothing
# else is needed: sources, consent purposes and the fingerprint follow from the definition.
#
# ## Nothing means what it says
#
# In a world with customers and no visits it must be what `nothing` promises:

# %%
empty = {
    name: db.engine.to_pyarrow(db.tables[name].limit(rows))
    for name, rows in (("customers", 1), ("visits", 0))
}
world = in_memory(empty)
features.at(everyone(world, [db.latest_moment]), world, [repair_share_365d]).drop("customer_id").to_pandas()

# %% [markdown]
# ## How is it spread?

# %%
churn = task_named("churn", db)
date = churn.latest_closed(db)
owners = active_owners.moments(db, [date])
values = features.at(owners, db, [repair_share_365d]).to_pandas().repair_share_365d
values.plot.hist(
    bins=20,
    figsize=(7, 3),
    title=f"Active owners at {date:%Y-%m-%d}, {values.isna().mean():.0%} without spend",
)
plt.xlabel("share of spend that was repairs")
plt.tight_layout()

# %% [markdown]
# ## Does it tell who will fall silent?
#
# Beside the outcome, at one closed date, and beside columns that are there already. Below .5, more of it means fewer outcomes.
# A single new column seldom does much; one that does very much is suspect.

# %%
rows = dataset(churn, db, [date]).frame.merge(
    features.at(owners, db, [repair_share_365d]).to_pandas(), on=["customer_id", "as_of"], how="left"
)
outcome, weight = rows.outcome.to_numpy(float), np.ones(len(rows))
beside = ["repair_share_365d", "days_since_touchpoint", "touchpoints_90d", "visits_365d", "repairs_365d"]
pd.DataFrame(
    {
        name: {
            "ROC AUC": f"{auc(outcome, rows[name].fillna(-1).to_numpy(float), weight):.3f}",
            "lift of its top tenth": f"{lift_at(0.10)(outcome, rows[name].fillna(-1).to_numpy(float), weight):.2f}",
            "known of": f"{rows[name].notna().mean():.0%}",
        }
        for name in beside
    }
).T

# %% [markdown]
# ## The proof that it never saw the future
#
# The certificate takes away every row that was not known at the moment, computes anew, and compares cell by cell.

# %%
certificate = certify(
    db,
    [date - timedelta(days=365), date],
    features=[repair_share_365d],
    cohorts=[active_owners],
    customers=200,
)
print(certificate.seal.finding)

# %% [markdown]
# A feature is handed the past and nothing else, so that peeking takes effort. Columns that arrive from elsewhere, without a clock
# or with a false one, are what `python -m features.certify --attributes …` is for.
