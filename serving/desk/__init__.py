"""What the service answers, free of any framework: champions and rows held in memory, behind a few questions."""

from serving.desk.desk import Desk

__all__ = ["Desk"]
