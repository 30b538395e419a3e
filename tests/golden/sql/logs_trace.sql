SELECT f.*, r.attributes AS resource, s.name AS scope_name, s.version AS scope_version
FROM (SELECT n.*
FROM (SELECT f.time, f.time_ns, f.observed_time, f.observed_ns, f.service_name, f.severity_number, f.severity_text, f.body_text, f.body, f.event_name, f.trace_id, f.span_id, f.flags, f.attributes, f.dropped_attributes_count, f.resource_id, f.scope_id, coalesce(f.time_ns, -1) AS place, hash_record_extended(f, 0) AS tie
FROM logs AS f
WHERE f.time >= $1::timestamptz
AND f.time < $2::timestamptz
AND (f.trace_id BETWEEN $5::bytea
AND $6::bytea)
ORDER BY time ASC, place ASC, tie ASC, attributes ASC, body ASC
LIMIT $3::bigint + $4::bigint) AS n
ORDER BY time ASC, place ASC, tie ASC, attributes ASC, body ASC OFFSET $3::bigint
LIMIT $4::bigint) AS f
LEFT
JOIN resources AS r ON r.resource_id = f.resource_id
LEFT
JOIN scopes AS s ON s.scope_id = f.scope_id
ORDER BY time ASC, place ASC, tie ASC, attributes ASC, body ASC
