SELECT count(*) AS records
FROM (SELECT 1
FROM logs AS f
WHERE f.time >= $1::timestamptz
AND f.time < $2::timestamptz
AND (f.service_name = ANY (ARRAY(SELECT r.service_name
FROM resources AS r
WHERE lower(r.service_name COLLATE "C") = $4::text
GROUP BY 1)))
AND (f.severity_number BETWEEN $5::integer
AND $6::integer)
AND (strpos(lower(f.service_name COLLATE "C"), $7::text) > 0 OR strpos(lower(coalesce(f.body_text, f.body::text) COLLATE "C"), $7::text) > 0 OR strpos(lower(f.event_name COLLATE "C"), $7::text) > 0)
AND (CASE WHEN f.attributes ? $8::text THEN (f.attributes -> $8::text) = ANY ($9::jsonb[]) ELSE f.resource_id IN (SELECT r.resource_id
FROM resources AS r
WHERE (r.attributes @> $10::jsonb)
AND (r.attributes -> $8::text) = ANY ($9::jsonb[])) END) IS NOT TRUE
LIMIT $3::bigint) AS f
