"""The scoring service beside a bare Starlette application around the same booster, and a plain `@bentoml.api`.

    make bench-serving                       python -m benchmarks.serving --seconds 5 --rounds 3

The three run on the same machine at the same time, and are asked in turn, round by round: requests a second and latency by id
with 8 clients, 500 ids in one call, a crowd of clients that come back when they are told to, time from start to ready and
memory of a worker. Ours answers in full: percentile, reasons, change, next step, log. The bare one finds the row, asks the
booster for margins and contributions and says one number and three names; it has no checks, no tokens, no log.
"""
