SELECT *
FROM (SELECT n.*
FROM (SELECT DISTINCT r.service_name
FROM resources AS r
WHERE r.service_name IS NOT NULL
AND true) AS names
CROSS
JOIN LATERAL (SELECT f.start_time, f.trace_id, f.span_id, hash_record_extended(f, 0) AS tie, f.start_ns, f.duration_ns, f.parent_span_id, f.name, f.kind, f.service_name, f.status_code, f.status_message, f.trace_state, f.flags, f.attributes, f.events, f.links, f.dropped_attributes_count, f.dropped_events_count, f.dropped_links_count, f.resource_id, f.scope_id, f.raw
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name = names.service_name
AND true
ORDER BY start_time ASC, trace_id ASC, span_id ASC, tie ASC
LIMIT $3::bigint) AS n
UNION ALL (SELECT f.start_time, f.trace_id, f.span_id, hash_record_extended(f, 0) AS tie, f.start_ns, f.duration_ns, f.parent_span_id, f.name, f.kind, f.service_name, f.status_code, f.status_message, f.trace_state, f.flags, f.attributes, f.events, f.links, f.dropped_attributes_count, f.dropped_events_count, f.dropped_links_count, f.resource_id, f.scope_id, f.raw
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name IS NULL
AND true
ORDER BY start_time ASC, trace_id ASC, span_id ASC, tie ASC
LIMIT $3::bigint)) AS n
ORDER BY start_time ASC, trace_id ASC, span_id ASC, tie ASC
LIMIT $3::bigint
