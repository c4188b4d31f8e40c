package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

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
func start() (sandbox, func(), error) {
	program := os.Getenv("MESIBO_GRPC")
	if program == "" {
		program = "mesibo-grpc"
	}
	command := exec.Command(program, "sandbox", "--listen=127.0.0.1:0", "--emulator-listen=127.0.0.1:0")
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

// newWorld makes a world, which ends with the test.
func newWorld(t *testing.T) world {
	name := "test-" + *newRequestID()
	channel, err := connect(shared.url, options{app: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		channel.Close()
		request, _ := http.NewRequest(http.MethodDelete, shared.page+"sandbox/worlds/"+name, nil)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	})
	return world{channel, name, shared.page, shared.page + "api.php", "sandbox-" + name}
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
	w := newWorld(t)
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
	w := newWorld(t)
	_, err := mesibov1.NewMessageServiceClient(w.channel).SendMessage(context.Background(), hi())
	known := failureOf(err)
	if known.code != codes.NotFound || known.domain != "mesibo.com" || known.outcomeIsUnknown {
		t.Errorf("the failure is %+v", known)
	}
}
