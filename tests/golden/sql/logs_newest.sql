SELECT f.*, r.attributes AS resource, s.name AS scope_name, s.version AS scope_version
FROM (SELECT n.*
FROM (SELECT DISTINCT r.service_name
FROM resources AS r
WHERE r.service_name IS NOT NULL
AND (lower(r.service_name COLLATE "C") = $5::text)) AS names
CROSS
JOIN LATERAL (SELECT f.time, f.time_ns, f.observed_time, f.observed_ns, f.service_name, f.severity_number, f.severity_text, f.body_text, f.body, f.event_name, f.trace_id, f.span_id, f.flags, f.attributes, f.dropped_attributes_count, f.resource_id, f.scope_id, coalesce(f.time_ns, -1) AS place, hash_record_extended(f, 0) AS tie
FROM logs AS f
WHERE f.time >= $1::timestamptz
AND f.time < $2::timestamptz
AND f.service_name = names.service_name
AND (f.severity_number BETWEEN $6::integer
AND $7::integer)
AND (strpos(lower(f.service_name COLLATE "C"), $8::text) > 0 OR strpos(lower(coalesce(f.body_text, f.body::text) COLLATE "C"), $8::text) > 0 OR strpos(lower(f.event_name COLLATE "C"), $8::text) > 0)
AND (CASE WHEN f.attributes ? $9::text THEN (f.attributes -> $9::text) = ANY ($10::jsonb[]) ELSE f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE (r.attributes @> $11::jsonb)
AND (r.attributes -> $9::text) = ANY ($10::jsonb[])) END) IS NOT TRUE
ORDER BY time DESC, place DESC, tie DESC, attributes DESC, body DESC
LIMIT $3::bigint + $4::bigint) AS n
ORDER BY time DESC, place DESC, tie DESC, attributes DESC, body DESC OFFSET $3::bigint
LIMIT $4::bigint) AS f
LEFT
JOIN resources AS r ON r.resource_id = f.resource_id
LEFT
JOIN scopes AS s ON s.scope_id = f.scope_id
ORDER BY time DESC, place DESC, tie DESC, attributes DESC, body DESC
