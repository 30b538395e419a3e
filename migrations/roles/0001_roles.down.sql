ALTER FUNCTION otlpg_make_leaf(text, timestamptz, integer) SECURITY INVOKER;
GRANT EXECUTE ON FUNCTION otlpg_make_leaf(text, timestamptz, integer) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION otlpg_make_leaf(text, timestamptz, integer) FROM otlpg_ingest;
REVOKE EXECUTE ON FUNCTION otlpg_leaves() FROM otlpg_ingest, otlpg_read;

REVOKE ALL ON trace_spans, logs, metric_data_points, resources, scopes, metrics, metric_series,
    traces, ingest_ledger, dead_letters, trace_events, trace_links, otlpg_migrations
    FROM otlpg_ingest, otlpg_read;
REVOKE ALL (last_seen) ON resources, scopes, metrics, metric_series FROM otlpg_ingest;

DO $$
BEGIN
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM otlpg_ingest, otlpg_read', current_schema());
END
$$;
