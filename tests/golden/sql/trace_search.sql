SELECT n.trace_id
FROM (SELECT f.trace_id, f.start_time
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name = $3::text
AND f.name = $4::text
AND f.duration_ns >= $5::bigint
AND f.duration_ns <= $6::bigint
AND f.kind = $7::integer
AND f.status_code = $8::integer
AND f.status_code <> $9::integer
AND (f.attributes ->> $10::text = $11::text OR EXISTS (SELECT
FROM resources AS r
WHERE r.resource_id = f.resource_id
AND r.attributes ->> $10::text = $11::text) OR EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS e (event)
WHERE e.event -> 'attributes' ->> $10::text = $11::text))
AND (f.attributes ->> $12::text = $13::text OR EXISTS (SELECT
FROM resources AS r
WHERE r.resource_id = f.resource_id
AND r.attributes ->> $12::text = $13::text) OR EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS e (event)
WHERE e.event -> 'attributes' ->> $12::text = $13::text))
ORDER BY f.start_time DESC
LIMIT $14::bigint) AS n
GROUP BY n.trace_id
ORDER BY max(n.start_time) DESC, n.trace_id
LIMIT $15::bigint
