SELECT p.*
FROM unnest($1::bigint[]) WITH ORDINALITY AS s(id, place)
CROSS
JOIN LATERAL (SELECT f.*
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $2::timestamptz
AND f.time < $3::timestamptz
ORDER BY f.time DESC, f.time_ns DESC NULLS LAST
LIMIT $4::bigint) AS p
ORDER BY s.place
