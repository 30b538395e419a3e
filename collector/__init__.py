"""otlpg: OpenTelemetry straight into PostgreSQL.

A request travels ``receive -> convert -> buffer -> flush -> store -> COMMIT``, and only then does
its sender hear OK. Each stage is a package of that name and holds one file per signal.
"""

__version__ = "0.1.0"
