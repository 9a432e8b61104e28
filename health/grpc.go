package health

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// GRPCOptions are what a check of kind GRPC asks for.
type GRPCOptions struct {
	// Service is the name the server knows; "" is the server as a whole.
	Service string
	// TLS says that TLSOptions count; otherwise the connection is plain.
	TLS bool
}

func probeGRPC(ctx context.Context, c Check) error {
	creds := insecure.NewCredentials()
	if c.GRPC.TLS {
		cfg, err := c.TLS.config(c.Target.Addr().AsSlice())
		if err != nil {
			return err
		}
		creds = credentials.NewTLS(cfg)
	}
	// Dialled here, so that a refused connection is seen as such: the client
	// would speak of an unavailable server.
	conn, err := dial(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	used := make(chan struct{}, 1)
	client, err := grpc.NewClient("passthrough:///"+c.Target.String(),
		grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig(), grpc.WithUserAgent("portico-health"),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case used <- struct{}{}:
				return conn, nil
			default:
				return nil, syscall.ECONNRESET // one attempt has one connection
			}
		}))
	if err != nil {
		return fmt.Errorf("grpc client: %w", err)
	}
	defer func() { _ = client.Close() }()
	res, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: c.GRPC.Service})
	s := status.Convert(err)
	if end, ok := ctx.Deadline(); ok && s.Code() == codes.Unavailable && !time.Now().Before(end) {
		s = status.New(codes.DeadlineExceeded, "") // the connection's came before that of the call
	}
	switch s.Code() {
	case codes.OK:
	case codes.DeadlineExceeded:
		return fmt.Errorf("grpc: timeout after %s", c.Timeout)
	case codes.NotFound:
		return fmt.Errorf("grpc: the server knows no service %q", c.GRPC.Service)
	case codes.Unimplemented:
		return fmt.Errorf("grpc: the server has no grpc.health.v1.Health")
	default:
		return fmt.Errorf("grpc: %s: %s", s.Code(), s.Message())
	}
	if st := res.GetStatus(); st != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("grpc: %s", st)
	}
	return nil
}
