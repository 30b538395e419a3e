"""Live tails: what was committed, shown as it is committed.

Promises: nothing here can slow or stop ingest, which hands over what it has just committed and never
waits; everything is bounded, and what does not fit is left out and counted, so that a reader is told
what it missed and never believes to have seen all.

    flush -> COMMIT -> publisher -> link -> subscriber -> hub -> one stream for each reader

``message`` is what crosses the link, ``publisher`` runs in every worker, ``subscriber`` and ``hub``
in the process that serves the API. There are two links: ``redis_link``, over any number of daemons,
and without Redis ``local_link``, a Unix socket between the workers of one daemon and its API.

**Nothing twice, nothing between.** A reader who asks for the last stored items and then follows must
see each item once. So the API subscribes first, waits until every worker has said that it publishes,
and reads what is stored last. A message names the transaction that it tells of, and the reading its
snapshot: what the snapshot sees was read already and is not shown again. Rejected: to compare items,
since two equal log records are two; and to compare times, since commits are not in their order.

**What was missed.** Each publisher numbers the items that it commits, published or not. A message
begins with the number of its first, so that a gap is seen, whoever made it: a full backlog, a Redis
that was away, a rate cap.
"""
