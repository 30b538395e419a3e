"""Store: everything that is said to PostgreSQL on the way in, and the connections it goes over.

Promise: ``transaction.write_batch`` returns once its requests are committed, each exactly once; or
it raises one of our errors, which says whether the server, the way to it or a row is at fault.

Follow a batch: ``transaction`` runs it; ``known`` and ``dimensions`` come first, then ``ledger``,
``copy``, ``dead_letters``, ``traces``, ``commit``; ``failures`` translates what goes wrong. ``pool`` lends the
connections, ``reaper`` ends those that hang. ``migrate`` and ``embedded`` are for before, ``read``
is for after.

Measured (20 000 spans of 512-span requests): 1.8 us of Python per span, of which COPY 0.7, the
summary of traces 0.5 and its upsert 0.4; one request alone commits in 2 ms with fsync.
"""
