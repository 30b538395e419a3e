"""Jaeger's query API over what is stored: for the plugin of Grafana, and for clients of Jaeger.

Follow a trace: ``mapping`` makes Jaeger's spans of rows, with ``tags`` for their values;
``v1_parameters`` and ``v3_parameters`` read what clients send, ``units`` how they write times,
durations and ids; ``v1`` and ``v3`` answer.

Clients differ from each other and from Jaeger's documents, so times and ids are read leniently, and
parameters that are not known are left alone, as Jaeger does. What is known and wrong is told.

Spec: the HTTP API of Jaeger 1.x and ``jaeger.api_v3.QueryService``.
"""
