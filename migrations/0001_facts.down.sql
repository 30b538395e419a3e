-- otlpg: drops-facts
DROP TABLE metric_data_points;
DROP TABLE logs;
DROP TABLE trace_spans;
