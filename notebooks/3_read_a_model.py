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
# # Read a model
#
# What serves for a task, how good it is out of sample, what it goes by, and why one customer has the score it has. Needs a
# champion: run `make demo` first.

# %%
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa

import features
from features.feature_set import named
from features.matrix import matrix
from training import registry
from training.dataset import dataset
from training.tasks import task_named

db = features.connect()
champion = registry.champion("churn")
card, model = champion.loaded.card, champion.loaded.model

# %% [markdown]
# ## The card
#
# All that serving needs to know, and all that a person should: who is asked, what is promised by when, what it was held against.

# %%
print(card)

# %% [markdown]
# ## How good is it?
#
# On customers and dates it has not seen, with 95 % intervals. Rules rank and promise no probability; the linear challenger does both.

# %%
metrics = ["auc", "average_precision", "lift_10", "brier", "ece"]
pd.DataFrame(
    {
        scorer: {m: "{:.3f} ({:.3f} to {:.3f})".format(*row[m]) if m in row else "-" for m in metrics}
        for scorer, row in card.figures.items()
    }
).T

# %% [markdown]
# ## Do its probabilities mean what they say?
#
# At the latest closed date: among customers promised about ten per cent, does it happen to about ten in a hundred?

# %%
task = task_named("churn", db)
rows = dataset(task, db, [task.latest_closed(db)])
values = matrix(pa.Table.from_pandas(rows.frame), list(card.features), card.levels)
promised = model.probabilities(values)
tenth = pd.qcut(promised, 10, labels=False, duplicates="drop")
reliability = pd.DataFrame({"promised": promised, "happened": rows.frame.outcome}).groupby(tenth).mean()
axis = reliability.plot.scatter("promised", "happened", figsize=(4, 4), title="Ten groups of equal size")
axis.axline((0, 0), slope=1, color="grey", linewidth=1)
plt.tight_layout()

# %% [markdown]
# ## What does it go by?
#
# Exact contributions to the log-odds, by what the columns are about.

# %%
parts = model.contributions(values[:2000])
concepts = [feature.concept for feature in named(card.features)]
weight = pd.Series(np.abs(parts[:, :-1]).mean(axis=0)).groupby(concepts).sum()
(weight / weight.sum()).nlargest(10).sort_values().plot.barh(
    figsize=(7, 3.5), title="Share of the contributions", xlabel="", ylabel=""
)
plt.tight_layout()

# %% [markdown]
# ## Why this customer?
#
# The strongest parts of one score; together with the base they add up to what the model says.

# %%
chosen = int(np.argmax(promised[:2000]))
reasons = (
    pd.Series(parts[chosen, :-1], index=list(card.features)).sort_values(key=np.abs, ascending=False).head(6)
)
pd.DataFrame(
    {
        "log-odds": reasons,
        "value": [rows.frame[name].iloc[chosen] for name in reasons.index],
        "sentence": [f.en for f in named(reasons.index)],
    }
)

# %%
assert np.isclose(parts[chosen].sum(), model.leaning(values[[chosen]])[0])
f"promised {promised[chosen]:.1%}; the contributions sum to {parts[chosen].sum():.3f} log-odds within the first horizon"

# %% [markdown]
# ## Every outcome by every horizon
#
# One model gives them all, so that no probability falls with the days (that of a silence does not rise).

# %%
outlook = pd.DataFrame(
    model.outlook(values)[:, :, 0], columns=[f"{card.kinds[0]}, {days} d" for days in card.horizons_days]
)
outlook.describe().loc[["mean", "min", "50%", "max"]]

# %% [markdown]
# ## Compare runs
#
# Metric names are stable: `scorer.metric`, with `.low` and `.high`.

# %%
mlflow.set_tracking_uri(features.tracking_uri())
runs = mlflow.search_runs(
    experiment_names=["car-propensity"], filter_string="tags.task = 'churn' and metrics.model.auc > 0"
)
runs[
    ["tags.version", "metrics.model.auc", "metrics.linear.auc", "metrics.model.log_loss", "tags.data_digest"]
]
