CREATE OR REPLACE FUNCTION otlpg_leaves()
    RETURNS TABLE (parent text, leaf text, starts_at timestamptz, ends_at timestamptz)
    LANGUAGE sql STABLE
    SET timezone = 'UTC'        -- bounds come as text, in the session's forms: pin these
    SET datestyle = 'ISO, YMD'
BEGIN ATOMIC
    SELECT p.relname::text,
           c.relname::text,
           coalesce(substring(b.bounds FROM 'FROM \(''([^'']*)''\)')::timestamptz, '-infinity'),
           coalesce(substring(b.bounds FROM 'TO \(''([^'']*)''\)')::timestamptz, 'infinity')
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bounds) AS b
    WHERE i.inhparent IN ('trace_spans'::regclass, 'logs'::regclass, 'metric_data_points'::regclass,
                          'traces'::regclass, 'ingest_ledger'::regclass)
      AND NOT i.inhdetachpending
    ORDER BY 1, 3;
END;
