SELECT f.start_time, f.trace_id
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.start_time <= $3::timestamptz
AND (f.start_time, f.trace_id) < ($3::timestamptz, $4::bytea)
AND (strpos(lower(f.service_name COLLATE "C"), $6::text) > 0 OR strpos(lower(f.name COLLATE "C"), $6::text) > 0 OR strpos(lower(f.status_message COLLATE "C"), $6::text) > 0)
AND f.service_name = $7::text
AND f.name = $8::text
AND f.duration_ns >= $9::bigint
AND f.duration_ns <= $10::bigint
AND f.status_code = $11::integer
AND f.status_code <> $12::integer
AND f.kind = $13::integer
AND (f.attributes ->> $14::text = $15::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE r.attributes ->> $14::text = $15::text) OR f.events IS NOT NULL
AND EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS a (event)
WHERE a.event -> 'attributes' ->> $14::text = $15::text))
AND (f.attributes ->> $16::text = $17::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE r.attributes ->> $16::text = $17::text) OR f.events IS NOT NULL
AND EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS a (event)
WHERE a.event -> 'attributes' ->> $16::text = $17::text))
ORDER BY start_time DESC, trace_id DESC
LIMIT $5::bigint
