SELECT f.start_time, f.trace_id, f.span_id, hash_record_extended(f, 0) AS tie, f.start_ns, f.duration_ns, f.parent_span_id, f.name, f.kind, f.service_name, f.status_code, f.status_message, f.trace_state, f.flags, f.attributes, f.events, f.links, f.dropped_attributes_count, f.dropped_events_count, f.dropped_links_count, f.resource_id, f.scope_id, f.raw
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.start_time <= $3::timestamptz
AND (f.start_time, f.trace_id, f.span_id, hash_record_extended(f, 0)) < ($3::timestamptz, $4::bytea, $5::bytea, $6::bigint)
AND true
AND f.service_name = $8::text
ORDER BY start_time DESC, trace_id DESC, span_id DESC, tie DESC
LIMIT $7::bigint
