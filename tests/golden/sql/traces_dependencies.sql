SELECT p.service_name AS parent, c.service_name AS child, count(*) AS calls, count(*) FILTER (WHERE c.status_code = 2) AS errors
FROM trace_spans AS c
JOIN trace_spans AS p ON p.trace_id = c.trace_id
AND p.span_id = c.parent_span_id
WHERE c.start_time >= $1::timestamptz
AND c.start_time < $3::timestamptz
AND p.start_time >= $2::timestamptz
AND p.start_time < $3::timestamptz
AND p.service_name <> c.service_name
GROUP BY 1, 2
ORDER BY 1, 2
LIMIT $4::bigint
