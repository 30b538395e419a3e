SELECT f.start_time, f.trace_id, f.span_id, h.tie AS tie, e.place AS place, f.service_name, f.name, e.event
FROM trace_spans AS f
CROSS
JOIN LATERAL (SELECT hash_record_extended(f, 0) AS tie OFFSET 0) AS h
CROSS
JOIN LATERAL jsonb_array_elements(f.events) WITH ORDINALITY AS e (event, place)
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.start_time <= $3::timestamptz
AND (f.start_time, f.trace_id, f.span_id, h.tie, e.place) < ($3::timestamptz, $4::bytea, $5::bytea, $6::bigint, $7::bigint)
AND e.event ->> 'name' = $8::text
AND true
AND f.service_name = $10::text
ORDER BY start_time DESC, trace_id DESC, span_id DESC, tie DESC, place DESC
LIMIT $9::bigint
