"""Query: one filter grammar, and the items that PostgreSQL holds, found by it.

Promise: a filter means the same wherever it is asked. ``Filter.matches`` judges an item that is on
its way to a live tail, ``sql.where`` lets PostgreSQL judge the stored row of the same item, and
``tests/db/test_filter_agreement.py`` holds the two together on generated filters and items.

Follow a filter: ``filters.Filter.parse`` reads it by ``grammar`` into ``terms``; ``matching`` makes
closures of them, ``sql`` makes SQL, in which everything a user wrote is a bind parameter. ``recent``
finds the newest stored items, with ``traces``, ``metrics`` and ``logs`` for what differs between
signals, and says by a ``snapshot.Snapshot`` which transactions it saw, so that a tail can go on
without gap or repeat.

Reading never disturbs writing: one read-only transaction, bounded in time, on a connection that the
caller lends.
"""
