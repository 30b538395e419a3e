"""The read side over HTTP, in a process of its own beside the workers.

Promise: whatever happens here, ingest does not notice; the daemon is ready without it, and the
supervisor starts it again when it dies. Every path asks for a key where keys are on (query or admin),
also one that leads nowhere. Errors are problem documents (RFC 9457), or in Jaeger's form under
``jaeger``; an answer that has begun is cut short. No reply holds the text of a foreign exception.
"""
