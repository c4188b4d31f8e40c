package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	mesibov1 "example.com/mesibo-grpc/mesibo/v1"
)

// sandbox is a running sandbox of mesibo-grpc.
type sandbox struct {
	url, page string
}

// world is what one test has for itself: nothing that another one does shows up in it.
type world struct {
	// Calls by this channel are for this world.
	channel *grpc.ClientConn
	// The name, which the metadata mesibo-app carries.
	name string
	// The page that shows users, messages and requests.
	page string
	// The emulated API of Mesibo, and its application token for this world.
	api, token string
}

var shared sandbox

// TestMain gives all tests one sandbox. The program is mesibo-grpc of the PATH, or the one
// that the environment variable MESIBO_GRPC names.
func TestMain(m *testing.M) {
	started, stop, err := start()
	if err != nil {
		panic(err)
	}
	shared = started
	status := m.Run()
	stop()
	os.Exit(status)
}

// start starts a sandbox on ports that the system chooses, and waits until it serves.
func start(flags ...string) (sandbox, func(), error) {
	program := os.Getenv("MESIBO_GRPC")
	if program == "" {
		program = "mesibo-grpc"
	}
	flags = append([]string{"sandbox", "--listen=127.0.0.1:0", "--emulator-listen=127.0.0.1:0"}, flags...)
	command := exec.Command(program, flags...)
	command.Env = append(os.Environ(), "MESIBO_GRPC_METRICS_LISTEN=none")
	stdout, err := command.StdoutPipe()
	if err != nil {
		return sandbox{}, nil, err
	}
	if err := command.Start(); err != nil {
		return sandbox{}, nil, err
	}
	stop := func() {
		command.Process.Signal(syscall.SIGTERM)
		command.Wait()
	}
	// It prints where it serves, and what to try first.
	var greeting string
	lines := bufio.NewScanner(stdout)
	for !strings.Contains(greeting, "api.php") && lines.Scan() {
		greeting += lines.Text() + "\n"
	}
	address := regexp.MustCompile(`gRPC on ([^,]+),`).FindStringSubmatch(greeting)
	page := regexp.MustCompile(`(http://\S+/)api\.php`).FindStringSubmatch(greeting)
	if address == nil || page == nil {
		return sandbox{}, nil, command.Wait()
	}
	url := "http://" + address[1]
	for attempt := 0; attempt < 50; attempt++ {
		if err = exec.Command(program, "health", "--address", url).Run(); err == nil {
			return sandbox{url, page[1]}, stop, nil
		}
	}
	stop()
	return sandbox{}, nil, err
}

// newWorld makes a world in a sandbox, which ends with the test.
func newWorld(t *testing.T, in sandbox) world {
	name := "test-" + *newRequestID()
	channel, err := connect(in.url, options{app: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		channel.Close()
		request, _ := http.NewRequest(http.MethodDelete, in.page+"sandbox/worlds/"+name, nil)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	})
	return world{channel, name, in.page, in.page + "api.php", "sandbox-" + name}
}

func (w world) create(t *testing.T, addresses ...string) {
	for _, address := range addresses {
		request := &mesibov1.CreateUserRequest{Address: address, AppId: "demo"}
		if _, err := mesibov1.NewUserServiceClient(w.channel).CreateUser(context.Background(), request); err != nil {
			t.Fatal(err)
		}
	}
}

// messages are the texts of the messages of the world, from the API that the page uses.
func (w world) messages(t *testing.T) []string {
	response, err := http.Get(w.page + "sandbox/messages?world=" + w.name)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var held struct{ Messages []struct{ Msg string } }
	if err := json.NewDecoder(response.Body).Decode(&held); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, message := range held.Messages {
		texts = append(texts, message.Msg)
	}
	return texts
}

func hi() *mesibov1.SendMessageRequest {
	return &mesibov1.SendMessageRequest{
		FromAddress: "alice",
		Recipient:   &mesibov1.SendMessageRequest_ToAddress{ToAddress: "bob"},
		Message:     "Hi",
		RequestId:   newRequestID(),
	}
}

func TestAMessageWithAnIDIsSentOnce(t *testing.T) {
	w := newWorld(t, shared)
	w.create(t, "alice", "bob")
	request := hi()
	var answers []*mesibov1.SendMessageResponse
	for range [2]int{} {
		err := once(context.Background(), func(ctx context.Context) error {
			sent, err := mesibov1.NewMessageServiceClient(w.channel).SendMessage(ctx, request)
			answers = append(answers, sent)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(answers) != 2 || !proto.Equal(answers[0], answers[1]) {
		t.Errorf("the answers differ: %v", answers)
	}
	if texts := w.messages(t); len(texts) != 1 || texts[0] != "Hi" {
		t.Errorf("the messages are %q", texts)
	}
}

func TestAFailureHasItsDetails(t *testing.T) {
	w := newWorld(t, shared)
	_, err := mesibov1.NewMessageServiceClient(w.channel).SendMessage(context.Background(), hi())
	known := failureOf(err)
	if known.code != codes.NotFound || known.domain != "mesibo.com" || known.outcomeIsUnknown {
		t.Errorf("the failure is %+v", known)
	}
}

// notes are so many messages, one in each interval.
func notes(count int, interval time.Duration) <-chan *mesibov1.SendMessageRequest {
	messages := make(chan *mesibov1.SendMessageRequest)
	go func() {
		defer close(messages)
		for number := 0; number < count; number++ {
			message := hi()
			message.Message = fmt.Sprint("note ", number)
			messages <- message
			time.Sleep(interval)
		}
	}()
	return messages
}

// streamed sends notes over a stream, and checks that each is answered well and arrives
// once.
func (w world) streamed(t *testing.T, count int, interval time.Duration) {
	w.create(t, "alice", "bob")
	client := mesibov1.NewMessageServiceClient(w.channel)
	seen := map[string]bool{}
	err := sendAll(context.Background(), client, notes(count, interval),
		func(request *mesibov1.SendMessageRequest, _ *mesibov1.SendMessageResponse, err error) {
			if err != nil || seen[request.Message] {
				t.Errorf("%s: %v", request.Message, err)
			}
			seen[request.Message] = true
		})
	if err != nil {
		t.Fatal(err)
	}
	arrived := map[string]bool{}
	texts := w.messages(t)
	for _, text := range texts {
		arrived[text] = true
	}
	if len(seen) != count || len(texts) != count || len(arrived) != count {
		t.Errorf("%d answered, %d arrived, %d of them different", len(seen), len(texts), len(arrived))
	}
}

func TestAStreamAnswersEachMessage(t *testing.T) {
	newWorld(t, shared).streamed(t, 100, 0)
}

func TestAStreamGoesOnWhereItsConnectionEnded(t *testing.T) {
	// A connection ends after a second, and the messages take three.
	aging, stop, err := start("--max-connection-age=1s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	newWorld(t, aging).streamed(t, 60, 50*time.Millisecond)
}
