"""Who gathers scores rather than uses them, or feels a model out: noticed, recorded, and told to whoever watches.

    gathers     asked about more customers within a day than anybody needs to (a copy of the base, bit by bit)
    feels out   asked again and again about one customer within an hour (what would have to change for another score)

A quota bounds what somebody gets in a minute and an alarm says what they come to in a day; it stops nobody, for it may be a new
campaign. Counted by worker, told once a day for each asker and kind, kept in memory: the audit trail has it whole. Of customers only those
asked about most often are held (Misra and Gries 1982), so that memory is bounded whatever is asked.
"""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

__all__ = ["Gathering"]

HOUR_S, DAY_S = 3_600.0, 86_400.0
CUSTOMERS_A_DAY, TIMES_AN_HOUR = 100_000, 200
MOST_HELD = 20_000
FEW = 3  # customers of a question that may be one of many about the same


class Gathering:
    """What each asker came to lately. Threads may share it. `PROPENSITY_ALARM_CUSTOMERS_PER_DAY` and
    `PROPENSITY_ALARM_TIMES_PER_HOUR` set other limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._customers = int(os.environ.get("PROPENSITY_ALARM_CUSTOMERS_PER_DAY", CUSTOMERS_A_DAY))
        self._times = int(os.environ.get("PROPENSITY_ALARM_TIMES_PER_HOUR", TIMES_AN_HOUR))
        self._gathered: dict[str, deque[tuple[float, int]]] = {}
        self._felt: Counter[tuple[str, str]] = Counter()
        self._felt_since = self._clock()
        self._told: dict[tuple[str, str], float] = {}

    def noticed(self, asker: str, subjects: Sequence[str]) -> dict[str, int]:
        """Alarms that an answer about these pseudonyms raises, and how many customers or times each is about."""
        if not subjects:
            return {}
        with self._lock:
            now = self._clock()
            alarms = {}
            if (customers := self._sum(asker, len(subjects), now)) > self._customers:
                alarms["gathers"] = customers
            if len(subjects) <= FEW and (times := self._most(asker, subjects, now)) > self._times:
                alarms["feels out"] = times
            new = {kind: count for kind, count in alarms.items() if now >= self._told.get((asker, kind), now)}
            self._told |= {(asker, kind): now + DAY_S for kind in new}
            return new

    def _sum(self, asker: str, customers: int, now: float) -> int:
        """Customers within a day, in parts of an hour."""
        parts = self._gathered.setdefault(asker, deque())
        if parts and now - parts[-1][0] < HOUR_S / 4:
            since, before = parts.pop()
            parts.append((since, before + customers))
        else:
            parts.append((now, customers))
        while now - parts[0][0] > DAY_S:
            parts.popleft()
        return sum(count for _, count in parts)

    def _most(self, asker: str, subjects: Sequence[str], now: float) -> int:
        if now - self._felt_since > HOUR_S:
            self._felt.clear()
            self._felt_since = now
        for one in subjects:
            self._felt[asker, one] += 1
        times = max(self._felt[asker, one] for one in subjects)
        while len(self._felt) > MOST_HELD:
            self._felt = Counter({one: count - 1 for one, count in self._felt.items() if count > 1})
        return times
