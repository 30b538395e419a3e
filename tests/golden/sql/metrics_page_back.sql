SELECT n.name, n.type, n.unit, n.temporality, n.monotonic, n.edge, n.description, k.series, k.services[1:20] AS services, cardinality(k.services) AS services_total
FROM (SELECT m.name, m.type, coalesce(m.unit, '') AS unit, coalesce(m.temporality, -1) AS temporality, coalesce(m.monotonic, false) AS monotonic, min(m.metric_id) AS edge, max(m.description) AS description, array_agg(m.metric_id) AS ids, row_number() OVER (ORDER BY m.name COLLATE "C" DESC, m.type COLLATE "C" DESC, coalesce(m.unit, '') COLLATE "C" DESC, coalesce(m.temporality, -1) DESC, coalesce(m.monotonic, false) DESC) AS place
FROM metrics AS m
WHERE m.last_seen >= $1::date
AND ROW(m.name COLLATE "C", m.type COLLATE "C", coalesce(m.unit, '') COLLATE "C", coalesce(m.temporality, -1), coalesce(m.monotonic, false)) < (SELECT m.name COLLATE "C", m.type COLLATE "C", coalesce(m.unit, '') COLLATE "C", coalesce(m.temporality, -1), coalesce(m.monotonic, false)
FROM metrics AS m
WHERE m.metric_id = $2::bigint)
GROUP BY m.name, m.type, coalesce(m.unit, ''), coalesce(m.temporality, -1), coalesce(m.monotonic, false)
ORDER BY place
LIMIT $3::bigint) AS n
CROSS
JOIN LATERAL (SELECT count(*) AS series, array_agg(DISTINCT s.service_name) FILTER (WHERE s.service_name IS NOT NULL) AS services
FROM metric_series AS s
WHERE s.metric_id = ANY (n.ids)
AND s.last_seen >= $1::date) AS k
ORDER BY n.place
