"""What a person looks at: histories that count every row, filters with their customers, drift as the monitor counts it."""

from datetime import datetime

import msgspec
import pandas as pd
import pytest

from features import nightly
from serving.contract.people import HistoryRequest
from serving.contract.refusals import Refused
from serving.desk import Desk
from tests.serving.desk.test_posted_events import asked, stored
from tests.shop import END
from training.spread import psi


def test_a_history_counts_the_rows_of_each_month_and_scores_each_months_end(desk: Desk) -> None:
    told = desk.history(HistoryRequest(customer_id="C00001", months=36))
    assert (told.months[0], told.months[-2:]) == (datetime(2021, 7, 1), [datetime(2024, 6, 1), END])
    orders = stored("C00001")["orders"]
    (activity,) = [one for one in told.activity if one.source == "orders"]
    assert {kind.kind: sum(kind.rows) for kind in activity.kinds} == {"order": len(orders)}
    for name, month in ((one["happened_at"], one["happened_at"][:7]) for one in orders):
        place = next(n for n, end in enumerate(told.months) if f"{end.isoformat()}Z" > name)
        assert activity.kinds[0].rows[place] == sum(one["happened_at"][:7] == month for one in orders)
    for at in told.would_have_been:
        for end, chance in list(zip(told.months, at.probabilities, strict=True))[::6]:
            (then,) = desk.events(asked(as_of=f"{end.isoformat()}Z", tasks=[at.task])).scores
            assert then.probability == chance
    with pytest.raises(Refused) as refused:
        desk.history(HistoryRequest(customer_id="nobody"))
    assert refused.value.status == 404


def test_filters_tell_their_values_and_how_many_customers_hold_them(desk: Desk) -> None:
    assert desk.filters().filters == []  # the shop knows no regions, dealers or models
    assert msgspec.json.encode(desk.filters()) == b'{"filters":[]}'


def test_drift_is_the_monitors_index_to_the_bit(desk: Desk) -> None:
    rows = nightly.latest().table().to_pandas()
    for told in desk.drift().drift:
        scorer = desk.scorers[told.task]
        mine = rows[rows[f"not {scorer.card.cohort}"].isna()]
        baseline = scorer.loaded.baseline
        assert baseline is not None
        assert told.customers == len(mine)
        for line in told.heaviest:
            spread = baseline.features[line.feature]
            assert line.psi == pytest.approx(
                psi(spread, spread.again(mine[line.feature]), len(mine)), abs=1e-12
            )
            assert line.tested == baseline.tested[line.feature]
        chances = pd.Series(desk.day().populations[told.task].probability)
        assert told.scores_psi == pytest.approx(
            psi(baseline.scores, baseline.scores.again(chances), len(mine)), abs=1e-12
        )
