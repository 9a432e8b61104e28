package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// callee answers calls of gRPC.
type callee struct {
	pb.UnimplementedTestServiceServer
	ended chan error // what a call that waits ended with
}

// UnaryCall answers with the payload, fails as it is told, or waits.
func (s *callee) UnaryCall(ctx context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if m, _ := metadata.FromIncomingContext(ctx); len(m["wait"]) > 0 {
		<-ctx.Done()
		s.ended <- ctx.Err()
		return nil, ctx.Err()
	}
	grpc.SetHeader(ctx, metadata.Pairs("head", "1", "bin-bin", "\x00\xff"))
	grpc.SetTrailer(ctx, metadata.Pairs("tail", "2"))
	if e := r.GetResponseStatus(); e != nil {
		return nil, status.Error(codes.Code(e.Code), e.Message)
	}
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}

func (s *callee) StreamingOutputCall(r *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range r.ResponseParameters {
		if err := out.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *callee) StreamingInputCall(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	size := 0
	for {
		r, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(r.Payload.Body)
	}
}

// FullDuplexCall answers each message with its payload.
func (s *callee) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		r, err := both.Recv()
		if err == io.EOF {
			both.SetTrailer(metadata.Pairs("tail", "3"))
			return status.Error(codes.DataLoss, "as told: 100 %")
		}
		if err != nil {
			return err
		}
		if err := both.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

// callees runs a server of gRPC, which stop ends in an orderly way.
func callees(t *testing.T) (addr string, ended chan error, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, c := grpc.NewServer(), &callee{ended: make(chan error, 1)}
	pb.RegisterTestServiceServer(s, c)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String(), c.ended, s.GracefulStop
}

// h2c are endpoints of web that speak HTTP/2.
func h2c(addrs ...string) map[route.Backend][]route.Endpoint {
	return way{back: "HTTP/2"}.endpoints(addrs...)
}

// caller returns an edge in front of endpoints with a client of it.
func caller(t *testing.T, secure bool, o proxy.Options, addrs ...string) (*edge, pb.TestServiceClient) {
	t.Helper()
	entry, creds := proxy.Entrypoint{H2C: true}, insecure.NewCredentials()
	if secure {
		server, client := certificate(t)
		server.NextProtos, client.NextProtos = []string{"h2", "http/1.1"}, nil
		entry, creds = proxy.Entrypoint{TLS: server}, credentials.NewTLS(client)
	}
	e := start(t, o, entry)
	e.SetEndpoints(h2c(addrs...))
	cc, err := grpc.NewClient(e.addr, grpc.WithTransportCredentials(creds), grpc.WithAuthority("example.com"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return e, pb.NewTestServiceClient(cc)
}

func payload(n int) *pb.Payload { return &pb.Payload{Body: noise(byte(n), n)} }

// TestGRPC makes calls of every kind.
func TestGRPC(t *testing.T) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			addr, _, _ := callees(t)
			e, c := caller(t, secure, proxy.Options{}, addr)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			unary(ctx, t, c)
			streams(ctx, t, c)
			if s := e.Status(); s.Responses.Success != s.Requests || s.Requests == 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func unary(ctx context.Context, t *testing.T, c pb.TestServiceClient) {
	t.Helper()
	for _, size := range []int{0, 10, 100_000, 3 << 20} {
		var head, tail metadata.MD
		r, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: payload(size)}, grpc.Header(&head), grpc.Trailer(&tail))
		if err != nil || !slices.Equal(r.Payload.Body, noise(byte(size), size)) {
			t.Fatalf("%d: %v", size, err)
		}
		if head["head"][0] != "1" || head["bin-bin"][0] != "\x00\xff" || tail["tail"][0] != "2" {
			t.Errorf("head %v, tail %v", head, tail)
		}
	}
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(codes.NotFound), Message: "größer als 5 %"}})
	if s := status.Convert(err); s.Code() != codes.NotFound || s.Message() != "größer als 5 %" {
		t.Errorf("got %v", err)
	}
	// One that the server does not have is answered with trailers only.
	if _, err := c.EmptyCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}

func streams(ctx context.Context, t *testing.T, c pb.TestServiceClient) {
	t.Helper()
	out, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{
		ResponseParameters: slices.Repeat([]*pb.ResponseParameters{{Size: 30_000}}, 50),
	})
	got := 0
	for err == nil {
		var m *pb.StreamingOutputCallResponse
		if m, err = out.Recv(); err == nil {
			got += len(m.Payload.Body)
		}
	}
	if err != io.EOF || got != 50*30_000 {
		t.Errorf("server's stream: %d bytes, %v", got, err)
	}
	in, err := c.StreamingInputCall(ctx)
	for i := 0; err == nil && i < 50; i++ {
		err = in.Send(&pb.StreamingInputCallRequest{Payload: payload(30_000)})
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := in.CloseAndRecv(); err != nil || r.AggregatedPayloadSize != 50*30_000 {
		t.Errorf("client's stream: %v, %v", r, err)
	}
	both, err := c.FullDuplexCall(ctx)
	for i := 0; err == nil && i < 20; i++ {
		var m *pb.StreamingOutputCallResponse
		if err = both.Send(&pb.StreamingOutputCallRequest{Payload: payload(i)}); err == nil {
			m, err = both.Recv()
		}
		if err == nil && len(m.Payload.Body) != i {
			t.Errorf("%d bytes of %d", len(m.Payload.Body), i)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	both.CloseSend()
	if _, err := both.Recv(); status.Code(err) != codes.DataLoss || both.Trailer()["tail"][0] != "3" {
		t.Errorf("both: %v, %v", err, both.Trailer())
	}
}

// TestGRPCEnds shows that a call that is over for its client is over for its
// endpoint.
func TestGRPCEnds(t *testing.T) {
	addr, ended, _ := callees(t)
	_, c := caller(t, false, proxy.Options{}, addr)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "wait", "1")
	late, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	// The endpoint knows the deadline too, and may reset the stream first.
	if _, err := c.UnaryCall(late, &pb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the endpoint knows no end")
	}
	left, leave := context.WithCancel(ctx)
	time.AfterFunc(short, leave)
	if _, err := c.UnaryCall(left, &pb.SimpleRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if err := <-ended; err != context.Canceled {
		t.Errorf("the endpoint's end: %v", err)
	}
}

// TestGRPCDeadline shows what a client is told whose endpoint resets the call when
// its deadline has passed, with and without the begin of a response, and that no
// endpoint is blamed for it, nor another one asked.
func TestGRPCDeadline(t *testing.T) {
	var asked atomic.Int64
	w := way{front: "HTTP/2", back: "HTTP/2"}
	addr := w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/begun" {
			rw.Header().Set("Content-Type", "application/grpc")
			http.NewResponseController(rw).Flush()
		}
		if r.URL.Path != "/early" {
			timeout, err := time.ParseDuration(strings.Replace(r.Header.Get("Grpc-Timeout"), "m", "ms", 1))
			if err != nil {
				t.Error(err)
			}
			<-time.After(timeout)
		}
		panic(http.ErrAbortHandler) // RST_STREAM
	})
	v := w.visit(t, with(func(p *backend.Policy) { p.Ejection.Failures = 1 }), addr)
	for path, want := range map[string]string{"/unanswered": "4", "/begun": "4", "/early": "14"} {
		asked.Store(0)
		r := v.request("POST", path, strings.NewReader("call"))
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		r.Header.Set("Grpc-Timeout", map[string]string{"/early": "1H"}[path])
		if path != "/early" {
			r.Header.Set("Grpc-Timeout", "20m")
		}
		resp, _ := v.do(r)
		got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status")
		if got != want || resp.StatusCode != 200 {
			t.Errorf("%s: status %q, want %q: %v", path, got, want, resp)
		}
		if n := asked.Load(); path != "/early" && n != 1 {
			t.Errorf("%s: %d endpoints were asked", path, n)
		}
		if ep := v.Status().Backends[0].Endpoints[0]; path == "/unanswered" && ep.Ejected != nil {
			t.Errorf("%s: the endpoint is blamed: %+v", path, ep)
		}
		v.SetEndpoints(w.endpoints())
		v.SetEndpoints(w.endpoints(addr)) // as if new
	}
}

// TestGRPCPauses shows that a stream may be silent for longer than a request
// may take.
func TestGRPCPauses(t *testing.T) {
	addr, _, _ := callees(t)
	_, c := caller(t, false, proxy.Options{Timeouts: proxy.Timeouts{Stall: short}, Policy: waits(time.Minute, short)}, addr)
	both, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(4 * short)
	defer tick.Stop()
	for range 2 {
		<-tick.C
		if err := both.Send(&pb.StreamingOutputCallRequest{Payload: payload(5)}); err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	both.CloseSend()
	if _, err := both.Recv(); status.Code(err) != codes.DataLoss {
		t.Error(err)
	}
}

// TestGRPCErrors shows what a client of gRPC makes of the engine's answers.
func TestGRPCErrors(t *testing.T) {
	e, c := caller(t, false, proxy.Options{}, closedPort(t))
	ask := func(want codes.Code, words string) {
		t.Helper()
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		if s := status.Convert(err); s.Code() != want || !strings.Contains(s.Message(), words) {
			t.Errorf("got %v, want %v %q", err, want, words)
		}
	}
	ask(codes.Unavailable, "no endpoint takes connections")
	e.SetEndpoints(h2c())
	ask(codes.Unavailable, "no endpoint")
	table, _ := route.NewTable(nil)
	e.SetRoutes(table)
	ask(codes.Unimplemented, "no route")
}

// TestGRPCRollingUpdate replaces endpoints under load: no call may fail.
func TestGRPCRollingUpdate(t *testing.T) {
	first, _, stop := callees(t)
	e, c := caller(t, false, proxy.Options{}, first)
	ctx, over := context.WithCancel(t.Context())
	defer over()
	var calls atomic.Int64
	failed := make(chan error, 4)
	for range cap(failed) {
		go func() {
			for ctx.Err() == nil {
				if _, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{Payload: payload(100)}); err != nil {
					failed <- err
					return
				}
				calls.Add(1)
			}
			failed <- nil
		}()
	}
	for range 10 {
		next, _, stopNext := callees(t)
		before := calls.Load()
		e.SetEndpoints(h2c(next))
		stop() // sends GOAWAY, and waits for the calls under way
		stop = stopNext
		for calls.Load() < before+20 {
			time.Sleep(time.Millisecond)
		}
	}
	over()
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Errorf("after %d calls: %v", calls.Load(), err)
		}
	}
	t.Logf("%d calls", calls.Load())
}
