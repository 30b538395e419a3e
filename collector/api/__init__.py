"""The read side over HTTP, in a process of its own beside the workers.

Promise: whatever happens here, ingest does not notice; the daemon is ready without it, and the
supervisor starts it again when it dies. Every route asks for a key where keys are on (query or
admin), errors are ``google.rpc.Status`` in JSON (in Jaeger's form under ``jaeger``), and no reply holds
the text of a foreign exception.
"""
