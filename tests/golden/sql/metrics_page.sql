SELECT n.name, n.type, n.unit, n.temporality, n.monotonic, n.edge, n.description, k.series, k.services[1:20] AS services, cardinality(k.services) AS services_total
FROM (SELECT m.name, m.type, coalesce(m.unit, '') AS unit, coalesce(m.temporality, -1) AS temporality, coalesce(m.monotonic, false) AS monotonic, min(m.metric_id) AS edge, max(m.description) AS description, array_agg(m.metric_id) AS ids, row_number() OVER (ORDER BY m.name COLLATE "C", m.type COLLATE "C", coalesce(m.unit, '') COLLATE "C", coalesce(m.temporality, -1), coalesce(m.monotonic, false)) AS place
FROM metrics AS m
WHERE m.last_seen >= $1::date
AND strpos(lower(m.name COLLATE "C"), $2::text) > 0
AND EXISTS (SELECT
FROM metric_series AS s
WHERE s.metric_id = m.metric_id
AND s.service_name = $3::text
AND s.last_seen >= $1::date)
GROUP BY m.name, m.type, coalesce(m.unit, ''), coalesce(m.temporality, -1), coalesce(m.monotonic, false)
ORDER BY place
LIMIT $4::bigint) AS n
CROSS
JOIN LATERAL (SELECT count(*) AS series, array_agg(DISTINCT s.service_name) FILTER (WHERE s.service_name IS NOT NULL) AS services
FROM metric_series AS s
WHERE s.metric_id = ANY (n.ids)
AND s.last_seen >= $1::date
AND s.service_name = $3::text) AS k
ORDER BY n.place
