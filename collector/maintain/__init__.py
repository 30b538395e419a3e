"""Keeps the tables fit for what comes: leaves ahead of time, and a ledger of bounded size.

Promises: a flush finds its leaf; making or letting go of one blocks no COPY and no SELECT; any
number of processes may do it at once; and when it fails, ingest goes on.
"""
