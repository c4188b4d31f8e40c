// Client does in Go what client.py does: it sends a message for each number that a line of
// its input has, once only, and repeats the call with its id until it has a definite answer,
// and then once more. What it prints is the same.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example.com/mesibo-grpc/mesibo/v1"
)

// codec encodes messages of protobuf's present API, which Debian 12's grpc-go is older than.
type codec struct{}

func (codec) Marshal(message interface{}) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}

func (codec) Unmarshal(bytes []byte, message interface{}) error {
	return proto.Unmarshal(bytes, message.(proto.Message))
}

func (codec) Name() string { return "proto" }

// client makes calls, one line of output at a time.
type client struct {
	messages pb.MessageServiceClient
	timeout  time.Duration
	printing sync.Mutex
}

func main() {
	addresses, config := os.Args[1], os.Args[2]
	timeout, callers := parse(os.Args[3]), parse(os.Args[4])
	channel := connect(strings.Split(addresses, ","), config)
	c := &client{
		messages: pb.NewMessageServiceClient(channel),
		timeout:  time.Duration(timeout * float64(time.Second)),
	}
	numbers := make(chan uint64)
	var group sync.WaitGroup
	for n := 0; n < int(callers); n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := range numbers {
				c.send(number)
			}
		}()
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		numbers <- uint64(parse(input.Text()))
	}
	close(numbers)
	group.Wait()
	channel.Close()
}

func parse(text string) float64 {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return number
}

// connect opens a channel to all addresses.
func connect(addresses []string, config string) *grpc.ClientConn {
	servers := manual.NewBuilderWithScheme("servers")
	state := resolver.State{}
	for _, address := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	servers.InitialState(state)
	channel, err := grpc.Dial(
		"servers:///all",
		grpc.WithInsecure(),
		grpc.WithResolvers(servers),
		grpc.WithAuthority("mesibo-grpc"),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{
			BaseDelay:  100 * time.Millisecond,
			Multiplier: 1.6,
			MaxDelay:   500 * time.Millisecond,
		}}),
	)
	if err != nil {
		panic(err)
	}
	return channel
}

func (c *client) say(words ...interface{}) {
	c.printing.Lock()
	defer c.printing.Unlock()
	fmt.Println(words...)
}

func (c *client) send(number uint64) {
	for !c.attempt(number) {
		time.Sleep(50 * time.Millisecond)
	}
	c.attempt(number)
	c.say(number, "end")
}

// attempt makes the call, and says whether its answer is definite.
func (c *client) attempt(number uint64) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	var header, trailer metadata.MD
	begun := time.Now().UnixMicro()
	answer, err := c.messages.SendMessage(ctx, &pb.SendMessageRequest{
		FromAddress: "alice",
		Recipient:   &pb.SendMessageRequest_Gid{Gid: 9},
		Message:     fmt.Sprint(number),
		RequestId:   proto.String(fmt.Sprintf("00000000-0000-4000-8000-%012x", number)),
	}, grpc.Header(&header), grpc.Trailer(&trailer))
	ended := time.Now().UnixMicro()

	reason, outcome, mid, isDefinite := "-", "-", "-", err == nil
	if err == nil {
		mid = fmt.Sprint(answer.GetMessageId())
	}
	failure := status.Convert(err)
	for _, detail := range failure.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason, isDefinite = info.Reason, info.Domain == "mesibo.com"
			if value, ok := info.Metadata["outcome"]; ok {
				outcome = value
			}
		}
	}
	replayed := "-"
	if len(header.Get("request-replayed"))+len(trailer.Get("request-replayed")) > 0 {
		replayed, isDefinite = "replayed", true
	}
	c.say(number, begun, ended, code.Code(failure.Code()), reason, outcome, mid, replayed)
	return isDefinite
}
