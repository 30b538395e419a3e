SELECT s.line, p.step, sum(p.grown) AS value
FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::boolean[]) AS s(id, line, is_delta, is_monotonic)
LEFT
JOIN LATERAL (SELECT f.time
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $8::timestamptz
AND f.time < $5::timestamptz
AND f.flags & 1 <> 1
AND f.sum IS NOT NULL
ORDER BY f.time DESC
LIMIT 1) AS l ON true
CROSS
JOIN LATERAL (SELECT q.step, sum(q.grown) AS grown
FROM (SELECT date_bin($7::float8 * interval '1 microsecond', f.time, $5::timestamptz) AS step, f.time, CASE WHEN s.is_delta OR (f.start_time >= lag(f.time) OVER w
AND f.start_time IS DISTINCT
FROM lag(f.start_time) OVER w) OR lag(f.time) OVER w IS NULL OR (s.is_monotonic
AND f.count < lag(f.count) OVER w) THEN f.sum WHEN (NULL::bigint < 0) = (lag(NULL::bigint) OVER w < 0) THEN (NULL::bigint - lag(NULL::bigint) OVER w)::float8 ELSE f.sum - lag(f.sum) OVER w END AS grown, CASE WHEN s.is_delta THEN true WHEN lag(f.time) OVER w IS NULL THEN coalesce(f.start_time >= $8::timestamptz
AND f.start_time < f.time, false) WHEN (f.start_time >= lag(f.time) OVER w
AND f.start_time IS DISTINCT
FROM lag(f.start_time) OVER w) THEN f.start_time < f.time ELSE true END AS is_counted
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $8::timestamptz
AND (f.time >= coalesce(l.time, $5::timestamptz)) IS TRUE
AND f.time < $6::timestamptz
AND f.flags & 1 <> 1
AND f.sum BETWEEN -1e290
AND 1e290 WINDOW w AS (ORDER BY f.time, f.time_ns NULLS FIRST)) AS q
WHERE q.time >= $5::timestamptz
AND q.is_counted
GROUP BY 1) AS p
GROUP BY 1, 2
ORDER BY 1, 2
