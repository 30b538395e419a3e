-- otlpg: drops-facts
DROP TABLE traces;
