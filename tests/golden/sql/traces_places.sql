SELECT max(f.start_time) AS start_time, f.trace_id
FROM trace_spans AS f
WHERE f.trace_id = ANY ($1::bytea[])
AND f.start_time >= $2::timestamptz
AND f.start_time < $3::timestamptz
AND (strpos(lower(f.service_name COLLATE "C"), $4::text) > 0 OR strpos(lower(f.name COLLATE "C"), $4::text) > 0 OR strpos(lower(f.status_message COLLATE "C"), $4::text) > 0)
AND f.service_name = $5::text
AND f.name = $6::text
AND f.duration_ns >= $7::bigint
AND f.duration_ns <= $8::bigint
AND f.status_code = $9::integer
AND f.status_code <> $10::integer
AND f.kind = $11::integer
AND (f.attributes ->> $12::text = $13::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE r.attributes ->> $12::text = $13::text) OR f.events IS NOT NULL
AND EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS a (event)
WHERE a.event -> 'attributes' ->> $12::text = $13::text))
AND (f.attributes ->> $14::text = $15::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE r.attributes ->> $14::text = $15::text) OR f.events IS NOT NULL
AND EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS a (event)
WHERE a.event -> 'attributes' ->> $14::text = $15::text))
GROUP BY f.trace_id
