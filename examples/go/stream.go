package main

// Messages by the thousand, to copy next to client.go. A stream takes messages as fast as
// the server sends them, and answers each by itself. It ends with its server or its
// connection; what has no answer by then goes into a new one.

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	protov1 "github.com/golang/protobuf/proto"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	mesibov1 "example.com/mesibo-grpc/mesibo/v1"
)

// streams is how often a stream is opened, one time after the other, that brings no answer.
const streams = 6

// answered is told of each message: its answer, or the error that a call of its own would
// have had.
type answered func(*mesibov1.SendMessageRequest, *mesibov1.SendMessageResponse, error)

// sendAll sends messages over a stream until the channel is closed and each has its
// answer, and tells of them in any order. One that fails stops no other. Each gets a
// RequestId unless it has one, so that none is sent twice.
//
// Give it a connection of its own, and do not wait in tell: no more is sent until answers
// are read.
func sendAll(
	ctx context.Context, client mesibov1.MessageServiceClient,
	messages <-chan *mesibov1.SendMessageRequest, tell answered,
) error {
	s := sender{messages: messages, unanswered: map[string]*mesibov1.SendMessageRequest{}}
	for attempt := 1; ; attempt++ {
		before := s.answers
		err := s.stream(ctx, client, tell)
		if err == nil {
			return nil
		}
		if s.answers > before {
			attempt = 1
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.Unknown, codes.Canceled, codes.ResourceExhausted:
		default:
			return err
		}
		if attempt == streams || ctx.Err() != nil {
			return err
		}
		if attempt > 1 {
			time.Sleep(100 * time.Millisecond << attempt)
		}
	}
}

// sender has the messages on their way.
type sender struct {
	messages <-chan *mesibov1.SendMessageRequest
	answers  int
	count    int

	mutex      sync.Mutex
	unanswered map[string]*mesibov1.SendMessageRequest
}

// stream sends what has no answer over one stream.
func (s *sender) stream(ctx context.Context, client mesibov1.MessageServiceClient, tell answered) error {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.SendMessages(ctx)
	if err != nil {
		cancel()
		return err
	}
	var sending sync.WaitGroup
	sending.Add(1)
	go func() {
		defer sending.Done()
		s.send(ctx, stream)
	}()
	err = s.receive(stream, tell)
	// Nothing is sent any longer when the next stream begins.
	cancel()
	sending.Wait()
	if err == nil && len(s.unanswered) > 0 {
		return status.Error(codes.Unavailable, "it ended before all was answered")
	}
	return err
}

// send sends what the stream before left without an answer, and then the rest.
func (s *sender) send(ctx context.Context, stream mesibov1.MessageService_SendMessagesClient) {
	s.mutex.Lock()
	var again []*mesibov1.SendMessagesRequest
	for key, request := range s.unanswered {
		again = append(again, &mesibov1.SendMessagesRequest{Key: key, Request: request})
	}
	s.mutex.Unlock()
	for _, item := range again {
		// The end of the stream says what is wrong.
		if stream.Send(item) != nil {
			return
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case request, more := <-s.messages:
			if !more {
				stream.CloseSend()
				return
			}
			if stream.Send(s.item(request)) != nil {
				return
			}
		}
	}
}

// item makes an item of a message, which has no answer from then on.
func (s *sender) item(request *mesibov1.SendMessageRequest) *mesibov1.SendMessagesRequest {
	if request.RequestId == nil {
		request.RequestId = newRequestID()
	}
	s.count++
	key := strconv.Itoa(s.count)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.unanswered[key] = request
	return &mesibov1.SendMessagesRequest{Key: key, Request: request}
}

// receive tells of the answers of a stream up to its end.
func (s *sender) receive(stream mesibov1.MessageService_SendMessagesClient, tell answered) error {
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mutex.Lock()
		request := s.unanswered[answer.Key]
		delete(s.unanswered, answer.Key)
		s.mutex.Unlock()
		s.answers++
		tell(request, answer.GetResponse(), itemError(answer.GetStatus()))
	}
}

// itemError makes the status of an item the error of a call; nil if there is none.
func itemError(item *mesibov1.ItemStatus) error {
	if item == nil {
		return nil
	}
	// Its fields have the numbers of google.rpc.Status, which in Debian 12 has protobuf's API
	// before the present one.
	var known rpcstatus.Status
	bytes, err := proto.Marshal(item)
	if err == nil {
		err = protov1.Unmarshal(bytes, &known)
	}
	if err != nil {
		return err
	}
	return status.ErrorProto(&known)
}
