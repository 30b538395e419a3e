REVOKE ALL ON api_keys FROM otlpg_ingest;
