"""Drift on an invented carmaker: an ordinary later month is calm; what is planted is named, with the table it came from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import ibis.expr.types as ir
import msgspec
import numpy as np
import pytest

from features.delivery import deliveries_in
from features.errors import OpenWindow
from features.load import ledger, load
from features.warehouse import Warehouse, connect
from tests.training.test_model import card
from training.artefact import Loaded
from training.drift import Drift
from training.grow import numbers
from training.monitor import asked_at, watch
from training.plan import Plan
from training.tasks import task_named
from training.train import baseline_of, fitted, prepare
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

pytestmark = pytest.mark.slow

WORLD = World(customers=4_000, years=3, seed=3)
END = datetime(WORLD.end.year, WORLD.end.month, WORLD.end.day)
# Dates enough to learn what is usual, few enough for a test.
LAST = END - timedelta(days=224)  # late touchpoints: what is told of the last weeks is not complete
PLANNED = Plan(
    tuple(LAST - timedelta(days=days) for days in (416, 388, 360)),
    (LAST - timedelta(days=208), LAST - timedelta(days=180)),
    (LAST - timedelta(days=28), LAST),
    "in time",
)
Change = Callable[[ir.Table], ir.Table]


@dataclass(frozen=True)
class Carmaker:
    warehouse: Warehouse
    loaded: Loaded

    @cached_property
    def calm(self) -> Drift:
        return self.seen()

    def seen(self, source: str = "", change: Change | None = None) -> Drift:
        """The monitor's finding at the end of the data, with a source changed."""
        held, task = self.warehouse, task_named("churn", self.warehouse)
        if change is not None:
            held = replace(held, tables={**held.tables, source: change(held.tables[source])})
        return watch(task, held, self.loaded, "1", asked_at(task, held, END)).drift


@pytest.fixture(scope="module")
def carmaker(tmp_path_factory: pytest.TempPathFactory) -> Carmaker:
    """A world and a churn model of it, not registered anywhere."""
    folder = tmp_path_factory.mktemp("drift")
    write_world(WORLD, folder / "w", threads=1)
    given = deliveries_in(folder / "w", ignore=("truth", "leaks"))
    load(
        given,
        folder / "held",
        complete_until=ledger(folder / "w", END),
        delivered_at=END,
        max_reject_share=0.001,
    )
    db = connect(str(folder / "held"))
    task = task_named("churn", db)
    made = prepare(task, db, PLANNED)
    model = fitted(task, made)
    promised = model.probabilities(numbers(made.parts.test, made.data.names))
    page = msgspec.structs.replace(
        card(),
        features={feature.name: feature.fingerprint for feature in made.data.features},
        levels={name: tuple(made.parts.levels[name]) for name in made.categories},
    )
    learned = baseline_of(task, made.data, made.parts, model, promised)
    return Carmaker(db, Loaded(model, page, "", np.empty(0), np.empty(0), learned))


def without(channel: str) -> Change:
    """Its tracking has been off for 90 days."""
    off = END - timedelta(days=90)
    return lambda rows: rows.filter(~((rows.channel == channel) & (rows.happened_at >= off)))


def test_half_a_year_after_the_test_all_is_calm(carmaker: Carmaker) -> None:
    """Customers have aged, and more than the test's; no reason to train again."""
    seen = carmaker.calm
    assert seen.advice == []
    assert [line for line in seen.features if line.moved], "ageing is shown"


def test_a_channel_that_is_tracked_no_more_is_named(carmaker: Carmaker) -> None:
    told = [one for one in carmaker.seen("touchpoints", without("app")).advice if "fell silent" in one]
    assert told
    assert "app_touchpoints_90d" in told[0]


def test_the_monitor_says_so_before_the_labels_do(carmaker: Carmaker) -> None:
    """When it fires, nobody can know yet how those it looked at will act."""
    task = task_named("churn", carmaker.warehouse)
    with pytest.raises(OpenWindow):
        task.require_closed([END], carmaker.warehouse)
    assert carmaker.calm.advice == []
    assert carmaker.seen("touchpoints", without("app")).advice


def test_amounts_delivered_in_another_unit_are_named(carmaker: Carmaker) -> None:
    """Workshop invoices in yuan instead of cents."""
    seen = carmaker.seen(
        "visits", lambda rows: rows.mutate(amount_cents=(rows.amount_cents / 100).cast("int64"))
    )
    usual = {line.name: line.psi for line in carmaker.calm.features}
    worst = max(seen.features, key=lambda line: line.psi - usual[line.name])
    assert worst.state == "shifted"
    assert "cents" in worst.name, worst


def test_words_never_seen_are_named(carmaker: Carmaker) -> None:
    renamed = carmaker.seen("customers", lambda rows: rows.mutate(region=rows.region.upper() + " 2"))
    assert any(one.startswith("region") and "not learned" in one for one in renamed.advice)
