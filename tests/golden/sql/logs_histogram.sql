SELECT date_bin($3::bigint * interval '1 microsecond', f.time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS step, CASE WHEN f.severity_number BETWEEN 1
AND 24 THEN (f.severity_number - 1) / 4 ELSE -1 END AS level, count(*) AS records
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
GROUP BY 1, 2
ORDER BY 1, 2
