package main

// A client of mesibo-grpc, to copy into a program of your own. It opens a channel by a
// URL, gives every call a deadline and the caller's key, repeats what is safe to repeat,
// and reads errors from their details.

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	mathrand "math/rand"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	// Without it, the health that the service config names is not watched.
	_ "google.golang.org/grpc/health"
)

// serviceConfig is docs/service-config.json, which repeats the calls that are safe to
// repeat and balances over all servers of a name.
//
//go:embed build/service-config.json
var serviceConfig string

// deadline is the time that a call may take, if its context says nothing else.
const deadline = 10 * time.Second

// attempts is how often once makes a call at the most.
const attempts = 4

// options are what a client may be told besides the URL.
type options struct {
	// The caller's key, if it has one.
	key string
	// The Mesibo application to call for, if there are several.
	app string
	// The PEM file of authorities to trust in the place of the system's.
	caFile string
}

// connect opens a channel to the server at a URL: over TLS for https, in plaintext for
// http. One channel serves all clients and goroutines of a process.
func connect(address string, o options) (*grpc.ClientConn, error) {
	if !strings.Contains(address, "//") {
		address = "http://" + address
	}
	server, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	transport := grpc.WithInsecure()
	if server.Scheme == "https" {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.caFile != "" {
			pem, err := os.ReadFile(o.caFile)
			if err != nil {
				return nil, err
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, errors.New(o.caFile + " has no certificate")
			}
		}
		transport = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	return grpc.Dial(
		"dns:///"+server.Host,
		transport,
		grpc.WithDefaultServiceConfig(serviceConfig),
		// Finds out when a connection was dropped silently.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}),
		grpc.WithUnaryInterceptor(o.prepare),
		grpc.WithStreamInterceptor(o.prepareStream),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})),
	)
}

// prepare gives every unary call what it needs: a deadline, and who calls for which app.
func (o options) prepare(
	ctx context.Context, method string, request, reply interface{},
	channel *grpc.ClientConn, invoke grpc.UnaryInvoker, callOptions ...grpc.CallOption,
) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deadline)
		defer cancel()
	}
	return invoke(o.identify(ctx), method, request, reply, channel, callOptions...)
}

// prepareStream tells who opens a stream. It has no deadline but its context's.
func (o options) prepareStream(
	ctx context.Context, description *grpc.StreamDesc, channel *grpc.ClientConn,
	method string, open grpc.Streamer, callOptions ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return open(o.identify(ctx), description, channel, method, callOptions...)
}

// identify tells who calls, and for which app.
func (o options) identify(ctx context.Context) context.Context {
	if o.key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+o.key)
	}
	if o.app != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "mesibo-app", o.app)
	}
	return ctx
}

// codec encodes messages of protobuf's present API. The grpc-go of Debian 12 knows
// only the one before; any newer one needs no codec.
type codec struct{}

func (codec) Marshal(message interface{}) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}

func (codec) Unmarshal(bytes []byte, message interface{}) error {
	return proto.Unmarshal(bytes, message.(proto.Message))
}

func (codec) Name() string { return "proto" }

// newRequestID makes the id of one message or group: a UUID, made once, before the first
// attempt.
func newRequestID() *string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	text := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return &text
}

// once makes a call that has a RequestId, again and again until its outcome is known. Only
// SendMessage and CreateGroup take an id. Whatever was lost on the way, what the call asks
// for happens once. The deadline is for all attempts together.
func once(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := call(ctx)
		switch status.Code(err) {
		case codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Internal:
		default:
			return err
		}
		// At random, so that those who failed together do not come back together.
		pause := time.Duration(mathrand.Int63n(int64(100*time.Millisecond) << attempt))
		if retryAfter := failureOf(err).retryAfter; retryAfter > 0 {
			pause = retryAfter
		}
		end, _ := ctx.Deadline()
		if attempt == attempts || time.Now().Add(pause).After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

// failure is what a program can know of a call that failed.
type failure struct {
	code codes.Code
	text string
	// Who said no, "mesibo.com" or "mesibo-grpc", and why. Both are empty if the status
	// was made on the way: there is no connection, for example.
	domain, reason string
	// Whether what the call asks for may have happened: find out before you repeat it.
	outcomeIsUnknown bool
	// Every broken rule, with its field.
	violations []*errdetails.BadRequest_FieldViolation
	// After which time the call may be made again, if the status says so.
	retryAfter time.Duration
}

// failureOf reads the details of an error.
func failureOf(err error) failure {
	known := status.Convert(err)
	f := failure{code: known.Code(), text: known.Message()}
	for _, detail := range known.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			f.domain, f.reason = detail.Domain, detail.Reason
			f.outcomeIsUnknown = detail.Metadata["outcome"] == "unknown"
		case *errdetails.BadRequest:
			f.violations = detail.FieldViolations
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay
			f.retryAfter = time.Duration(delay.GetSeconds())*time.Second + time.Duration(delay.GetNanos())
		}
	}
	return f
}

// String says what is known of an error, in lines.
func (f failure) String() string {
	name := code.Code(f.code).String()
	if f.reason == "" {
		return name + ": " + f.text
	}
	lines := []string{fmt.Sprintf("%s: %s from %s", name, f.reason, f.domain)}
	for _, violation := range f.violations {
		lines = append(lines, "  "+violation.Field+": "+violation.Description)
	}
	if f.outcomeIsUnknown {
		lines = append(lines, "  it may have been carried out: check before you repeat it")
	}
	if f.retryAfter > 0 {
		lines = append(lines, fmt.Sprintf("  repeat it in %g s", f.retryAfter.Seconds()))
	}
	return strings.Join(lines, "\n")
}
