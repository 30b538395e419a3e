-- A replaced function is nobody's SECURITY DEFINER any more, and roles/0001_roles may have made it one.
SELECT set_config('otlpg.definer', prosecdef::text, true)
FROM pg_proc WHERE oid = 'otlpg_make_leaf(text, timestamptz, integer)'::regprocedure;

CREATE OR REPLACE FUNCTION otlpg_make_leaf(parent text, moment timestamptz, hours integer) RETURNS text
    LANGUAGE plpgsql
    SET timezone = 'UTC'
    SET datestyle = 'ISO, YMD'
AS $$
DECLARE
    by_day    boolean;
    starts_at timestamptz;
    ends_at   timestamptz;
    other     record;
    stem      text;
    leaf      text;
    taken     integer := 1;
    bound     text;
BEGIN
    IF parent IN ('trace_spans', 'logs', 'metric_data_points') THEN
        by_day := false;
    ELSIF parent IN ('traces', 'ingest_ledger') THEN
        by_day := true;
    ELSE
        RAISE EXCEPTION 'otlpg makes no leaves of %', coalesce(quote_literal(parent), 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF hours IS NULL OR hours NOT IN (1, 6, 24) OR (by_day AND hours <> 24) THEN
        RAISE EXCEPTION 'a leaf of % cannot have % hours', parent, hours
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF moment IS NULL OR moment < TIMESTAMPTZ '2000-01-01 00:00:00+00' OR moment >= TIMESTAMPTZ '2100-01-01 00:00:00+00' THEN
        RAISE EXCEPTION 'leaves are made for the years 2000 to 2099, not for %', moment
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- Beside other makers, never beside a migration; one by one for each table.
    PERFORM pg_advisory_xact_lock_shared(1869900912, 0);
    PERFORM pg_advisory_xact_lock(1869900912, to_regclass(parent)::oid::integer);

    -- Leaves of another length may reach into this slot: keep the gap between them around moment.
    starts_at := date_bin(make_interval(hours => hours), moment, TIMESTAMPTZ '2000-01-01 00:00:00+00');
    ends_at := starts_at + make_interval(hours => hours);
    FOR other IN SELECT l.starts_at, l.ends_at FROM otlpg_leaves() AS l WHERE l.parent = otlpg_make_leaf.parent LOOP
        IF other.ends_at <= moment THEN
            starts_at := greatest(starts_at, other.ends_at);
        ELSIF other.starts_at > moment THEN
            ends_at := least(ends_at, other.starts_at);
        ELSE
            RETURN NULL;
        END IF;
    END LOOP;

    stem := parent || to_char(starts_at, CASE
        WHEN starts_at + interval '24 hours' = ends_at THEN '"_p"YYYYMMDD'
        WHEN starts_at = date_trunc('hour', starts_at) THEN '"_p"YYYYMMDD"_h"HH24'
        ELSE '"_p"YYYYMMDD"_t"HH24MISSUS' END);
    leaf := stem;
    WHILE to_regclass(leaf) IS NOT NULL LOOP  -- a detached leaf that is not dropped yet
        taken := taken + 1;
        leaf := stem || '_' || taken;
    END LOOP;

    bound := CASE WHEN by_day THEN 'YYYY-MM-DD' ELSE 'YYYY-MM-DD HH24:MI:SS.US"+00"' END;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)%s', leaf, parent,
        CASE WHEN parent = 'traces' THEN ' WITH (fillfactor = 80)' ELSE '' END);
    EXECUTE format('COMMENT ON TABLE %I IS %L', leaf, format('Leaf of %s from %s to %s.', parent, starts_at, ends_at));
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, leaf, to_char(starts_at, bound), to_char(ends_at, bound));
    RETURN leaf;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION otlpg_make_leaf(text, timestamptz, integer) SET search_path = %I, pg_temp', current_schema());
    IF current_setting('otlpg.definer')::boolean THEN
        ALTER FUNCTION otlpg_make_leaf(text, timestamptz, integer) SECURITY DEFINER;
    END IF;
END
$$;
