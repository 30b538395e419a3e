WITH counted AS MATERIALIZED (SELECT f.service_name, ''::text AS operation, date_bin($4::bigint * interval '1 microsecond', f.start_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS step, CASE WHEN f.duration_ns > 0 THEN floor(ln(f.duration_ns::double precision) / ln(2.0::double precision) * 16)::integer WHEN f.duration_ns = 0 THEN -1 END AS bucket, count(*) AS spans, count(*) FILTER (WHERE f.status_code = 2) AS errors, max(f.duration_ns) AS longest
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name = $3::text
AND (f.kind IN (2, 5) OR f.parent_span_id IS NULL)
GROUP BY 1, 2, 3, 4), ranked AS (SELECT service_name, operation
FROM counted
GROUP BY 1, 2
ORDER BY sum(spans) DESC, service_name COLLATE "C", operation COLLATE "C"
LIMIT $5::bigint), running AS (SELECT *, sum(spans) FILTER (WHERE bucket IS NOT NULL) OVER (PARTITION BY service_name, operation, step
ORDER BY bucket) AS upto, sum(spans) FILTER (WHERE bucket IS NOT NULL) OVER (PARTITION BY service_name, operation, step) AS known
FROM counted
JOIN ranked USING (service_name, operation))
SELECT service_name, operation, step, sum(spans)::bigint AS requests, sum(errors)::bigint AS errors, max(longest) AS longest, min(bucket) FILTER (WHERE upto * 100 >= known * 50) AS p50, min(bucket) FILTER (WHERE upto * 100 >= known * 95) AS p95, min(bucket) FILTER (WHERE upto * 100 >= known * 99) AS p99
FROM running
GROUP BY service_name, operation, step
ORDER BY service_name COLLATE "C", operation COLLATE "C", step
