SELECT s.line, p.step, p.taken_from, p.is_counted, p.bounds, least(sum(p.count), 9223372036854775807)::bigint AS count, min(p.min) AS min, max(p.max) AS max, ARRAY[least(sum(p.bucket_counts[1]), 9223372036854775807)::bigint, least(sum(p.bucket_counts[2]), 9223372036854775807)::bigint, least(sum(p.bucket_counts[3]), 9223372036854775807)::bigint]::bigint[] AS counts
FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::boolean[]) AS s(id, line, is_delta, is_monotonic)
LEFT
JOIN LATERAL (SELECT f.time
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $8::timestamptz
AND f.time < $5::timestamptz
AND f.flags & 1 <> 1
AND f.count IS NOT NULL
ORDER BY f.time DESC
LIMIT 1) AS l ON true
CROSS
JOIN LATERAL (SELECT q.*
FROM (SELECT CASE WHEN cardinality(f.bucket_counts) = cardinality(f.explicit_bounds) + 1
AND cardinality(f.bucket_counts) <= 1000 THEN f.explicit_bounds END AS bounds, f.bucket_counts, f.count, f.min, f.max, greatest(date_bin($7::float8 * interval '1 microsecond', f.time, $5::timestamptz), $9::timestamptz) AS step, CASE WHEN s.is_delta OR (lead(f.start_time) OVER w >= f.time
AND lead(f.start_time) OVER w IS DISTINCT
FROM f.start_time) OR lead(f.count) OVER w < f.count THEN NULL ELSE lead(greatest(date_bin($7::float8 * interval '1 microsecond', f.time, $5::timestamptz), $9::timestamptz)) OVER w END AS taken_from, CASE WHEN s.is_delta THEN true WHEN lag(f.time) OVER w IS NULL THEN coalesce(f.start_time >= $8::timestamptz
AND f.start_time < f.time, false) WHEN (f.start_time >= lag(f.time) OVER w
AND f.start_time IS DISTINCT
FROM lag(f.start_time) OVER w) THEN f.start_time < f.time ELSE true END AS is_counted
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $8::timestamptz
AND (f.time >= coalesce(l.time, $5::timestamptz)) IS TRUE
AND f.time < $6::timestamptz
AND f.flags & 1 <> 1
AND f.count IS NOT NULL WINDOW w AS (ORDER BY f.time, f.time_ns NULLS FIRST)) AS q
WHERE NOT q.is_counted OR q.step IS DISTINCT
FROM q.taken_from) AS p
GROUP BY 1, 2, 3, 4, 5
