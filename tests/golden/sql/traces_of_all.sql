SELECT *
FROM (SELECT n.*
FROM (SELECT DISTINCT r.service_name
FROM resources AS r
WHERE r.service_name IS NOT NULL
AND true) AS names
CROSS
JOIN LATERAL (SELECT f.start_time, f.trace_id
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name = names.service_name
AND true
ORDER BY start_time ASC, trace_id ASC
LIMIT $3::bigint) AS n
UNION ALL (SELECT f.start_time, f.trace_id
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name IS NULL
AND true
ORDER BY start_time ASC, trace_id ASC
LIMIT $3::bigint)) AS n
ORDER BY start_time ASC, trace_id ASC
LIMIT $3::bigint
