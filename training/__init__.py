"""From tasks to registered models: declare a question, learn it honestly, say how good the answer is."""

import os

# LightGBM's threads spin while they wait for each other; on a machine with other work that costs minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
