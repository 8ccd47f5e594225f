"""The card: all that serving needs to know about a model, and all that a person should.

A frozen value saved beside the model. It is the contract between the two halves of the house: which columns,
in which version, asked of whom, over which window; printed, it is the model's page.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from features.certificate import Seal
from features.consent import needed_for
from training.assessment import Fairness
from training.hazards import Hazards
from training.model import Answers
from training.worth import Worth

if TYPE_CHECKING:  # who only reads a card needs no data frames
    from training.findings import Group, Report
    from training.resampling import Estimate

__all__ = [
    "Card",
    "GradeCuts",
    "InSegment",
    "Judged",
    "Tested",
    "by_grade",
    "figures_of",
    "grade_cuts",
    "in_segments",
    "outlook_of",
]

Tested = Literal["others", "everyone", "listed"]
Figures = dict[str, dict[str, tuple[float, float, float]]]


class GradeCuts(msgspec.Struct, frozen=True):
    """Grades A, B, C are terciles by propensity of the population scored at `dated`: A from `a` up, C below `b`."""

    a: float
    b: float
    dated: datetime
    population: int

    def grade(self, probability: float) -> str:
        """The grade A, B or C of a probability."""
        return "A" if probability >= self.a else "B" if probability >= self.b else "C"


class Judged(msgspec.Struct, frozen=True):
    """One outcome by one horizon on the test: how many had it, how many were promised, and the figures."""

    outcome: str
    horizon_days: int
    happened: int
    promised: float
    figures: Figures


class InSegment(msgspec.Struct, frozen=True):
    """One group of a declared segment, or a month, on the test; no figures where it is too small to judge."""

    segment: str
    value: str
    rows: int
    happened: int
    promised: float
    figures: Figures


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A model's page. `features` maps names to fingerprints, in the model's order; `levels` holds the categories among
    them, whose places are their numbers; `figures` holds by scorer and metric (value, low, high), out of sample, for
    the wanted outcomes by the longest horizon, `outlook` for each outcome and horizon, `segments` by declared segment and
    month of the test, and by grade; dates are moments,
    `trained_through` the end of the last outcome window that was learned from; `certificate` the seal of its leak
    certificate; `settings` the numbers that shaped the trees, `settings_by` who chose them, in words;
    `tested` whom the test asks about: others than the fit, everyone at later dates, or a list; `too_good` why the
    figure is not believed, where it is not; `worth` what a contact costs and an outcome is worth, where the task says;
    `line_share` how much of the margin is the line's, the rest being the trees'; `legal_basis`, `retention_days` and `risk` are its
    task's assessment, `columns` those of the sources that its features read, `sensitive` why, of those among them;
    `fairness` what its task owes groups; `without_consents` why nobody's consent was looked at, where it was not."""

    task: str
    question: str
    cohort: str
    purpose: str
    kinds: tuple[str, ...]
    wanted: tuple[str, ...]
    silence: bool
    horizons_days: tuple[int, ...]
    gap_days: int
    features: dict[str, str]
    levels: dict[str, tuple[str, ...]]
    hazards: Hazards
    fit_at: list[datetime]
    calibrate_at: list[datetime]
    test_at: list[datetime]
    trained_through: datetime
    cut: str
    rows_fit: int
    rows_test: int
    outcomes_test: int
    base_rate: float
    grades: GradeCuts
    figures: Figures
    outlook: list[Judged]
    beaten: list[str]
    rules: list[str]
    rule_sentences: dict[str, str]
    data_digest: str
    code_revision: str
    packages: dict[str, str]
    made_at: datetime
    certificate: Seal | None = None
    settings: dict[str, float] = {}
    settings_by: str = ""
    tested: Tested = "others"
    segments: list[InSegment] = []
    too_good: str = ""
    worth: Worth | None = None
    line_share: float = 0.0
    legal_basis: str = ""
    retention_days: int = 0
    risk: str = ""
    columns: list[str] = []
    sensitive: dict[str, str] = {}
    fairness: Fairness | None = None
    without_consents: str = ""

    @property
    def in_time(self) -> bool:
        """Whether every outcome learned from was settled before the test's first moment."""
        return self.trained_through <= min(self.test_at)

    @property
    def horizon_days(self) -> int:
        """The longest horizon, which propensity, grades and figures speak about."""
        return self.horizons_days[-1]

    @property
    def answers(self) -> Answers:
        """What the model answers, as it needs to know it."""
        wanted = tuple(self.kinds.index(kind) for kind in self.wanted)
        return Answers(self.kinds, self.horizons_days, wanted, self.silence)

    @property
    def unbeaten(self) -> list[str]:
        """The task's rules that the model does not lead in ROC AUC."""
        return [
            rule for rule in self.rules if self.figures["model"]["auc"][0] <= self.figures[rule]["auc"][0]
        ]

    def to_json(self) -> bytes:
        """The card as it is kept beside the model."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, text: bytes) -> "Card":
        """The card that was kept."""
        return msgspec.json.decode(text, type=cls)

    def __str__(self) -> str:
        auc, low, high = self.figures["model"]["auc"]
        lines = [
            f"{self.task}: {self.question}",
            f"asked of        customers in the cohort {self.cohort!r}",
            f"outcome         {' or '.join(self.wanted)}, of {', '.join(self.kinds)}",
            f"windows         {', '.join(map(str, self.horizons_days))} days after a gap of {self.gap_days}",
            f"features        {len(self.features)}",
            f"trees           {', '.join(f'{name} {value:.4g}' for name, value in self.settings.items()) or '-'}",
            f"line            makes {self.line_share:.0%} of the margin, the trees the rest",
            f"chosen by       {self.settings_by or '-'}",
            f"learned from    {self.rows_fit:,} moments, outcomes through {self.trained_through:%Y-%m-%d}",
            f"kept apart      {self.cut}",
            f"ROC AUC         {auc:.3f} ({low:.3f}-{high:.3f}) on {self.rows_test:,} moments",
            f"credible        {self.too_good or 'yes'}",
            f"ahead of        {', '.join(self.beaten) or 'nothing, beyond chance'}",
            f"grades          A from {self.grades.a:.4f}, B from {self.grades.b:.4f}, as of {self.grades.dated:%Y-%m-%d}",
            f"consent for     {', '.join(needed_for(self.purpose))}",
            f"without it      {self.without_consents or 'nobody is asked about'}",
            f"legal basis     {self.legal_basis or '-'}",
            f"kept for        {self.retention_days:,} days",
            f"risk            {self.risk or '-'}",
            f"columns         {', '.join(self.columns)}",
            f"sensitive       {', '.join(f'{name}: {why}' for name, why in self.sensitive.items()) or 'none'}",
            f"owed to groups  {_owed(self.fairness)}",
            f"leaks           {self.certificate.finding if self.certificate else 'not certified'}",
            f"certificate     {self.certificate.digest if self.certificate else '-'}",
        ]
        return "\n".join(lines)


def _owed(fairness: Fairness | None) -> str:
    if fairness is None:
        return "nothing declared"
    return f"{', '.join(fairness.groups)}: found at most {fairness.found_behind} behind everybody, promised at most {fairness.off} off"


def grade_cuts(probabilities: list[float], dated: datetime) -> GradeCuts:
    """Cut points of three equal parts of the scored population."""
    ranked = sorted(probabilities, reverse=True)
    last_of_a, last_of_b = (max(round(len(ranked) * thirds / 3) - 1, 0) for thirds in (1, 2))
    return GradeCuts(ranked[last_of_a], ranked[last_of_b], dated, len(ranked))


def by_grade(cuts: GradeCuts, probabilities: np.ndarray, outcome: np.ndarray) -> list[InSegment]:
    """What each grade was promised and what came, of tested moments: a forecast by grade is as good as that."""
    grade = np.array([cuts.grade(p) for p in probabilities.tolist()])
    return [
        InSegment(
            "grade", name, int(mine.sum()), int(outcome[mine].sum()), float(probabilities[mine].sum()), {}
        )
        for name in ("A", "B", "C")
        if (mine := grade == name).any()
    ]


def figures_of(scorers: "Mapping[str, Mapping[str, Estimate]]") -> Figures:
    """Figures by scorer and metric as the card keeps them."""
    return {name: {m: (e.value, e.low, e.high) for m, e in row.items()} for name, row in scorers.items()}


def outlook_of(report: "Report") -> list[Judged]:
    """A report's outcomes by horizons as the card keeps them."""
    return [
        Judged(c.outcome, c.horizon_days, c.outcomes, c.promised * report.rows, figures_of(c.scorers))
        for c in report.cells
    ]


def in_segments(groups: "Iterable[Group]") -> list[InSegment]:
    """Figures by segment and month as the card keeps them."""
    return [
        InSegment(g.segment, g.value, g.rows, g.outcomes, g.promised * g.rows, figures_of(g.scorers))
        for g in groups
    ]
