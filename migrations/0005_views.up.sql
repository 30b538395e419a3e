-- Span events and links as rows. They live in jsonb arrays of trace_spans, so that a span is one
-- row of one COPY; these views spread them for a reader.
--
-- Times are exact: hours and the rest are added apart, since an interval of seconds is a double,
-- and since a day is not 24 hours where the session's time zone has summer time. Integers of OTLP
-- go up to 2^64 - 1, beyond bigint: they stay numeric here and make no row fail (year 2554).

CREATE VIEW trace_events AS
SELECT s.start_time,
       s.trace_id,
       s.span_id,
       s.service_name,
       s.name                                                         AS span_name,
       e.ordinal - 1                                                  AS event_index,
       CASE WHEN n.unix_ns > 0 THEN
           TIMESTAMPTZ '1970-01-01 00:00:00+00'
               + make_interval(hours => div(n.unix_ns, 3600000000000)::integer)
               + make_interval(secs => (div(mod(n.unix_ns, 3600000000000), 1000) / 1000000)::double precision)
       END                                                            AS time,
       CASE WHEN n.unix_ns > 0 THEN mod(n.unix_ns, 1000)::smallint END AS time_ns,
       coalesce(e.event ->> 'name', '')                               AS name,
       coalesce(e.event -> 'attributes', '{}')                        AS attributes,
       coalesce((e.event ->> 'dropped_attributes_count')::numeric, 0) AS dropped_attributes_count,
       s.resource_id,
       s.scope_id
FROM trace_spans AS s
CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS e (event, ordinal)
CROSS JOIN LATERAL (SELECT (e.event ->> 'time_unix_nano')::numeric AS unix_ns) AS n;

COMMENT ON VIEW trace_events IS 'One row per span event. Give a range of start_time, that of the span: it chooses the partitions to read.';
COMMENT ON COLUMN trace_events.start_time IS 'Start of the span, the partition key of trace_spans.';
COMMENT ON COLUMN trace_events.trace_id IS 'Trace id, 16 bytes.';
COMMENT ON COLUMN trace_events.span_id IS 'Span id, 8 bytes.';
COMMENT ON COLUMN trace_events.service_name IS 'service_name of the span.';
COMMENT ON COLUMN trace_events.span_name IS 'Name of the span.';
COMMENT ON COLUMN trace_events.event_index IS 'Place of the event within its span, from 0.';
COMMENT ON COLUMN trace_events.time IS 'When it happened, to the microsecond. NULL: the sender gave no time.';
COMMENT ON COLUMN trace_events.time_ns IS 'Nanoseconds 0-999 below time. NULL: the sender gave no time.';
COMMENT ON COLUMN trace_events.name IS 'Name of the event, for example exception.';
COMMENT ON COLUMN trace_events.attributes IS 'Attributes as a JSON object, in the forms of trace_spans.attributes.';
COMMENT ON COLUMN trace_events.dropped_attributes_count IS 'Attributes that the sender left out.';
COMMENT ON COLUMN trace_events.resource_id IS 'Who emitted: resources.resource_id.';
COMMENT ON COLUMN trace_events.scope_id IS 'Which instrumentation library: scopes.scope_id.';

CREATE VIEW trace_links AS
SELECT s.start_time,
       s.trace_id,
       s.span_id,
       s.service_name,
       s.name                                                        AS span_name,
       l.ordinal - 1                                                 AS link_index,
       decode(l.link ->> 'trace_id', 'hex')                          AS linked_trace_id,
       decode(l.link ->> 'span_id', 'hex')                           AS linked_span_id,
       l.link ->> 'trace_state'                                      AS trace_state,
       coalesce((l.link ->> 'flags')::numeric, 0)                    AS flags,
       coalesce(l.link -> 'attributes', '{}')                        AS attributes,
       coalesce((l.link ->> 'dropped_attributes_count')::numeric, 0) AS dropped_attributes_count,
       s.resource_id,
       s.scope_id
FROM trace_spans AS s
CROSS JOIN LATERAL jsonb_array_elements(s.links) WITH ORDINALITY AS l (link, ordinal);

COMMENT ON VIEW trace_links IS 'One row per link of a span to another. Give a range of start_time, that of the span: it chooses the partitions to read.';
COMMENT ON COLUMN trace_links.start_time IS 'Start of the span that holds the link, the partition key of trace_spans.';
COMMENT ON COLUMN trace_links.trace_id IS 'Trace id of the span that holds the link, 16 bytes.';
COMMENT ON COLUMN trace_links.span_id IS 'Span id of the span that holds the link, 8 bytes.';
COMMENT ON COLUMN trace_links.service_name IS 'service_name of the span that holds the link.';
COMMENT ON COLUMN trace_links.span_name IS 'Name of the span that holds the link.';
COMMENT ON COLUMN trace_links.link_index IS 'Place of the link within its span, from 0.';
COMMENT ON COLUMN trace_links.linked_trace_id IS 'Trace id that the link points to, as many bytes as were sent. NULL: none.';
COMMENT ON COLUMN trace_links.linked_span_id IS 'Span id that the link points to, as many bytes as were sent. NULL: none.';
COMMENT ON COLUMN trace_links.trace_state IS 'W3C trace state of the linked span. NULL: empty.';
COMMENT ON COLUMN trace_links.flags IS 'W3C trace flags of the linked span.';
COMMENT ON COLUMN trace_links.attributes IS 'Attributes of the link as a JSON object.';
COMMENT ON COLUMN trace_links.dropped_attributes_count IS 'Attributes that the sender left out.';
COMMENT ON COLUMN trace_links.resource_id IS 'Who emitted: resources.resource_id.';
COMMENT ON COLUMN trace_links.scope_id IS 'Which instrumentation library: scopes.scope_id.';
