// Jaeger's own test of a storage, with otlpg as the storage; compiled inside Jaeger's module, whose
// packages are internal. Each case finds otlpg empty, so that nothing has to be cleaned up.

package integration

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/jaegertracing/jaeger/internal/storage/v2/grpc"
	"github.com/jaegertracing/jaeger/internal/telemetry"
)

func TestOtlpg(t *testing.T) {
	config := grpc.DefaultConfig()
	config.ClientConfig = configgrpc.ClientConfig{
		Endpoint: os.Getenv("OTLPG_TEST_ENDPOINT"),
		TLS:      configtls.ClientConfig{Insecure: true},
	}
	factory, err := grpc.NewFactory(context.Background(), config, telemetry.NoopSettings())
	require.NoError(t, err)
	defer func() { require.NoError(t, factory.Close()) }()

	suite := StorageIntegration{CleanUp: func(*testing.T) {}}
	suite.TraceWriter, err = factory.CreateTraceWriter()
	require.NoError(t, err)
	suite.TraceReader, err = factory.CreateTraceReader()
	require.NoError(t, err)
	suite.DependencyReader, err = factory.CreateDependencyReader()
	require.NoError(t, err)
	suite.RunAll(t)
}
