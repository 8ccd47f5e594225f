"""Who asked for what about whom, when, for what purpose and with what result; never the values.

python -m features.audit verify       whether the trail is as it was written; names the first record that is not
python -m features.audit list         the last records, in words
"""

from features.audit.trail import Entry, Trail, noted, whoever
from features.audit.verify import verify

__all__ = ["Entry", "Trail", "noted", "verify", "whoever"]
