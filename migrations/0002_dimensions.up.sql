-- What facts refer to by id: resources, scopes, metrics and their series.
--
-- An id is a 64-bit hash of the row's content, so that every process computes the same one without
-- asking; digest holds 128 bits of it, read back once to tell a collision from a known row.
-- An index on a sender's unbounded text must be a hash or GIN one: a btree refuses 2.7 kB and more.

CREATE TABLE resources (
    resource_id               bigint  NOT NULL PRIMARY KEY,
    service_name              text,
    service_namespace         text,
    service_instance_id       text,
    attributes                jsonb   NOT NULL,
    schema_url                text,
    dropped_attributes_count  bigint,
    entity_refs               jsonb,
    raw                       jsonb,
    digest                    bytea   NOT NULL,
    first_seen                date    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    last_seen                 date    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date
);

CREATE INDEX resources_attributes_idx ON resources USING gin (attributes jsonb_path_ops);

COMMENT ON TABLE resources IS 'Who emitted: one row per distinct OTLP resource.';
COMMENT ON COLUMN resources.resource_id IS '64-bit hash of the content; facts hold it.';
COMMENT ON COLUMN resources.service_name IS 'Attribute service.name. NULL: absent or not a string.';
COMMENT ON COLUMN resources.service_namespace IS 'Attribute service.namespace. NULL: absent or not a string.';
COMMENT ON COLUMN resources.service_instance_id IS 'Attribute service.instance.id. NULL: absent or not a string.';
COMMENT ON COLUMN resources.attributes IS 'All attributes as a JSON object; attributes @> ''{"host.name": "a"}'' uses the index.';
COMMENT ON COLUMN resources.schema_url IS 'Schema that the attributes follow. NULL: empty.';
COMMENT ON COLUMN resources.dropped_attributes_count IS 'Attributes that the sender left out. NULL: 0.';
COMMENT ON COLUMN resources.entity_refs IS 'Which attributes identify which entity, as a JSON array. NULL: none.';
COMMENT ON COLUMN resources.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';
COMMENT ON COLUMN resources.digest IS '128-bit hash of the content.';
COMMENT ON COLUMN resources.first_seen IS 'UTC day on which it came first.';
COMMENT ON COLUMN resources.last_seen IS 'UTC day on which it was last used; written at most daily per process.';

CREATE TABLE scopes (
    scope_id                  bigint  NOT NULL PRIMARY KEY,
    name                      text,
    version                   text,
    attributes                jsonb   NOT NULL,
    schema_url                text,
    dropped_attributes_count  bigint,
    raw                       jsonb,
    digest                    bytea   NOT NULL,
    last_seen                 date    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date
);

COMMENT ON TABLE scopes IS 'Which instrumentation library: one row per distinct OTLP scope.';
COMMENT ON COLUMN scopes.scope_id IS '64-bit hash of the content; facts hold it.';
COMMENT ON COLUMN scopes.name IS 'Name of the library. NULL: empty.';
COMMENT ON COLUMN scopes.version IS 'Its version. NULL: empty.';
COMMENT ON COLUMN scopes.attributes IS 'Attributes as a JSON object.';
COMMENT ON COLUMN scopes.schema_url IS 'Schema that the items of the scope follow. NULL: empty.';
COMMENT ON COLUMN scopes.dropped_attributes_count IS 'Attributes that the sender left out. NULL: 0.';
COMMENT ON COLUMN scopes.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';
COMMENT ON COLUMN scopes.digest IS '128-bit hash of the content.';
COMMENT ON COLUMN scopes.last_seen IS 'UTC day on which it was last used; written at most daily per process.';

CREATE TABLE metrics (
    metric_id                 bigint  NOT NULL PRIMARY KEY,
    name                      text    NOT NULL,
    description               text,
    unit                      text,
    type                      text    NOT NULL,
    temporality               integer,
    monotonic                 boolean,
    metadata                  jsonb   NOT NULL,
    raw                       jsonb,
    digest                    bytea   NOT NULL,
    last_seen                 date    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date
);

CREATE INDEX metrics_name_idx ON metrics USING hash (name);

COMMENT ON TABLE metrics IS 'What was measured: one row per distinct name, description, unit and type.';
COMMENT ON COLUMN metrics.metric_id IS '64-bit hash of every other column; metric_series holds it.';
COMMENT ON COLUMN metrics.name IS 'Name of the metric.';
COMMENT ON COLUMN metrics.description IS 'What it means. NULL: empty.';
COMMENT ON COLUMN metrics.unit IS 'Unit in UCUM. NULL: empty.';
COMMENT ON COLUMN metrics.type IS 'gauge, sum, histogram, exponential_histogram or summary.';
COMMENT ON COLUMN metrics.temporality IS '0 unspecified, 1 delta, 2 cumulative. NULL: the type has none.';
COMMENT ON COLUMN metrics.monotonic IS 'Whether a sum never decreases. NULL: not a sum.';
COMMENT ON COLUMN metrics.metadata IS 'Metadata as a JSON object.';
COMMENT ON COLUMN metrics.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';
COMMENT ON COLUMN metrics.digest IS '128-bit hash of the content.';
COMMENT ON COLUMN metrics.last_seen IS 'UTC day on which it was last used; written at most daily per process.';

CREATE TABLE metric_series (
    series_id                 bigint  NOT NULL PRIMARY KEY,
    metric_id                 bigint  NOT NULL,
    resource_id               bigint  NOT NULL,
    scope_id                  bigint  NOT NULL,
    service_name              text,
    attributes                jsonb   NOT NULL,
    raw                       jsonb,
    digest                    bytea   NOT NULL,
    last_seen                 date    NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date
);

CREATE INDEX metric_series_metric_id_service_name_idx ON metric_series (metric_id, service_name);
CREATE INDEX metric_series_attributes_idx ON metric_series USING gin (attributes jsonb_path_ops);

COMMENT ON TABLE metric_series IS 'One metric of one resource and scope with one set of attributes; data points refer to it.';
COMMENT ON COLUMN metric_series.series_id IS '64-bit hash of the content; metric_data_points holds it.';
COMMENT ON COLUMN metric_series.metric_id IS 'What was measured: metrics.metric_id.';
COMMENT ON COLUMN metric_series.resource_id IS 'Who emitted: resources.resource_id.';
COMMENT ON COLUMN metric_series.scope_id IS 'Which instrumentation library: scopes.scope_id.';
COMMENT ON COLUMN metric_series.service_name IS 'First 255 characters of the resource''s service.name. NULL: it has none.';
COMMENT ON COLUMN metric_series.attributes IS 'Attributes of the data points as a JSON object; attributes @> ''{"a": "b"}'' uses the index.';
COMMENT ON COLUMN metric_series.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';
COMMENT ON COLUMN metric_series.digest IS '128-bit hash of the content.';
COMMENT ON COLUMN metric_series.last_seen IS 'UTC day on which it was last used; written at most daily per process.';
