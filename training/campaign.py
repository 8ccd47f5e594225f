"""The list that the CRM would work through: how long it is, what it costs, what it brings, in yuan.

    gain of a list = outcomes in it x what reaching one is worth - customers in it x what a contact costs

The curve says which list is best to call if the sums are right. It does not say that the call brings the outcome about:
that takes customers who are held out.
"""

from dataclasses import dataclass

import numpy as np

from training.ranking import EVERY_PERCENT, Lists
from training.resampling import Estimate, estimate
from training.worth import Worth

__all__ = ["CAPACITY_SHARE", "Campaign", "Gains", "gains_of"]

CAPACITY_SHARE = 0.10


@dataclass(frozen=True)
class Campaign:
    """At one date `asked` customers may be asked about, and the CRM has time for the first `listed` of them."""

    asked: int
    listed: int
    worth: Worth | None = None

    @property
    def share(self) -> float:
        """The list's size as a share of those asked about."""
        return self.listed / self.asked

    @property
    def shares(self) -> np.ndarray:
        """The sizes of list that are looked at, as shares of those asked about."""
        return np.union1d(EVERY_PERCENT, self.share)

    def gain(self, found: np.ndarray, rows: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        """Yuan per date, from outcomes found among so many rows in the top `share`. Needs `worth`."""
        assert self.worth is not None
        each = self.worth.outcome_yuan * found / rows - self.worth.contact_yuan * share
        return np.asarray(self.asked * each)


@dataclass(frozen=True)
class Gains:
    """Yuan by size of list: `curves` by scorer (value, low, high x shares); `best` the size, as a share, at which the
    model gains most, with its interval, and `at_best` what it gains there; `ahead` the model's gain beyond the best
    rule's on lists of the CRM's size, on the same redrawn customers."""

    shares: np.ndarray
    curves: dict[str, np.ndarray]
    best: Estimate
    at_best: Estimate
    ahead: Estimate | None


def gains_of(campaign: Campaign, lists: dict[str, Lists], best_rule: str | None) -> Gains | None:
    """The gains of every scorer; None where no sums are declared."""
    if campaign.worth is None:
        return None
    shares = campaign.shares
    by_draw = {name: campaign.gain(one.found, one.rows[:, None], shares) for name, one in lists.items()}
    ours = by_draw["model"]
    place = int(ours[0].argmax())
    ahead = None
    if best_rule is not None:
        at = int(np.abs(shares - campaign.share).argmin())
        ahead = estimate(ours[:, at] - by_draw[best_rule][:, at])
    curves = {
        name: np.vstack([gain[0], np.percentile(gain[1:], [2.5, 97.5], axis=0)])
        for name, gain in by_draw.items()
    }
    return Gains(shares, curves, estimate(shares[ours.argmax(axis=1)]), estimate(ours[:, place]), ahead)
