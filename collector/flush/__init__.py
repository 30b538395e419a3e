"""Flush: from the queue into one transaction, and a retry for as long as it takes.

Promise: what was taken ends, and its senders hear of it once PostgreSQL has committed it. No
sender, row or failure of the server can kill or stall the flushers of the others, or keep the room
in the queue.

Group commit: a flusher takes what waits, writes it, and takes again. An idle daemon commits one
request at once; under load the groups grow by themselves. Only when many small requests are here
does it pause for ``gather_s`` first: by themselves the groups of 512 senders with 10 spans each
stayed at 120 rows, whose transactions cost twice as much as the rows in them.

Retry: when the server is at fault, or a COMMIT of its own without an answer still holds the locks,
the group waits and runs again. In every other case each request runs once alone; what fails alone
as well becomes a straggler, which one more task retries, so that only the guilty one waits.

Nothing is retried for nobody: between two tries an entry is given up as soon as its senders have all
left. Its bytes, if they matter to anybody, come again, and the ledger decides about a COMMIT without
an answer. Otherwise one request that can never be stored (PostgreSQL cannot make its leaf, its COPY
takes longer than it may) would keep its bytes until a restart, with enough of them nothing of any
signal would find room, and its retry, converted under the right clock, would join what cannot be
stored.

The books (promise 5), per signal: received = stored + duplicate + quarantined + rejected + refused.

- ``receive`` counts as refused the items of a decoded request that never got into the queue
  (``offer`` raised), and nothing else.
- ``buffer`` counts every end of a request that got in, once per sender: at settlement as stored,
  quarantined and rejected for one sender, as duplicate for the others of the same bytes; as refused
  for a sender that left, unless it was the last one of an entry that was taken already: its
  outcome stands, and is what gets counted. Nobody is left when such an entry is given up; then all
  its items are refused. If its COMMIT went out without an answer and stored them, its retry is a
  duplicate: the books balance, and the tables hold more than they call stored.
- ``flush`` counts what is no end of an item: reasons of repairs and quarantines (once they are
  committed), retries, transactions.
"""
