-- Keys of senders and readers: `otlpg token` writes them, every worker reads them again and again.

CREATE TABLE api_keys (
    id          text        PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    name        text        NOT NULL CHECK (name <> '' AND length(name) <= 200),
    scopes      text[]      NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'query', 'admin']),
    hash        bytea       NOT NULL CHECK (length(hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

COMMENT ON TABLE api_keys IS 'API keys; a key is shown once, when it is made, and cannot be read from here.';
COMMENT ON COLUMN api_keys.id IS 'Public part of the key: otlpg_<id>_<secret>.';
COMMENT ON COLUMN api_keys.name IS 'Whose it is, as whoever made it said.';
COMMENT ON COLUMN api_keys.scopes IS 'What it allows, and nothing else: ingest, query, admin.';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of its secret, which has 256 random bits.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'From when on it is taken no more; NULL: never.';
COMMENT ON COLUMN api_keys.revoked_at IS 'When it was revoked; NULL: it was not.';
