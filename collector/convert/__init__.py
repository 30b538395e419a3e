"""Bytes of one export request to rows: pure, total, and as little Python per item as possible.

Promises: any bytes either raise one of two errors (UndecodableError, TooManyItemsError) or become
rows and dead letters; ``items == rows + quarantined + rejected``; one bad item never costs a good
one; and the result is a function of the bytes, the clock's argument and the retention alone. The
only state is the memo: speed depends on what it holds, and whether ``size_bytes`` counts a shared row.

How, in the order of the data:

- ``framing`` walks the tags by hand (0.2 us per item), counts items before anything is decoded,
  and remembers where each one starts, so that slices can be decoded one by one and any item can
  be cut out again with its resource and scope (``extract``).
- ``traces``, ``metrics`` and ``logs`` turn a decoded slice into plain tuples in ``rows`` order. The
  usual item takes a straight road of look-ups: an attribute is a dict entry from its bytes to its
  JSON. Whatever is unusual leaves through ``Notes`` or an exception and is done carefully.
- ``memo`` remembers attributes at their second sight, and dimensions; ``around`` finds the resource,
  scope and metric of each group; ``values`` is the only place that knows the JSON forms,
  ``dimensions`` the only one that hashes.
- ``survey`` looks into large items before they are decoded, ``output`` adds up, ``letters`` writes the
  dead letters. ``conversion`` drives one request, ``request`` holds what outlives it.

Measured (``tests/unit/convert/speed.py``, one core of a busy 2-core machine, 512 items per request):
158k spans/s of 381 bytes with 8 attributes, 165k data points/s, 159k log records/s.

Decided against: decoding whole requests (one bad string refuses all, and memory grows with empty
submessages), opentelemetry-proto for the cold road (two decoders for one format; the byte twins
read everything it reads), a thread per request (decoding holds the GIL).
"""
