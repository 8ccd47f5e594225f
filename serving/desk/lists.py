"""A list for a campaign: the top of a task within filters, how many outcomes it will hold, what it brings."""

from datetime import timedelta

import numpy as np

from serving.contract.lists import Filters, Found, ListAnswer, Listed, ListRequest, Money, Size
from serving.contract.refusals import Refused
from serving.contract.words import Cautioned
from serving.desk.consents import without_refused
from serving.desk.day import Day
from serving.desk.expected import Calibration, found_in
from serving.desk.population import Population
from serving.scorer import Scorer

__all__ = ["calibration_of", "list_of"]

SIZES = 40


def list_of(
    asked: ListRequest, scorer: Scorer, day: Day, valid: timedelta, warnings: list[Cautioned]
) -> ListAnswer:
    """Raises `Refused` while everybody is being ranked, or for a filter that no row of this deployment can pass."""
    population = day.population(scorer)
    if population is None:
        raise Refused(503, "everybody is still being ranked by this model; ask again in a minute")
    kept = _passing(asked.filters, population, day)
    kept = kept[without_refused(population.place[kept], day.sheet, scorer.card.purpose)]
    probabilities, places = population.probability[kept], population.place[kept]
    eligible, listed = len(kept), min(asked.capacity, len(kept))
    sizes = _sizes(eligible, listed)
    calibration = calibration_of(scorer)
    found = dict(zip(sizes, found_in(probabilities, calibration, sizes), strict=True))
    ids = day.sheet.ids_at(places[: min(listed, asked.show)])
    percentiles = population.percentiles(probabilities[: len(ids)]).tolist()
    customers = [
        Listed(n + 1, one, chance, scorer.card.grades.grade(chance), percentile)  # type: ignore[arg-type]
        for n, (one, chance, percentile) in enumerate(
            zip(ids, probabilities[: len(ids)].tolist(), percentiles, strict=True)
        )
    ]
    points = [Size(size, one, _yuan(scorer, size, one.expected)) for size, one in found.items()]
    return ListAnswer(
        task=scorer.task,
        as_of=day.as_of,
        expires_at=day.as_of + valid,
        model=scorer.used,
        eligible=eligible,
        listed=listed,
        outcomes=found[listed],
        at_random=float(probabilities.mean() * listed) if eligible else 0.0,
        sizes=points,
        customers=customers,
        money=_money(scorer, listed, found[listed]),
        best_size=_best(scorer, probabilities),
        warnings=warnings,
    )


def calibration_of(scorer: Scorer) -> Calibration:
    """How far a list's probabilities may be off, as the test of this model tells."""
    card = scorer.card
    wanted = [
        one for one in card.outlook if one.outcome in card.wanted and one.horizon_days == card.horizon_days
    ]
    whole = (card.rows_test, sum(one.promised for one in wanted), sum(one.happened for one in wanted))
    return Calibration.of([(one.rows, one.promised, one.happened) for one in card.segments], whole)


def _passing(filters: Filters, population: Population, day: Day) -> np.ndarray:
    """The places, among the ranked, of those who pass every filter."""
    passes = np.ones(len(population.place), dtype=bool)
    for name in filters.__struct_fields__:
        wanted: list[str] | None = getattr(filters, name)
        if wanted is None:
            continue
        segment = day.segments.get(name)
        if segment is None or not segment.words:
            raise Refused(422, f"this deployment tells no customer's {name}", f"/filters/{name}")
        if unknown := [n for n, word in enumerate(wanted) if word not in segment.words]:
            known = ", ".join(sorted(segment.words)[:20])
            raise Refused(
                422, f"no customer has this {name}; there are: {known}", f"/filters/{name}/{unknown[0]}"
            )
        passes &= segment.places(wanted)[population.place]
    return np.flatnonzero(passes)


def _sizes(eligible: int, listed: int) -> list[int]:
    """The size of the list, and sizes up to everybody to draw a curve through: more of them where lists are short."""
    curve = np.unique(np.rint(eligible * np.linspace(0, 1, SIZES + 1) ** 1.7).astype(int))
    return sorted({*curve.tolist(), listed})


def _yuan(scorer: Scorer, size: int, outcomes: float) -> float | None:
    worth = scorer.card.worth
    return None if worth is None else worth.outcome_yuan * outcomes - worth.contact_yuan * size


def _money(scorer: Scorer, size: int, found: Found) -> Money | None:
    worth = scorer.card.worth
    if worth is None:
        return None
    low, middle, high = (_yuan(scorer, size, n) or 0.0 for n in (found.low, found.expected, found.high))
    return Money(worth.contact_yuan, worth.outcome_yuan, middle, low, high, worth.why.en, worth.why.zh)


def _best(scorer: Scorer, probabilities: np.ndarray) -> int | None:
    """As many as are worth more than they cost, if the probabilities are true."""
    worth = scorer.card.worth
    return None if worth is None else int((probabilities * worth.outcome_yuan > worth.contact_yuan).sum())
