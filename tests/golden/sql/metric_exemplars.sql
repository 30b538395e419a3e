SELECT p.series_id, p.exemplars
FROM unnest($1::bigint[]) AS s(id)
CROSS
JOIN LATERAL (SELECT f.series_id, f.time, f.exemplars
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $2::timestamptz
AND f.time < $3::timestamptz
AND f.exemplars IS NOT NULL
ORDER BY f.time DESC
LIMIT $4::bigint) AS p
ORDER BY p.time DESC
LIMIT $4::bigint
