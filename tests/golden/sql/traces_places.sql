SELECT max(f.start_time) AS start_time, f.trace_id
FROM trace_spans AS f WHERE f.trace_id = ANY ($1::bytea[])
  AND f.start_time >= $2::timestamptz
  AND f.start_time < $3::timestamptz
  AND (strpos(lower(f.service_name COLLATE "C"), $4::text) > 0 OR strpos(lower(f.name COLLATE "C"), $4::text) > 0 OR strpos(lower(f.status_message COLLATE "C"), $4::text) > 0)
  AND f.service_name = $5::text
  AND (f.attributes ->> $6::text = $7::text OR f.resource_id IN (SELECT r.resource_id
FROM resources AS r WHERE r.attributes ->> $6::text = $7::text) OR EXISTS (SELECT
FROM jsonb_array_elements(f.events) AS e (event) WHERE e.event -> 'attributes' ->> $6::text = $7::text)) GROUP BY f.trace_id
