"""Receive: a request comes in, and its sender hears OK only after COMMIT.

Promises: a refusal arrives before the sender's deadline and says whether to try again; memory is
bounded before the queue by ``slots``, which bodies that never come cannot all take through one
connection; nothing of ours but a fixed text ever reaches a sender.

One export body (``export.py``) serves all signals and protocols; a protocol only supplies how to
read one body and how to write one verdict.

Decisions that bind:

- The three gRPC methods are registered as ``stream_unary``: the same wire as unary, but the handler
  runs before the body is read. A unary handler buffers whole bodies first: 16 gzip requests of
  1 MiB on the wire cost 1.08 GiB; this way 97-157 MiB.
- HTTP is Starlette on uvicorn with h11, not httptools: h11 refuses what smuggles and bounds a head that
  is not whole. It costs no more than gRPC: 0.58 against 0.67 ms of CPU for a request of 10 spans, all
  stages together, and the same for 512.
- Never ``maximum_concurrent_rpcs``: it refuses with RESOURCE_EXHAUSTED, which senders do not retry.
- No listener beyond loopback without TLS and keys or client certificates, or else ``insecure``
  (promise 9): ``Settings`` itself refuses to exist.
- Who comes in is decided before a slot is taken or a byte of the body read (``auth.py``), from keys in
  memory: 12 us a request. Rejected: a question to PostgreSQL per request, which would make an outage
  of it an outage of the door, and one reading per unknown key, which strangers could cause at will.
- HTTP accepts its TLS connections itself (``tls_listener.py``). Rejected: ``loop.start_tls`` (uvloop
  loses what arrives before it is called; asyncio hands over data before ``connection_made``) and
  swapping the context in ``sni_callback`` (no bound on handshakes under way, nor on their time).
"""
