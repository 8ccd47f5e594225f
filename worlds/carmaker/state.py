"""The hidden state of people at the start of a week: what they feel, what they own, what is on its way."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVE",
    "DORMANT",
    "FADING",
    "NEVER",
    "NONE",
    "PLANS",
    "POWERS",
    "SLOTS",
    "Garage",
    "State",
    "garage",
]

Array = npt.NDArray[Any]

ACTIVE, FADING, DORMANT = 0, 1, 2
SLOTS = 3  # two cars at most, and a third place while a replacement is handed over
NONE = -20_000  # an empty slot's delivery week
NEVER = 20_000  # a week that does not come
POWERS = ("ICE", "HEV", "PHEV", "BEV")
PLANS = ("cash", "loan", "lease")


@dataclass
class State:
    """One array per variable, one entry (or a row of SLOTS cars) per person. Weeks count from the world's start."""

    interest: Array  # wish for a(nother) car, a log intensity
    engagement: Array  # liveliness on channels, a log intensity
    satisfaction: Array
    grievance: Array  # recent complaints, fading
    tested: Array  # recent test drives, fading
    mode: Array  # ACTIVE, FADING (silence grows) or DORMANT
    growing: Array  # the household is growing (bool)
    hold_until: Array  # week before which no new order or disposal is decided
    last_visit: Array  # week of the last maintenance
    cars_ever: Array
    arrives: Array  # week in which the open order is delivered or cancelled, NEVER without one
    cancelled: Array  # the open order will be cancelled (bool)
    arriving_class: Array
    arriving_power: Array
    arriving_plan: Array
    delivered: Array  # (n, SLOTS) week of delivery, NONE for an empty slot
    leaves: Array  # (n, SLOTS) week of the agreed disposal, NEVER without one
    finance_end: Array  # (n, SLOTS) week of the last instalment, NONE for a car paid in cash
    warranty_end: Array  # (n, SLOTS)
    car_class: Array  # (n, SLOTS)
    car_power: Array  # (n, SLOTS)
    car_number: Array  # (n, SLOTS) the person's how-manieth car

    def take(self, rows: Array) -> "State":
        """A copy with the given people."""
        return State(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def columns(self) -> dict[str, Array]:
        """Flat columns for storage; a slot's columns are numbered."""
        flat: dict[str, Array] = {}
        for f in fields(self):
            values = getattr(self, f.name)
            flat |= (
                {f.name: values}
                if values.ndim == 1
                else {f"{f.name}_{s}": values[:, s] for s in range(SLOTS)}
            )
        return flat

    @classmethod
    def from_columns(cls, flat: dict[str, Array]) -> "State":
        """What `columns` flattened."""
        return cls(
            **{
                f.name: flat[f.name].copy()
                if f.name in flat
                else np.column_stack([flat[f"{f.name}_{s}"] for s in range(SLOTS)])
                for f in fields(cls)
            }
        )


@dataclass(frozen=True)
class Garage:
    """What the state says about the cars held: the oldest counts for age, finance and warranty."""

    cars: Array
    owner: Array  # float 0/1
    oldest: Array  # slot of the oldest car
    age: Array  # years
    finance_near: Array  # 0..1, one at the end of finance
    warranty_near: Array  # 0..1, one at the end of warranty
    out_of_warranty: Array  # float 0/1
    top_class: Array
    plugs_in: Array  # float 0/1
    oldest_number: Array  # the person's how-manieth car the oldest is
    plug_number: Array  # the same for the car with a plug


def garage(state: State, week: int) -> Garage:
    """Look into everybody's garage at a week."""
    held = state.delivered > NONE
    oldest = np.where(held, state.delivered, NEVER).argmin(axis=1)
    rows = np.arange(len(oldest))
    owner = np.asarray(held.any(axis=1))
    plugs: Array = held & (state.car_power >= 2) & (state.delivered < week)
    delivered = state.delivered[rows, oldest]
    to_finance = (state.finance_end[rows, oldest] - week).astype(np.float32)
    to_warranty = (state.warranty_end[rows, oldest] - week).astype(np.float32)
    return Garage(
        cars=held.sum(axis=1),
        owner=np.asarray(owner, np.float32),
        oldest=oldest,
        age=np.where(owner, week - delivered, 0).astype(np.float32) / np.float32(52.18),
        finance_near=owner * np.exp(-((to_finance / 14) ** 2)),
        warranty_near=owner * np.exp(-((to_warranty / 14) ** 2)),
        out_of_warranty=(owner & (to_warranty < 0)).astype(np.float32),
        top_class=np.where(held, state.car_class, 0).max(axis=1),
        plugs_in=np.asarray(plugs.any(axis=1), np.float32),
        oldest_number=state.car_number[rows, oldest],
        plug_number=state.car_number[rows, plugs.argmax(axis=1)],
    )
