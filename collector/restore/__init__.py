"""Rows back to OTLP: the exact inverse of ``convert``, for replay, export and readers (promise 8).

Pure functions from tuples in ``rows.X`` order and the dimensions they refer to, to official
opentelemetry-proto messages. Where a row has ``raw``, what ``raw`` says wins over the columns:
columns are made for queries (clamped times, the last of two equal keys), ``raw`` is what was sent.

Not given back, by decision: the sender's grouping (items come out grouped by resource, scope and
metric, in the order in which each group is first seen), unknown fields, and the order of keys
inside an attribute map that has no duplicate.
"""
