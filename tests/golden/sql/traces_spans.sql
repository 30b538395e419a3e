SELECT f.start_time, f.start_ns, f.duration_ns, f.trace_id, f.span_id, f.parent_span_id, f.name, f.kind, f.service_name, f.status_code, f.status_message, f.trace_state, f.flags, f.attributes, f.events, f.links, f.dropped_attributes_count, f.dropped_events_count, f.dropped_links_count, f.resource_id, f.scope_id, f.raw
FROM trace_spans AS f
WHERE f.trace_id = ANY ($1::bytea[])
AND f.start_time >= $2::timestamptz
AND f.start_time < $3::timestamptz
ORDER BY array_position($1::bytea[], f.trace_id), f.start_time, f.start_ns NULLS FIRST, f.span_id
LIMIT $4::bigint
