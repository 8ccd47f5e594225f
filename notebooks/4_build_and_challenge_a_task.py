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
# # Build a task, then challenge it
#
# A question that nobody declared yet, from its declaration to the table for the steering meeting. Nothing is registered here:
# `python -m training.train` does that for tasks in `training/tasks.py`.

# %%
import numpy as np
import pandas as pd
from rich.console import Console

import features
from features.cohorts import active_owners
from training.challenger import fit_linear, linear_probabilities
from training.comparison import compare
from training.grow import numbers
from training.metrics import auc
from training.outcomes import Happens
from training.preflight import preflight
from training.rules import last_touch, most, touch_rfm
from training.task import Task
from training.train import fitted, prepare

db = features.connect()

# %% [markdown]
# ## The question
#
# Who may be asked, what may happen, by when, and what marketing does today, which a model has to beat.

# %%
workshop_visit = Task(
    name="workshop_visit",
    question="Will this active owner come to a workshop of ours in the next 90 days?",
    cohort=active_owners,
    outcome=Happens("workshop visit", lambda future: future.visits.count() > 0),
    horizons_days=(30, 90),
    rules=(last_touch, touch_rfm, most("habit", "visits_365d", "who came most often in a year comes first")),
    purpose="service",
)

# %% [markdown]
# ## Can it be learned here?
#
# Seconds, before minutes: enough outcomes in each part, closed windows, and how surely its figures could be known.

# %%
checked = preflight(workshop_visit, db)
Console(width=110).print(checked.table())
checked.problems or "nothing forbids training"

# %% [markdown]
# ## Rows to learn from
#
# Many moments per customer, cut in time with no outcome window reaching into the next part, customers of the test unseen by the fit.

# %%
made = prepare(workshop_visit, db, checked.planned)
pd.DataFrame(
    {
        name: {
            "moments": len(part),
            "customers": part.customer_id.nunique(),
            "with the outcome": part.outcome.mean(),
            "from": part.as_of.min(),
            "to": part.as_of.max(),
        }
        for name, part in made.parts
    }
).T

# %%
shared = set(made.parts.fit.customer_id) & set(made.parts.test.customer_id)
f"{made.planned.cut}; {len(shared)} customers stand in both fit and test"

# %% [markdown]
# ## The model, and who challenges it
#
# The small fixed trees, a linear model on the same columns, and the rules, all on the same test.

# %%
model = fitted(workshop_visit, made)
test, names = made.parts.test, made.data.names
linear = fit_linear(made.parts.fit, names, made.categories, model.line)
promised = model.probabilities(numbers(test, names))
report = compare(
    workshop_visit.name,
    test,
    {"model": promised, "linear": linear_probabilities(linear, test, names)},
    {rule.name: rule.score(test) for rule in workshop_visit.rules},
)
print(report)

# %% [markdown]
# ## Would it have looked better with a random split?
#
# A split by chance puts a customer's neighbouring moments on both sides. Its figure is shown here to be mistrusted, and is evidence nowhere.

# %%
from dataclasses import replace

together = pd.concat([made.parts.fit, test])
drawn = np.random.default_rng(7).random(len(together)) < 0.7
lucky = replace(made, parts=replace(made.parts, fit=together[drawn], test=together[~drawn]))
seems = fitted(workshop_visit, lucky).probabilities(numbers(lucky.parts.test, names))
honest, random = (
    auc(rows.outcome.to_numpy(float), score, np.ones(len(rows)))
    for rows, score in ((test, promised), (lucky.parts.test, seems))
)
f"ROC AUC out of time and on unseen customers {honest:.3f}; with rows drawn by chance {random:.3f}"

# %% [markdown]
# ## To keep it
#
# The declaration goes into `TASKS` of `training/tasks.py`; then `python -m training.train --task workshop_visit` certifies, judges
# and registers it, and `python -m training.promote` lets it serve.
