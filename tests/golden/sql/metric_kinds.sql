SELECT DISTINCT m.type, coalesce(m.unit, '') AS unit
FROM metrics AS m
WHERE m.name = $1::text
AND m.last_seen >= $2::date
AND m.type = $3::text
AND coalesce(m.unit, '') = $4::text
ORDER BY 1, 2
LIMIT 20
