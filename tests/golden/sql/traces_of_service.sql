SELECT f.start_time, f.trace_id
FROM trace_spans AS f WHERE f.start_time >= $1::timestamptz
  AND f.start_time < $2::timestamptz
  AND f.start_time <= $3::timestamptz
  AND (f.start_time, f.trace_id) < ($3::timestamptz, $4::bytea)
  AND (strpos(lower(f.service_name COLLATE "C"), $6::text) > 0 OR strpos(lower(f.name COLLATE "C"), $6::text) > 0 OR strpos(lower(f.status_message COLLATE "C"), $6::text) > 0)
  AND f.service_name = $7::text
  AND (f.attributes ->> $8::text = $9::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r WHERE r.attributes ->> $8::text = $9::text) OR EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS e (event) WHERE e.event -> 'attributes' ->> $8::text = $9::text)) ORDER BY f.start_time DESC, f.trace_id DESC LIMIT $5::bigint
