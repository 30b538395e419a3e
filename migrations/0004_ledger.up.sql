-- What makes a repeated request be stored once, and what keeps items that could not be stored.

CREATE TABLE ingest_ledger (
    day          date        NOT NULL,
    digest       bytea       NOT NULL,
    received_at  timestamptz NOT NULL,
    items        integer     NOT NULL,
    seen         integer     NOT NULL DEFAULT 1,
    PRIMARY KEY (day, digest)
) PARTITION BY RANGE (day);

-- Requests whose event times name no day near the present share this leaf; rows leave it by age.
CREATE TABLE ingest_ledger_sentinel
    PARTITION OF ingest_ledger FOR VALUES FROM ('1970-01-01') TO ('1970-01-02');

COMMENT ON TABLE ingest_ledger IS 'One row per stored request: a repeated one finds its row and is not stored again.';
COMMENT ON COLUMN ingest_ledger.day IS 'UTC day of the request''s latest event time; 1970-01-01 for days out of reach.';
COMMENT ON COLUMN ingest_ledger.digest IS 'First 16 bytes of SHA-256 over credential, signal and body.';
COMMENT ON COLUMN ingest_ledger.received_at IS 'When the request came first.';
COMMENT ON COLUMN ingest_ledger.items IS 'Spans, data points or log records in it.';
COMMENT ON COLUMN ingest_ledger.seen IS 'How often it came: 1, and 1 more for each repetition.';
COMMENT ON TABLE ingest_ledger_sentinel IS 'Leaf of ingest_ledger for the day 1970-01-01.';
COMMENT ON COLUMN ingest_ledger_sentinel.day IS '1970-01-01.';
COMMENT ON COLUMN ingest_ledger_sentinel.digest IS 'First 16 bytes of SHA-256 over credential, signal and body.';
COMMENT ON COLUMN ingest_ledger_sentinel.received_at IS 'When the request came first; old rows are deleted by it.';
COMMENT ON COLUMN ingest_ledger_sentinel.items IS 'Spans, data points or log records in it.';
COMMENT ON COLUMN ingest_ledger_sentinel.seen IS 'How often it came.';

-- Bytes and short codes only, and no constraint but NOT NULL: an insert here must never fail.
CREATE TABLE dead_letters (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    signal       text        NOT NULL,
    received_at  timestamptz NOT NULL,
    reason       text        NOT NULL,
    outcome      text        NOT NULL,
    payload      bytea       NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0
);

COMMENT ON TABLE dead_letters IS 'Original bytes of items that were repaired before they were stored, or not stored at all.';
COMMENT ON COLUMN dead_letters.id IS 'Number of the letter.';
COMMENT ON COLUMN dead_letters.signal IS 'traces, metrics or logs.';
COMMENT ON COLUMN dead_letters.received_at IS 'When the item came.';
COMMENT ON COLUMN dead_letters.reason IS 'Why, as a short code: nul, invalid_utf8, undecodable and the like.';
COMMENT ON COLUMN dead_letters.outcome IS 'repaired: stored, but changed; quarantined: kept here only; rejected: a whole body that is no request.';
COMMENT ON COLUMN dead_letters.payload IS 'OTLP export request with this one item, or the whole body when rejected.';
COMMENT ON COLUMN dead_letters.attempts IS 'How often a replay was tried.';
