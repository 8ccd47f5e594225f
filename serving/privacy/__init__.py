"""What a person may demand: to be forgotten everywhere under our control, and to be told what is held.

python -m serving.privacy erase CUSTOMER      everywhere, journalled: interrupted, it goes on when called again; leaves a receipt
python -m serving.privacy finish              goes on with what was interrupted, as the batch and the service do when they start
python -m serving.privacy export CUSTOMER     everything that is held, as JSON
"""

from serving.privacy.access import export
from serving.privacy.erasure import Receipt, erase, finish

__all__ = ["Receipt", "erase", "export", "finish"]
