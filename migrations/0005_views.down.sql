DROP VIEW trace_links;
DROP VIEW trace_events;
