"""``otlpg export``: what is stored, back as OTLP, to a file or to another receiver.

``plan`` cuts the range of time into slices, ``read`` turns the rows of a slice into requests of a
bounded size, ``file_sink`` and ``endpoint_sink`` take these, ``run`` goes through all of it.

A slice is read in one transaction of its own, so that PostgreSQL can clean up behind a long export.
What is stored later into a slice that was read is not in the export. Slices go by time, one after the
other, and a slice that was taken as a whole is where an export that was ended can go on: within one,
a receiver may get requests a second time.
"""
