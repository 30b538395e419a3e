"""Buffer: one bounded queue per signal between the receivers and the flushers.

Promise: what waits is bounded in items and in bytes, in flight included, under any input; a refused
offer changes nothing; a request that was taken is never lost from sight before it is settled.

Why a queue of our own and not ``asyncio.Queue``: that one counts entries, not items and bytes; it
cannot hand out a group of entries that fits one transaction, let a sender leave from the middle, or
let a second sender join the same bytes.

The queue also keeps the books (promise 5), because only it knows at every moment how many senders
an entry still speaks for; ``collector/flush/__init__.py`` has the whole rule.
"""
