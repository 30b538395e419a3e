-- Optional: two roles beside the owner, for `otlpg migrate up --roles`.
--
--   owner         whoever runs the migrations. Makes, changes and drops tables.
--   otlpg_ingest  what `otlpg serve` needs and no more: it writes telemetry, reads back what it
--                 has to know, makes leaves through otlpg_make_leaf, and reads no fact.
--   otlpg_read    reads everything, writes nothing.
--
-- They are groups without a login; give them to the users that log in:
--   CREATE ROLE collector LOGIN PASSWORD '..'; GRANT otlpg_ingest TO collector;
--   CREATE ROLE grafana   LOGIN PASSWORD '..'; GRANT otlpg_read   TO grafana;
-- Making a role takes CREATEROLE, not a superuser. Where the owner must not have that, let somebody
-- else make the two beforehand: what exists is taken as it is. Roles belong to the whole server,
-- grants to this database; `migrate down` takes the grants back and leaves the roles.
--
-- A role that only inserts cannot detach leaves of ingest_ledger: it deletes their old rows, and
-- they stay as empty tables until the owner's otlpg comes by.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['otlpg_ingest', 'otlpg_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database's migration made it just now
            END;
        END IF;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO otlpg_ingest, otlpg_read', current_schema());
END
$$;

GRANT SELECT ON trace_spans, logs, metric_data_points, resources, scopes, metrics, metric_series,
    traces, ingest_ledger, dead_letters, trace_events, trace_links, otlpg_migrations TO otlpg_read;
GRANT EXECUTE ON FUNCTION otlpg_leaves() TO otlpg_read;

GRANT INSERT ON trace_spans, logs, metric_data_points TO otlpg_ingest;
GRANT SELECT, INSERT, UPDATE (last_seen) ON resources, scopes, metrics, metric_series TO otlpg_ingest;
GRANT SELECT, INSERT, UPDATE ON traces TO otlpg_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON ingest_ledger, dead_letters TO otlpg_ingest;
GRANT SELECT ON otlpg_migrations TO otlpg_ingest;
GRANT EXECUTE ON FUNCTION otlpg_leaves() TO otlpg_ingest;

-- From here on the function runs as the owner, so not everybody may call it any more.
ALTER FUNCTION otlpg_make_leaf(text, timestamptz, integer) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION otlpg_make_leaf(text, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION otlpg_make_leaf(text, timestamptz, integer) TO otlpg_ingest;
