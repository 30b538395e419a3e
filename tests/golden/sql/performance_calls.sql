WITH counted AS MATERIALIZED (SELECT f.service_name, ''::text AS operation, date_bin($3::bigint * interval '1 microsecond', f.start_time, $1::timestamptz) AS step, NULL::integer AS bucket, count(*) AS spans, count(*) FILTER (WHERE f.status_code = 2) AS errors
FROM trace_spans AS f
WHERE f.start_time >= $1::timestamptz
AND f.start_time < $2::timestamptz
AND f.service_name = ANY ($4::text[])
AND f.kind = ANY ($5::integer[])
GROUP BY 1, 2, 3, 4), ranked AS (SELECT service_name, operation
FROM counted
GROUP BY 1, 2
ORDER BY sum(spans) DESC, service_name COLLATE "C", operation COLLATE "C"
LIMIT $6::bigint)
SELECT service_name, operation, step, sum(spans)::bigint AS calls, sum(errors)::bigint AS errors, array_agg(bucket) FILTER (WHERE bucket IS NOT NULL) AS buckets, array_agg(spans) FILTER (WHERE bucket IS NOT NULL) AS spans
FROM counted
JOIN ranked USING (service_name, operation)
GROUP BY service_name, operation, step
ORDER BY service_name COLLATE "C", operation COLLATE "C", step
