EXPLAIN (FORMAT JSON)
SELECT 1
FROM logs AS f
WHERE f.time >= $1::timestamptz
AND f.time < $2::timestamptz
AND (f.service_name = ANY (ARRAY(SELECT r.service_name
FROM resources AS r
WHERE lower(r.service_name COLLATE "C") = $3::text
GROUP BY 1)))
AND (f.severity_number BETWEEN $4::integer
AND $5::integer)
AND (strpos(lower(f.service_name COLLATE "C"), $6::text) > 0 OR strpos(lower(coalesce(f.body_text, f.body::text) COLLATE "C"), $6::text) > 0 OR strpos(lower(f.event_name COLLATE "C"), $6::text) > 0)
AND (CASE WHEN f.attributes ? $7::text THEN (f.attributes -> $7::text) = ANY ($8::jsonb[]) ELSE f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE (r.attributes @> $9::jsonb)
AND (r.attributes -> $7::text) = ANY ($8::jsonb[])) END) IS NOT TRUE
