"""Sentences in both languages of those who read them."""

from typing import NamedTuple

__all__ = ["Words"]


class Words(NamedTuple):
    """The same said in English and in Chinese."""

    en: str
    zh: str

    def filled(self, **values: object) -> "Words":
        """With the values in the places that braces name."""
        return Words(self.en.format(**values), self.zh.format(**values))
