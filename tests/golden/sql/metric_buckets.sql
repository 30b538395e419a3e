SELECT max(p.buckets) AS buckets
FROM unnest($1::bigint[]) AS s(id)
CROSS
JOIN LATERAL (SELECT cardinality(f.bucket_counts) AS buckets
FROM metric_data_points AS f
WHERE f.series_id = s.id
AND f.time >= $2::timestamptz
AND f.time < $3::timestamptz
ORDER BY f.time DESC
LIMIT 1) AS p
