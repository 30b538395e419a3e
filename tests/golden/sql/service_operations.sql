SELECT n.name, n.kind, count(*) AS spans
FROM (SELECT f.name, f.kind
FROM trace_spans AS f
WHERE f.service_name = $1::text
AND f.start_time >= $2::timestamptz
AND f.start_time < $3::timestamptz
ORDER BY f.start_time DESC
LIMIT $4::bigint) AS n
GROUP BY n.name, n.kind
ORDER BY n.name COLLATE "C", n.kind
