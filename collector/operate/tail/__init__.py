"""The reader's end of the live tail: what `otlpg tail` does beside printing.

A client of ``GET /api/v1/tail``: it needs neither PostgreSQL nor Redis, and nothing of ours but that
route. ``connection`` is one answer of the server, ``sse`` reads its events, ``news`` says what they
mean, ``client`` goes on for ever where one connection ends, and ``traces`` puts spans together.

Promise: every item that the server sends is told once and in its order, and so is every gap that the
server or the network made. Memory is bounded whatever the server sends. Nothing here writes to a
terminal; what a sender or the server said is handed on as it is, and ``cli`` makes it harmless.

Decision: h11 over asyncio's streams, as ``verify`` has it, and no HTTP client library. What is needed
of HTTP is one GET whose body never ends; what a library would add (redirects that take the key
along, proxies, pools, retries of its own) is unwanted here, and its own buffers would be unbounded.
"""
