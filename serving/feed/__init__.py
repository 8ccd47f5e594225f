"""What changed between two runs, for a CRM: only customers whose grade or main reason is another one."""

from serving.feed.changes import Change, Moved, changes

__all__ = ["Change", "Moved", "changes"]
