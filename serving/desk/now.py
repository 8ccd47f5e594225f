"""Feature rows of one customer at any moment, from what is stored and what was posted a second ago.

The definitions are those of the night, computed over arrays (see `features.live`): the same past gives the same bits.
"""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.barred import Reasons
from features.errors import PropensityError
from features.live import Live
from features.sources import CANONICAL
from features.timeline import MOMENTS
from features.warehouse import Warehouse
from serving.contract.refusals import Refused
from serving.desk.histories import Histories, histories_of, known
from serving.desk.picked import Picked, Sheet
from serving.desk.scoring import read_by
from serving.scorer import Scorer

__all__ = ["Now"]

ALSO = (
    "contacts_unanswered_in_a_row", "days_since_opt_out", "days_since_reply", "region", "city_tier", "workshop_dealer",
    "order_dealer", "newest_car_model", "newest_car_power_type", "preferred_power_type", "lifecycle_stage_name",
)  # fmt: skip
"""What answers need beside the models' columns: the next step and the segments."""

COPIES = "serving.warm"
PREPARED = "the stored histories of this night are being prepared; ask again in some seconds"

log = logging.getLogger(__name__)


class Now:
    """Prepared once for a load and a set of champions: by whoever asks first, or ahead by `warm`. Threads share it."""

    def __init__(self, warehouse: Callable[[], Warehouse], folder: Path) -> None:
        self._warehouse, self.folder = warehouse, folder
        self._lock = threading.Lock()
        self._histories: tuple[str, Histories] | None = None
        self._live: tuple[frozenset[str], Live] | None = None
        self._without_consents = ""
        self._warming: str | None = None

    def expect(self, load: str) -> None:
        """`warm` comes for this load: until it has ended nobody who asks copies the histories beside it."""
        self._warming = load

    def warm(self, load: str, champions: Mapping[str, Scorer], features: frozenset[str]) -> None:
        """Let another process copy the histories of a load, then open them and prepare for these champions. Meanwhile `histories` refuses
        rather than let a worker stand still."""
        try:
            if self._histories is None or self._histories[0] != load:
                self._warming = load
                done = subprocess.run(
                    [sys.executable, "-m", COPIES], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    log.error("the stored histories could not be copied: %s", done.stderr.strip())
        finally:
            self._warming = None
        try:
            self._prepared(champions, features, set(self.histories(load).sources))
        except PropensityError as error:
            log.error(
                "the stored histories could not be prepared; whoever posts events will be told so: %s", error
            )

    def histories(self, load: str = "") -> Histories:
        """The stored histories; `load` names what the night's rows were made of, and when it changes they are opened anew. Raises
        `Refused` while they are warmed."""
        held = self._histories
        if held is None or held[0] != load:
            if load == self._warming:
                raise Refused(503, PREPARED)
            with self._lock:
                if self._histories is None or self._histories[0] != load:
                    warehouse = self._warehouse()
                    self._without_consents = warehouse.without_consents
                    self._histories = (load, histories_of(warehouse, self.folder))
                held = self._histories
        return held[1]

    def rows(
        self,
        customer_id: str,
        as_of: datetime,
        tables: Mapping[str, pa.Table],
        champions: Mapping[str, Scorer],
        features: frozenset[str],
        told: Reasons,
    ) -> Picked:
        """The customer's row at `as_of` (naive UTC), nobody's when no profile of theirs was known then. `features` are those
        that the deployment's rows hold; `told` is why the customer does not allow a purpose, whatever the tables say."""
        live = self._prepared(champions, features, set(tables))
        moments = pa.table({"customer_id": [customer_id], "as_of": [as_of]}, schema=MOMENTS)
        found = Sheet(live.rows(moments, tables, {customer_id: told} if told else {}).to_batches()).all()
        return found.some(np.array([self._is_known(tables, as_of)])) if len(found) else found

    @staticmethod
    def _is_known(tables: Mapping[str, pa.Table], as_of: datetime) -> bool:
        """Whether a version of somebody's profile was known then."""
        return "customers" in tables and bool(known(tables["customers"], as_of).any())

    def _prepared(self, champions: Mapping[str, Scorer], features: frozenset[str], sources: set[str]) -> Live:
        """Only what these champions' trees read, and what answers need beside."""
        names = frozenset(
            scorer.features[place].name for scorer in champions.values() for place in read_by(scorer).tolist()
        ) | (features & set(ALSO))
        held = self._live
        if held is None or held[0] != names:
            with self._lock:
                if self._live is None or self._live[0] != names:
                    told = [name for name in CANONICAL if name in sources]
                    live = Live(told, sorted(names), without_consents=self._without_consents)
                    self._live = (names, live)
                held = self._live
        return held[1]
