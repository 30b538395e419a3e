"""What otlpg says about itself: metrics, logs, health; and its clock and test probe."""
