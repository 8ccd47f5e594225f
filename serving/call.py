"""What a request says beside its body: who asks, and about which tasks they may."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["ROLES", "Call", "Role"]

Role = Literal["crm", "adviser", "scientist", "operator"]
ROLES: tuple[Role, ...] = ("crm", "adviser", "scientist", "operator")


@dataclass(frozen=True)
class Call:
    """One request as the desk sees it. `asker` is the name of the token, never the token; `tasks` the tasks it may ask
    about (None: all)."""

    asker: str = "development"
    tasks: frozenset[str] | None = None
