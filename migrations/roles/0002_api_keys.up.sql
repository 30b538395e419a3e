-- The daemon reads the keys and can make none; otlpg_read, which dashboards have, sees no hash.
GRANT SELECT ON api_keys TO otlpg_ingest;
