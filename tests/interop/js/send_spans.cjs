// An application with the JavaScript SDK: a numbered span a tick until stdin ends, then its shutdown.
//
// Takes the SDK's own OTEL_* variables, and PROTOCOL (http or grpc), SPANS_PER_S. Prints how many
// spans it made. CommonJS, so that NODE_PATH leads to packages outside the repository.
"use strict";
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchSpanProcessor, TracerProvider } = require("@opentelemetry/sdk-trace");

const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${process.env.PROTOCOL}`);

const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [
    new BatchSpanProcessor({
      exporter: new OTLPTraceExporter(),
      scheduledDelayMillis: Number(process.env.OTEL_BSP_SCHEDULE_DELAY),
      exportTimeoutMillis: Number(process.env.OTEL_BSP_EXPORT_TIMEOUT || 30_000),
    }),
  ],
});
const tracer = provider.getTracer("outage");
let sent = 0;

const ticking = setInterval(() => {
  tracer.startSpan(String(sent)).end();
  sent += 1;
}, 1_000 / Number(process.env.SPANS_PER_S));

process.stdin.resume();
process.stdin.on("end", async () => {
  clearInterval(ticking);
  await provider.shutdown();
  process.stdout.write(`${sent}\n`);
});
