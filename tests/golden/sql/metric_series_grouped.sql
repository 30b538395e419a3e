SELECT s.series_id, m.temporality, m.monotonic, ARRAY[coalesce(s.attributes -> $13::text, r.attributes -> $13::text)::text, coalesce(s.attributes -> $14::text, r.attributes -> $14::text)::text]::text[] AS keys, count(*) OVER () AS total
FROM metrics AS m
JOIN metric_series AS s ON s.metric_id = m.metric_id
CROSS
JOIN LATERAL (SELECT s.series_id) AS f
LEFT
JOIN resources AS r ON r.resource_id = s.resource_id
LEFT
JOIN scopes AS c ON c.scope_id = s.scope_id
WHERE m.name = $1::text
AND m.last_seen >= $2::date
AND m.type = $3::text
AND coalesce(m.unit, '') = $4::text
AND s.last_seen >= $5::date
AND s.service_name = $6::text
AND (strpos(lower(s.service_name COLLATE "C"), $7::text) > 0 OR strpos(lower(m.name COLLATE "C"), $7::text) > 0)
AND (f.series_id IN (SELECT a.series_id
FROM metric_series AS a
WHERE true
AND CASE WHEN jsonb_typeof(a.attributes -> $8::text) = 'number' THEN (a.attributes -> $8::text)::numeric > $9::numeric ELSE false END
UNION ALL
SELECT a.series_id
FROM metric_series AS a
WHERE NOT a.attributes ? $8::text
AND a.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE true
AND CASE WHEN jsonb_typeof(r.attributes -> $8::text) = 'number' THEN (r.attributes -> $8::text)::numeric > $9::numeric ELSE false END)))
AND (f.series_id IN (SELECT a.series_id
FROM metric_series AS a
WHERE (a.attributes @> $12::jsonb)
AND (a.attributes -> $10::text) = ANY ($11::jsonb[])
UNION ALL
SELECT a.series_id
FROM metric_series AS a
WHERE NOT a.attributes ? $10::text
AND a.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE (r.attributes @> $12::jsonb)
AND (r.attributes -> $10::text) = ANY ($11::jsonb[]))))
ORDER BY s.last_seen DESC, s.series_id
LIMIT $15::bigint
