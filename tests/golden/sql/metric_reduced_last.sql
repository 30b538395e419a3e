SELECT s.line, p.step, sum(p.value) AS value
FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::boolean[]) AS s(id, line, is_delta, is_monotonic)
CROSS
JOIN LATERAL (SELECT date_bin($7::float8 * interval '1 microsecond', f.time, $5::timestamptz) AS step, (array_agg(coalesce(f.value, f.value_int::float8)
ORDER BY f.time DESC, f.time_ns DESC NULLS LAST))[1] AS value
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $5::timestamptz
AND f.time < $6::timestamptz
AND f.flags & 1 <> 1
AND (coalesce(f.value, f.value_int::float8) BETWEEN -1e290
AND 1e290 OR abs(coalesce(f.value, f.value_int::float8)) >= 'infinity')
GROUP BY 1) AS p
GROUP BY 1, 2
ORDER BY 1, 2
