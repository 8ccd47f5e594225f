"""What a task's contact costs and its outcome is worth: declared by the task, kept on the card."""

from dataclasses import dataclass

from training.words import Words

__all__ = ["Worth"]


@dataclass(frozen=True)
class Worth:
    """What a contact costs and what reaching someone with the outcome is worth, in yuan; `why` says where the sums come
    from."""

    contact_yuan: float
    outcome_yuan: float
    why: Words

    @property
    def breaks_even_at(self) -> float:
        """The share of a list that must have the outcome for the list to pay."""
        return self.contact_yuan / self.outcome_yuan
