-- otlpg: drops-facts
DROP TABLE dead_letters;
DROP TABLE ingest_ledger;
