-- otlpg: drops-facts
-- (Facts keep only ids: without these tables nobody can tell what they meant.)
DROP TABLE metric_series;
DROP TABLE metrics;
DROP TABLE scopes;
DROP TABLE resources;
