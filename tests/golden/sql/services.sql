SELECT r.service_name, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen, count(*) AS resources
FROM resources AS r
WHERE r.service_name IS NOT NULL
AND r.last_seen >= ($1::timestamptz AT TIME ZONE 'UTC')::date - 1
GROUP BY r.service_name
ORDER BY r.service_name COLLATE "C"
