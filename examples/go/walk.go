// Walk makes every RPC of mesibo-grpc, from Go, by the client of client.go.
//
// Usage: walk [URL]; the environment variable MESIBO_GRPC_KEY has the
// caller's key, where the server wants one, and MESIBO_GRPC_CA_FILE names
// the authorities to trust in the place of the usual ones.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	mesibov1 "example.com/mesibo-grpc/mesibo/v1"
)

const (
	alice = "alice 👩‍🚀 &=+% go"
	bob   = "בוב 🦀 go"
	text  = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line"
	appID = "demo"
)

// walker has a client for each service. They share one channel.
type walker struct {
	users    mesibov1.UserServiceClient
	groups   mesibov1.GroupServiceClient
	messages mesibov1.MessageServiceClient
}

func main() {
	address := "http://127.0.0.1:50051"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	channel, err := connect(address, options{
		key:    os.Getenv("MESIBO_GRPC_KEY"),
		caFile: os.Getenv("MESIBO_GRPC_CA_FILE"),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w := walker{
		users:    mesibov1.NewUserServiceClient(channel),
		groups:   mesibov1.NewGroupServiceClient(channel),
		messages: mesibov1.NewMessageServiceClient(channel),
	}
	err = w.walk(context.Background())
	channel.Close()
	if err != nil {
		fmt.Println(failureOf(err))
		os.Exit(1)
	}
}

func (w walker) walk(ctx context.Context) error {
	first, err := w.users.CreateUser(ctx, &mesibov1.CreateUserRequest{
		Address:     alice,
		AppId:       appID,
		TokenExpiry: durationpb.New(time.Hour),
	})
	if err != nil {
		return err
	}
	if _, err := w.users.CreateUser(ctx, &mesibov1.CreateUserRequest{Address: bob, AppId: appID}); err != nil {
		return err
	}
	fmt.Println("created", alice, "and", bob)

	gid, err := w.createTeam(ctx)
	if err != nil {
		return err
	}
	if err := w.sendMessages(ctx, gid); err != nil {
		return err
	}
	if err := w.streamNotes(ctx); err != nil {
		return err
	}
	if err := w.edit(ctx, alice, gid); err != nil {
		return err
	}
	if err := w.replaceToken(ctx, bob); err != nil {
		return err
	}

	// A mistake: 90 seconds are no whole minutes, and there is no address at all.
	_, err = w.users.CreateUser(ctx, &mesibov1.CreateUserRequest{
		AppId:       appID,
		TokenExpiry: durationpb.New(90 * time.Second),
	})
	if err != nil {
		fmt.Println(failureOf(err))
	}

	return w.cleanUp(ctx, first.Uid, gid)
}

// createTeam creates the group of the two users, and returns its id.
func (w walker) createTeam(ctx context.Context) (uint64, error) {
	request := &mesibov1.CreateGroupRequest{Name: proto.String("team"), RequestId: newRequestID()}
	var group *mesibov1.CreateGroupResponse
	err := once(ctx, func(ctx context.Context) (err error) {
		group, err = w.groups.CreateGroup(ctx, request)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, err = w.groups.EditGroupMembers(ctx, &mesibov1.EditGroupMembersRequest{
		Gid:         group.Gid,
		Members:     []string{alice, bob},
		Action:      mesibov1.EditGroupMembersRequest_ACTION_ADD,
		Permissions: &mesibov1.MemberPermissions{CanSend: proto.Bool(true)},
	})
	if err != nil {
		return 0, err
	}
	listed, err := w.groups.ListGroupMembers(ctx, &mesibov1.ListGroupMembersRequest{Gid: group.Gid})
	if err != nil {
		return 0, err
	}
	var addresses []string
	for _, member := range listed.Members {
		addresses = append(addresses, member.GetAddress())
	}
	fmt.Println("the group has", strings.Join(addresses, " and "))
	return group.Gid, nil
}

// sendMessages sends the message to a user and to a group.
func (w walker) sendMessages(ctx context.Context, gid uint64) error {
	toUser := &mesibov1.SendMessageRequest{Recipient: &mesibov1.SendMessageRequest_ToAddress{ToAddress: bob}}
	toGroup := &mesibov1.SendMessageRequest{Recipient: &mesibov1.SendMessageRequest_Gid{Gid: gid}}
	for _, to := range []struct {
		name    string
		request *mesibov1.SendMessageRequest
	}{{"to_address", toUser}, {"gid", toGroup}} {
		to.request.FromAddress = alice
		to.request.Message = text
		to.request.RequestId = newRequestID()
		var sent *mesibov1.SendMessageResponse
		err := once(ctx, func(ctx context.Context) (err error) {
			sent, err = w.messages.SendMessage(ctx, to.request)
			return err
		})
		if err != nil {
			return err
		}
		// A field that may be absent is a pointer: ask before you read it.
		known := "with"
		if sent.MessageId == nil {
			known = "without"
		}
		fmt.Printf("sent a message to %s, %s an id\n", to.name, known)
	}
	return nil
}

// streamNotes sends messages by the thousand: each item of a stream is answered by itself.
func (w walker) streamNotes(ctx context.Context) error {
	notes := make(chan *mesibov1.SendMessageRequest)
	go func() {
		defer close(notes)
		for _, note := range []string{"one", "two", "", "three"} {
			notes <- &mesibov1.SendMessageRequest{
				FromAddress: alice,
				Recipient:   &mesibov1.SendMessageRequest_ToAddress{ToAddress: bob},
				Message:     note,
			}
		}
	}()
	var sent int
	var failures []error
	err := sendAll(ctx, w.messages, notes,
		func(_ *mesibov1.SendMessageRequest, _ *mesibov1.SendMessageResponse, err error) {
			if err != nil {
				failures = append(failures, err)
			} else {
				sent++
			}
		})
	if err != nil {
		return err
	}
	fmt.Println("streamed", sent, "of", sent+len(failures), "messages")
	for _, err := range failures {
		fmt.Println(failureOf(err))
	}
	return nil
}

// edit changes the user and the group.
func (w walker) edit(ctx context.Context, address string, gid uint64) error {
	if _, err := w.users.EditUser(ctx, &mesibov1.EditUserRequest{Address: proto.String(address), Flags: proto.Uint32(1)}); err != nil {
		return err
	}
	if _, err := w.groups.EditGroup(ctx, &mesibov1.EditGroupRequest{Gid: gid, Name: proto.String("crew")}); err != nil {
		return err
	}
	fmt.Println("edited the user and the group")
	return nil
}

// replaceToken gives a user a new token, takes it away again, and lists who has one.
func (w walker) replaceToken(ctx context.Context, address string) error {
	if _, err := w.users.RegenerateUserToken(ctx, &mesibov1.RegenerateUserTokenRequest{Address: proto.String(address), AppId: appID}); err != nil {
		return err
	}
	if _, err := w.users.DeleteUserToken(ctx, &mesibov1.DeleteUserTokenRequest{Address: proto.String(address), AppId: proto.String(appID)}); err != nil {
		return err
	}
	found, err := w.users.ListUsers(ctx, &mesibov1.ListUsersRequest{AddressPattern: proto.String("* go")})
	if err != nil {
		return err
	}
	for _, user := range found.Users {
		state := "with"
		if user.AccessToken == nil {
			state = "without"
		}
		fmt.Printf("found %s, %s a token\n", user.GetAddress(), state)
	}
	return nil
}

// cleanUp deletes what the walk created, and one user twice.
func (w walker) cleanUp(ctx context.Context, uid, gid uint64) error {
	for _, address := range []string{alice, bob} {
		if _, err := w.users.DeleteUser(ctx, &mesibov1.DeleteUserRequest{Address: proto.String(address)}); err != nil {
			return err
		}
	}
	if _, err := w.groups.DeleteGroup(ctx, &mesibov1.DeleteGroupRequest{Gid: gid}); err != nil {
		return err
	}
	fmt.Println("deleted the users and the group")

	// What is gone already is often as good as deleted: the code tells.
	_, err := w.users.DeleteUser(ctx, &mesibov1.DeleteUserRequest{Uid: uid})
	if status.Code(err) != codes.NotFound {
		return err
	}
	fmt.Println(failureOf(err))
	return nil
}
