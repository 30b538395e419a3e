SELECT m.type, coalesce(m.unit, '') AS unit, bool_and(coalesce(m.monotonic, false)) AS monotonic
FROM metrics AS m
WHERE m.name = $1::text
AND m.last_seen >= $2::date
AND m.type = $3::text
AND coalesce(m.unit, '') = $4::text
GROUP BY 1, 2
ORDER BY 1, 2
LIMIT 20
