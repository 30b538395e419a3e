"""A canary: marked items through the front door, read back from PostgreSQL, compared, counted.

Promises: what a running ``otlpg`` acknowledged is there at once, once, and as it was sent, or an
operator hears of it. Everything here is bounded: rounds under way, calls, reads, what is remembered;
and nothing of it ends because the daemon or PostgreSQL is away.

- ``marked`` makes the requests of a round, ``doors`` sends bytes over gRPC or HTTP, ``delivery``
  sends again as an OTLP sender should, ``look`` reads rows back, ``judge`` compares, ``backlog``
  looks again for what nobody could read, ``tally`` counts and ``canary`` runs the rounds.
- *OK means committed*, so rows are looked for once, right after OK, and what is not there is lost: no
  grace, no second look, or the canary would forgive what it is there to find. A replica lags by
  design; for one, ``visible_within_s`` says how long a row may take. A standby without that setting
  is not read: everything would look lost.
- A refusal is no loss. A request is sent again, with the same bytes, until its deadline; then its
  items are *refused*, or *unheard* when they are stored after all. A part of a request without the
  rest is a loss, acknowledged or not: it should have been one transaction.
- What cannot be read back, since PostgreSQL is away, is remembered and looked for once it can be read
  again: a failover is what loses rows. Only what the bounded memory drops, or the end of the run
  leaves, is *unread*, which is no alarm: it says that nobody looked.
- Series must not grow with time. The resource, the scopes, the metrics and their attributes are
  always the same for one ``instance``; what differs from round to round is in times, values and
  exemplars, and in attributes of spans and log records, which are no dimension.
- The sender is written here, not taken from the SDK: the canary must see each attempt, and send the
  same bytes again, also after OK. Rows become OTLP through ``restore``, and ``restore.equality``
  compares with the official messages that were sent, so ``convert`` cannot hide its own mistakes.
"""
