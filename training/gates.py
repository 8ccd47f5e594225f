"""The gates between a model and its customers: each a small function that says what it measured, what is allowed, and why.

    must hold       a complete card, a lawful use, no leak, golden predictions, a better ranking than every rule, not behind the champion,
                    what the task declared it owes groups
    should hold     tested later than it learned, ahead of the rules beyond chance, calibrated overall and by segment, a
                    top tenth that keeps

What must hold refuses. What should hold refuses too, unless nothing serves yet or what serves is no better: then the
model passes with a reservation, which the history and the registry keep; so does, always, one whose history has no later
test, for a cut by customer alone flatters. A test of few rows cannot show a small error of
calibration: allowed is what the limit says or what chance alone gives, whichever is more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.feature_set import FEATURES
from features.lawful import columns_read, undeclared
from training.calibration import Calibration, calibration_of
from training.card import Card
from training.fairness import top_tenth, treated
from training.history import PASSED, REFUSED, RESERVED, Finding
from training.ranking import aucs, lifts, log_losses
from training.resampling import Estimate, lead
from training.segments import FEWEST_OUTCOMES, enough, groups_of

__all__ = ["GATES", "Evidence", "Verdict", "judged"]

LAWFUL = "lawful"
MOST_ECE = 0.01
MOST_ECE_OF_SEGMENT = 0.03
LEAST_OF_LIFT = 0.5


@dataclass(frozen=True)
class Evidence:
    """All that gates look at. `rows` (customer_id, as_of, outcome, segments) are moments out of the challenger's sample,
    windows closed; `probability` and `served` are what challenger and champion promise them (None: no champion, or one
    that cannot be scored today, `unfit` says why), `ranks` the rules' scores; `unlike` says how the champion's question
    differs, `note` what else is to be known of it, `broken` what is wrong with the challenger's files."""

    card: Card
    rows: pd.DataFrame
    probability: np.ndarray
    ranks: Mapping[str, np.ndarray]
    served: np.ndarray | None = None
    champion: str | None = None
    unfit: str = ""
    unlike: str = ""
    note: str = ""
    broken: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gates found about a model; `champion` is the version that it was compared with, or would replace."""

    champion: str | None
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> list[str]:
        """Why it may not be promoted, in words; nothing when it may."""
        return [f.words for f in self.findings if f.verdict == REFUSED]

    @property
    def unlawful(self) -> bool:
        """Whether it may not be used at all, whatever is said for it."""
        return any(f.gate == LAWFUL and f.verdict == REFUSED for f in self.findings)

    @property
    def reserved(self) -> list[str]:
        """What is not as it should be, though it may be promoted, in words."""
        return [f.words for f in self.findings if f.verdict == RESERVED]


def judged(evidence: Evidence) -> Verdict:
    """Every gate's findings."""
    return Verdict(evidence.champion, tuple(found for gate in GATES for found in gate(evidence)))


def complete_card(e: Evidence) -> Iterator[Finding]:
    """The card says all that a reader of the model needs."""
    needed = ("question", "cohort", "purpose", "features", "test_at", "figures", "outlook", "rules", "rule_sentences",
              "data_digest", "code_revision", "packages", "certificate")  # fmt: skip
    missing = [name for name in needed if not getattr(e.card, name)]
    words = f"the card does not say: {', '.join(missing)}" if missing else "the card says all it should"
    yield _finding("card", f"{len(needed) - len(missing)} entries", f"{len(needed)}", not missing, words)


def lawful(e: Evidence) -> Iterator[Finding]:
    """Purpose, legal basis, retention and risk are stated, and no column is read that was not declared."""
    needed = ("purpose", "legal_basis", "retention_days", "risk", "columns")
    missing = [name for name in needed if not getattr(e.card, name)]
    features = [FEATURES[name] for name in e.card.features if name in FEATURES]
    wrong = undeclared(features, e.card.purpose, e.card.sensitive)
    wrong += [name for name in columns_read(features) if name not in e.card.columns]
    said = [f"the card does not say: {', '.join(missing)}"] if missing else []
    said += [f"it reads what its purpose does not cover: {', '.join(dict.fromkeys(wrong))}"] if wrong else []
    words = (
        "; ".join(said)
        or "purpose, legal basis, retention and risk are stated, and every column it reads is covered"
    )
    measured = f"{len(e.card.columns)} columns, {len(set(wrong))} not covered"
    yield _finding(LAWFUL, measured, "all covered", not said, words)


def no_leak(e: Evidence) -> Iterator[Finding]:
    """The run's certificate found nothing that knows the future."""
    seal = e.card.certificate
    words = seal.finding if seal else "no leak certificate"
    yield _finding("leaks", "clean" if seal and seal.clean else "not clean", "clean", bool(seal and seal.clean), words)  # fmt: skip


def later_test(e: Evidence) -> Iterator[Finding]:
    """The test came after everything that was learned; else it is a reservation."""
    words = f"kept apart {e.card.cut}"
    if not e.card.in_time:
        words = f"not tested after all it learned from, which flatters: {words}"
    first, verdict = f"{min(e.card.test_at):%Y-%m-%d}", PASSED if e.card.in_time else RESERVED
    yield Finding("later test", first, f"from {e.card.trained_through:%Y-%m-%d}", verdict, words)


def golden(e: Evidence) -> Iterator[Finding]:
    """The files score the rows kept beside them as they did when they were written."""
    words = e.broken or "the files score their golden rows to the bit, with today's features"
    yield _finding("golden", "differ" if e.broken else "equal", "equal", not e.broken, words)


def beats_rules(e: Evidence) -> Iterator[Finding]:
    """Ahead of each of the task's rules in ROC AUC, on the same redrawn customers, beyond chance."""
    for name, rank in e.ranks.items():
        gain = lead(aucs, e.rows, e.probability, rank)
        measured, allowed = _signed(gain), "ROC AUC ahead"
        if gain.value <= 0:
            yield _finding(f"rule {name}", measured, allowed, False, f"behind {name}: ROC AUC {measured}")
        elif gain.low > 0:
            yield _finding(f"rule {name}", measured, allowed, True, f"ahead of {name}, beyond chance")
        else:
            no_better = e.served is None or lead(aucs, e.rows, e.served, rank).low <= 0
            words = f"ahead of {name}, but not beyond chance: ROC AUC {measured}"
            yield _should(f"rule {name}", measured, allowed, False, no_better, words)


def keeps_up(e: Evidence) -> Iterator[Finding]:
    """Not behind the champion in log loss or ROC AUC beyond chance, where the two answer the same question."""
    if e.served is None:
        words = e.unlike or e.unfit or "nothing serves yet"
        yield _finding("champion", "-", "not behind", not e.unlike, words)
        return
    stay = top_tenth(e.probability)[top_tenth(e.served)].mean()
    for name, figure, sign in (("log loss", log_losses, -1), ("ROC AUC", aucs, 1)):
        pair = (e.probability, e.served) if sign > 0 else (e.served, e.probability)
        gain = lead(figure, e.rows, *pair)
        fine = gain.high >= 0
        said = "ahead of" if gain.low > 0 else "level with" if fine else "behind"
        words = f"{said} champion {e.champion} in {name}: better by {_signed(gain)}; {stay:.0%} of its top tenth stay{e.note}"
        yield _finding(f"champion {name}", _signed(gain), "not behind", fine, words)


def calibrated(e: Evidence) -> Iterator[Finding]:
    """The calibration error without the noise of the test, over all rows."""
    found = _calibration_of(e.rows, e.probability)
    no_better = e.served is None or found.corrected <= _calibration_of(e.rows, e.served).corrected
    yield _calibration("calibration", "overall", found, MOST_ECE, no_better)


def calibrated_in_segments(e: Evidence) -> Iterator[Finding]:
    """The segment that is farthest beyond what is allowed it; the more are looked at, the more chance may do."""
    segments = list(_segments(e.rows))
    found = []
    for name, inside in segments:
        one = _calibration_of(e.rows[inside], e.probability[inside], share=1 - 0.05 / len(segments))
        found.append((one.corrected - max(MOST_ECE_OF_SEGMENT, one.by_chance), name, inside, one))
    if not found:
        words = "no segment has enough rows to judge"
        yield Finding("worst segment", "-", f"{MOST_ECE_OF_SEGMENT}", PASSED, words)
        return
    _, name, inside, worst = max(found, key=lambda one: one[0])
    no_better = (
        e.served is None or worst.corrected <= _calibration_of(e.rows[inside], e.served[inside]).corrected
    )
    where = f"in the worst of {len(segments)} segments, {name}"
    yield _calibration("worst segment", where, worst, MOST_ECE_OF_SEGMENT, no_better)


def stable_top(e: Evidence) -> Iterator[Finding]:
    """No date at which the top tenth finds less than half of what it finds on average, beyond chance.

    Each date has its own top tenth, as each campaign has its own list."""
    lift, found = lifts(0.10), []
    for date in sorted(e.rows["as_of"].unique()):
        inside = (e.rows["as_of"] == date).to_numpy()
        if e.rows.loc[inside, "outcome"].sum() >= FEWEST_OUTCOMES:
            found.append((lead(lift, e.rows[inside], e.probability[inside]), date, inside))
    if len(found) < 2:
        words = "fewer than two dates with enough outcomes: nothing to compare"
        yield Finding("top tenth", "-", f"{LEAST_OF_LIFT} of the mean", PASSED, words)
        return
    mean = float(np.mean([one.value for one, *_ in found]))
    worst, date, inside = min(found, key=lambda one: one[0].value)
    no_better = e.served is None or (
        worst.value >= lead(lift, e.rows[inside], e.served[inside], replicates=0).value
    )
    words = f"lift of the top tenth on average {mean:.2f}, at its worst date ({date:%Y-%m-%d}) {worst}"
    least = LEAST_OF_LIFT * mean
    yield _should(
        "top tenth", f"{worst.value:.2f}", f"at least {least:.2f}", worst.high >= least, no_better, words
    )


def fair(e: Evidence) -> Iterator[Finding]:
    """What the task declared: no group's members who act are found less often than everybody's, and none is promised too much or too
    little, beyond the limits and beyond chance. Nothing is asked where nothing was declared."""
    owed = e.card.fairness
    if owed is None:
        return
    groups = list(treated(e.rows, e.probability, owed.groups))
    if not groups:
        yield Finding(
            "groups", "-", "-", PASSED, f"no group of {', '.join(owed.groups)} is large enough to judge"
        )
        return
    least = min(groups, key=lambda one: one.ahead.high)
    words = (
        f"of those who act the top tenth finds {least.found:.1%} in the group worst off, {least.segment} {least.value}, against everybody's "
        f"by {_signed(least.ahead)}; {-owed.found_behind:+} allowed"
    )
    fine = least.ahead.high >= -owed.found_behind
    yield _finding("groups found", f"{least.ahead.value:+.4f}", f"{-owed.found_behind:+}", fine, words)
    worst = max(groups, key=lambda one: _beyond_nought(one.off))
    words = f"promised less happened is {_signed(worst.off)} in the group farthest off, {worst.segment} {worst.value}; {owed.off} allowed"
    yield _finding(
        "groups promised",
        f"{worst.off.value:+.4f}",
        f"{owed.off}",
        _beyond_nought(worst.off) <= owed.off,
        words,
    )


GATES: tuple[Callable[[Evidence], Iterable[Finding]], ...] = (
    complete_card,
    lawful,
    no_leak,
    later_test,
    golden,
    beats_rules,
    keeps_up,
    calibrated,
    calibrated_in_segments,
    stable_top,
    fair,
)


def _calibration(gate: str, where: str, found: Calibration, most: float, no_better: bool) -> Finding:
    allowed = max(most, found.by_chance)
    by_chance = f" (chance alone: {found.by_chance:.4f})" if allowed > most else ""
    words = (
        f"calibration error {where}: {found.corrected:.4f} ({found.low:.4f} to {found.high:.4f}) without noise, "
        f"{found.plain:.4f} with it; {most} allowed{by_chance}"
    )
    return _should(gate, f"{found.corrected:.4f}", f"{allowed:.4f}", found.corrected <= allowed, no_better, words)  # fmt: skip


def _calibration_of(rows: pd.DataFrame, probability: np.ndarray, share: float = 0.95) -> Calibration:
    outcome, customers = rows["outcome"].to_numpy(dtype=np.float64), rows["customer_id"].to_numpy()
    return calibration_of(outcome, probability, customers, share=share)


def _segments(rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """The groups of the declared segments that are large enough to judge."""
    for segment, value, inside in groups_of(rows):
        if enough(int(inside.sum()), int(rows["outcome"].to_numpy()[inside].sum())):
            yield f"{segment.name} {value}", inside


def _beyond_nought(e: Estimate) -> float:
    """How far it is from nought at the least."""
    return max(e.low, -e.high, 0.0)


def _signed(e: Estimate) -> str:
    return f"{e.value:+.4f} ({e.low:+.4f} to {e.high:+.4f})"


def _finding(gate: str, measured: str, allowed: str, fine: bool, words: str) -> Finding:
    return Finding(gate, measured, allowed, PASSED if fine else REFUSED, words)


def _should(gate: str, measured: str, allowed: str, fine: bool, no_better: bool, words: str) -> Finding:
    """`no_better`: nothing serves, or what serves is as bad."""
    verdict = PASSED if fine else RESERVED if no_better else REFUSED
    return Finding(gate, measured, allowed, verdict, words)
