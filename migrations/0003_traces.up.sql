-- One row per trace and day, kept up to date by the transaction that stores its spans.
--
-- Leaves have fillfactor 80 (0006_leaves): a trace's row is updated by each batch that adds a span,
-- and the free fifth lets most of these updates stay on their page.

CREATE TABLE traces (
    trace_id          bytea       NOT NULL,
    day               date        NOT NULL,
    start_time        timestamptz NOT NULL,
    end_time          timestamptz NOT NULL,
    span_count        bigint      NOT NULL,
    error_count       bigint      NOT NULL,
    root_service      text,
    root_name         text,
    root_status_code  integer,
    root_duration_ns  bigint,
    services          text[]      NOT NULL,
    PRIMARY KEY (trace_id, day)
) PARTITION BY RANGE (day);

CREATE INDEX traces_start_time_idx ON traces (start_time);

COMMENT ON TABLE traces IS 'One row per trace and UTC day; a trace that passes midnight has two, which a reader merges.';
COMMENT ON COLUMN traces.trace_id IS 'Trace id, 16 bytes.';
COMMENT ON COLUMN traces.day IS 'UTC day of the spans that this row sums up; it chooses the partition.';
COMMENT ON COLUMN traces.start_time IS 'Earliest start of its spans.';
COMMENT ON COLUMN traces.end_time IS 'Latest end of its spans.';
COMMENT ON COLUMN traces.span_count IS 'Spans stored so far.';
COMMENT ON COLUMN traces.error_count IS 'Of these, spans with status error.';
COMMENT ON COLUMN traces.root_service IS 'service_name of the root span. NULL: it has not come, or has none.';
COMMENT ON COLUMN traces.root_name IS 'Name of the root span. NULL: it has not come.';
COMMENT ON COLUMN traces.root_status_code IS 'Status of the root span: 0 unset, 1 ok, 2 error. NULL: it has not come.';
COMMENT ON COLUMN traces.root_duration_ns IS 'Duration of the root span in nanoseconds. NULL: it has not come, or is not known.';
COMMENT ON COLUMN traces.services IS 'service_name of its spans, each once; at most as many as otlpg keeps.';
