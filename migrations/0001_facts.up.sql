-- The three fact tables: one row per span, log record and metric data point.
--
-- Partitioned by time and without a DEFAULT partition; otlpg makes the leaves (0006_leaves). No
-- foreign keys, triggers, volatile defaults or GIN indexes: each would cost every COPY.
-- The column order is the field order of collector/rows.py.

CREATE TABLE trace_spans (
    start_time                timestamptz NOT NULL,
    start_ns                  smallint,
    duration_ns               bigint,
    trace_id                  bytea       NOT NULL,
    span_id                   bytea       NOT NULL,
    parent_span_id            bytea,
    name                      text        NOT NULL,
    kind                      integer     NOT NULL,
    service_name              text,
    status_code               integer     NOT NULL,
    status_message            text,
    trace_state               text,
    flags                     bigint      NOT NULL,
    attributes                jsonb       NOT NULL,
    events                    jsonb,
    links                     jsonb,
    dropped_attributes_count  bigint,
    dropped_events_count      bigint,
    dropped_links_count       bigint,
    resource_id               bigint      NOT NULL,
    scope_id                  bigint      NOT NULL,
    raw                       jsonb
) PARTITION BY RANGE (start_time);

CREATE INDEX trace_spans_trace_id_idx ON trace_spans (trace_id);
CREATE INDEX trace_spans_service_name_start_time_idx ON trace_spans (service_name, start_time);

COMMENT ON TABLE trace_spans IS 'One row per span. Always give a range of start_time: it chooses the partitions to read.';
COMMENT ON COLUMN trace_spans.start_time IS 'Start, to the microsecond. The receive time where the sender''s was absent or out of the retention; the original is then in raw.';
COMMENT ON COLUMN trace_spans.start_ns IS 'Nanoseconds 0-999 below start_time. NULL: the sender gave no start.';
COMMENT ON COLUMN trace_spans.duration_ns IS 'End minus start in nanoseconds. NULL: the end is absent or before the start; raw holds end_time_unix_nano.';
COMMENT ON COLUMN trace_spans.trace_id IS 'Trace id, 16 bytes. encode(trace_id, ''hex'') is what other tools show.';
COMMENT ON COLUMN trace_spans.span_id IS 'Span id, 8 bytes.';
COMMENT ON COLUMN trace_spans.parent_span_id IS 'Span id of the parent, 8 bytes. NULL: a root span.';
COMMENT ON COLUMN trace_spans.name IS 'Name of the operation.';
COMMENT ON COLUMN trace_spans.kind IS '0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer; other numbers as sent.';
COMMENT ON COLUMN trace_spans.service_name IS 'First 255 characters of the resource''s service.name. NULL: it has none.';
COMMENT ON COLUMN trace_spans.status_code IS '0 unset, 1 ok, 2 error; other numbers as sent.';
COMMENT ON COLUMN trace_spans.status_message IS 'Text that the sender gave with the status. NULL: empty.';
COMMENT ON COLUMN trace_spans.trace_state IS 'W3C trace state. NULL: empty.';
COMMENT ON COLUMN trace_spans.flags IS 'W3C trace flags in bits 0-7; bits 8 and 9 say whether the parent is remote.';
COMMENT ON COLUMN trace_spans.attributes IS 'Attributes as a JSON object; doubles always have a fraction, {"$bytes": base64} and {"$double": text} hold what JSON cannot.';
COMMENT ON COLUMN trace_spans.events IS 'Span events as a JSON array; the view trace_events spreads them. NULL: none.';
COMMENT ON COLUMN trace_spans.links IS 'Links to other spans as a JSON array; the view trace_links spreads them. NULL: none.';
COMMENT ON COLUMN trace_spans.dropped_attributes_count IS 'Attributes that the sender left out. NULL: 0.';
COMMENT ON COLUMN trace_spans.dropped_events_count IS 'Events that the sender left out. NULL: 0.';
COMMENT ON COLUMN trace_spans.dropped_links_count IS 'Links that the sender left out. NULL: 0.';
COMMENT ON COLUMN trace_spans.resource_id IS 'Who emitted: resources.resource_id.';
COMMENT ON COLUMN trace_spans.scope_id IS 'Which instrumentation library: scopes.scope_id.';
COMMENT ON COLUMN trace_spans.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';

CREATE TABLE logs (
    time                      timestamptz NOT NULL,
    time_ns                   smallint,
    observed_time             timestamptz,
    observed_ns               smallint,
    service_name              text,
    severity_number           integer     NOT NULL,
    severity_text             text,
    body_text                 text,
    body                      jsonb,
    event_name                text,
    trace_id                  bytea,
    span_id                   bytea,
    flags                     bigint      NOT NULL,
    attributes                jsonb       NOT NULL,
    dropped_attributes_count  bigint,
    resource_id               bigint      NOT NULL,
    scope_id                  bigint      NOT NULL,
    raw                       jsonb
) PARTITION BY RANGE (time);

CREATE INDEX logs_service_name_time_idx ON logs (service_name, time);
CREATE INDEX logs_trace_id_idx ON logs (trace_id) WHERE trace_id IS NOT NULL;

COMMENT ON TABLE logs IS 'One row per log record. Always give a range of time: it chooses the partitions to read.';
COMMENT ON COLUMN logs.time IS 'When it happened, to the microsecond; else when it was observed, else when it was received.';
COMMENT ON COLUMN logs.time_ns IS 'Nanoseconds 0-999 below time. NULL: the sender gave no time.';
COMMENT ON COLUMN logs.observed_time IS 'When the collecting system saw it. NULL: not given.';
COMMENT ON COLUMN logs.observed_ns IS 'Nanoseconds 0-999 below observed_time. NULL: not given.';
COMMENT ON COLUMN logs.service_name IS 'First 255 characters of the resource''s service.name. NULL: it has none.';
COMMENT ON COLUMN logs.severity_number IS '0 unspecified, 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal; other numbers as sent.';
COMMENT ON COLUMN logs.severity_text IS 'Severity as the source wrote it. NULL: empty.';
COMMENT ON COLUMN logs.body_text IS 'Body, when it is a string. NULL: body holds it, or there is none.';
COMMENT ON COLUMN logs.body IS 'Body, when it is not a string, as JSON. NULL: body_text holds it, or there is none.';
COMMENT ON COLUMN logs.event_name IS 'Name of the event that the record is. NULL: a plain record.';
COMMENT ON COLUMN logs.trace_id IS 'Trace it belongs to, 16 bytes. NULL: none, or not valid (then in raw).';
COMMENT ON COLUMN logs.span_id IS 'Span it belongs to, 8 bytes. NULL: none, or not valid (then in raw).';
COMMENT ON COLUMN logs.flags IS 'W3C trace flags in bits 0-7.';
COMMENT ON COLUMN logs.attributes IS 'Attributes as a JSON object, in the forms of trace_spans.attributes.';
COMMENT ON COLUMN logs.dropped_attributes_count IS 'Attributes that the sender left out. NULL: 0.';
COMMENT ON COLUMN logs.resource_id IS 'Who emitted: resources.resource_id.';
COMMENT ON COLUMN logs.scope_id IS 'Which instrumentation library: scopes.scope_id.';
COMMENT ON COLUMN logs.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';

CREATE TABLE metric_data_points (
    series_id                 bigint      NOT NULL,
    time                      timestamptz NOT NULL,
    time_ns                   smallint,
    start_time                timestamptz,
    start_ns                  smallint,
    value                     double precision,
    value_int                 bigint,
    flags                     bigint      NOT NULL,
    count                     bigint,
    sum                       double precision,
    min                       double precision,
    max                       double precision,
    bucket_counts             bigint[],
    explicit_bounds           double precision[],
    scale                     integer,
    zero_count                bigint,
    zero_threshold            double precision,
    positive_offset           integer,
    positive_bucket_counts    bigint[],
    negative_offset           integer,
    negative_bucket_counts    bigint[],
    quantiles                 jsonb,
    exemplars                 jsonb,
    raw                       jsonb
) PARTITION BY RANGE (time);

CREATE INDEX metric_data_points_series_id_time_idx ON metric_data_points (series_id, time);

COMMENT ON TABLE metric_data_points IS 'One row per data point of any metric type; metric_series and metrics say of what. Always give a range of time.';
COMMENT ON COLUMN metric_data_points.series_id IS 'Which metric, resource, scope and attributes: metric_series.series_id.';
COMMENT ON COLUMN metric_data_points.time IS 'When the point was taken, to the microsecond; the receive time where the sender''s was absent or out of the retention.';
COMMENT ON COLUMN metric_data_points.time_ns IS 'Nanoseconds 0-999 below time. NULL: the sender gave no time.';
COMMENT ON COLUMN metric_data_points.start_time IS 'Since when a sum, histogram or summary counts. NULL: not given.';
COMMENT ON COLUMN metric_data_points.start_ns IS 'Nanoseconds 0-999 below start_time. NULL: not given.';
COMMENT ON COLUMN metric_data_points.value IS 'Value of a gauge or sum sent as a double; may be NaN or infinite. NULL: not used.';
COMMENT ON COLUMN metric_data_points.value_int IS 'Value of a gauge or sum sent as an integer. NULL: not used.';
COMMENT ON COLUMN metric_data_points.flags IS 'Bit 0: no value was recorded.';
COMMENT ON COLUMN metric_data_points.count IS 'Histograms and summaries: number of measurements.';
COMMENT ON COLUMN metric_data_points.sum IS 'Histograms and summaries: sum of the measurements. NULL: not given.';
COMMENT ON COLUMN metric_data_points.min IS 'Histograms: smallest measurement. NULL: not given.';
COMMENT ON COLUMN metric_data_points.max IS 'Histograms: largest measurement. NULL: not given.';
COMMENT ON COLUMN metric_data_points.bucket_counts IS 'Histogram: measurements per bucket, one more than explicit_bounds.';
COMMENT ON COLUMN metric_data_points.explicit_bounds IS 'Histogram: upper bounds of the buckets, inclusive; the last bucket has none.';
COMMENT ON COLUMN metric_data_points.scale IS 'Exponential histogram: bucket i ends at 2 ^ (2 ^ -scale * (offset + i + 1)).';
COMMENT ON COLUMN metric_data_points.zero_count IS 'Exponential histogram: measurements not farther from 0 than zero_threshold.';
COMMENT ON COLUMN metric_data_points.zero_threshold IS 'Exponential histogram: width of the zero bucket.';
COMMENT ON COLUMN metric_data_points.positive_offset IS 'Exponential histogram: index of the first positive bucket. NULL: no positive buckets were sent.';
COMMENT ON COLUMN metric_data_points.positive_bucket_counts IS 'Exponential histogram: measurements per positive bucket.';
COMMENT ON COLUMN metric_data_points.negative_offset IS 'Exponential histogram: index of the first negative bucket. NULL: no negative buckets were sent.';
COMMENT ON COLUMN metric_data_points.negative_bucket_counts IS 'Exponential histogram: measurements per negative bucket.';
COMMENT ON COLUMN metric_data_points.quantiles IS 'Summary: the quantiles and their values as a JSON array.';
COMMENT ON COLUMN metric_data_points.exemplars IS 'Sample measurements with the span they were taken in, as a JSON array. NULL: none.';
COMMENT ON COLUMN metric_data_points.raw IS 'What the columns cannot hold, under OTLP''s field names. NULL: the columns are exact.';
