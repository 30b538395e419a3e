SELECT x.service, x.type, x.message, count(*) AS count, min(x.time) AS first, max(x.time) AS last, (max(x.place))[2] AS trace_id
FROM (SELECT f.service_name AS service, left(e.event -> 'attributes' ->> 'exception.type', $4::integer) AS type, left(e.event -> 'attributes' ->> 'exception.message', $4::integer) AS message, coalesce((e.event ->> 'time_unix_nano')::numeric, extract(epoch
FROM f.start_time - to_timestamp(946684800)) * 1000000000 + 946684800000000000 + coalesce(f.start_ns, 0)) AS time, ARRAY[timestamptz_send(f.start_time), f.trace_id] AS place
FROM trace_spans AS f
CROSS
JOIN LATERAL jsonb_array_elements(f.events) WITH ORDINALITY AS e (event, place)
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND true
AND f.service_name = $3::text
AND f.events @> '[{"name": "exception"}]'
AND e.event ->> 'name' = 'exception') AS x
GROUP BY x.service, x.type, x.message
ORDER BY count(*) DESC, max(x.time) DESC, x.service COLLATE "C", x.type COLLATE "C", x.message COLLATE "C"
LIMIT $5::bigint
