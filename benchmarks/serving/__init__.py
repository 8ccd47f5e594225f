"""The scoring service beside a bare Starlette application around the same booster, and a plain `@bentoml.api`.

    make bench-serving                       python -m benchmarks.serving --seconds 5 --rounds 3

The three run on the same machine at the same time, and are asked in turn, round by round: requests a second and latency by id
with 8 clients, 500 ids in one call, questions at given rates whether the one before was answered or not, time from start to
ready and memory of a worker. Ours answers in full: percentile, reasons, change since the night before, next step, log, audit
trail. The bare one finds the row, asks the booster for margins and contributions and says one number and three names; it has
no checks, no tokens, no log. Then ours alone: 200 posted events beside the stored history, and 1,000 clients at once that
come back when they are told to, each of whose answers is compared with the one a quiet server gives.
"""
