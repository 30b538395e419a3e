DROP FUNCTION otlpg_make_leaf(text, timestamptz, integer);
DROP FUNCTION otlpg_leaves();
