"""Every RPC of mesibo-grpc, from Python, by the client of mesibo_client.py.

Usage: walk.py [URL]; the environment variable MESIBO_GRPC_KEY has the caller's key,
where the server wants one, and MESIBO_GRPC_CA_FILE names the authorities to trust in
the place of the usual ones.
"""

import sys

import grpc
from google.protobuf.duration_pb2 import Duration

import mesibo_client
import mesibo_stream
from mesibo.v1.group_service_pb2 import (
    CreateGroupRequest,
    DeleteGroupRequest,
    EditGroupMembersRequest,
    EditGroupRequest,
    ListGroupMembersRequest,
    MemberPermissions,
)
from mesibo.v1.group_service_pb2_grpc import GroupServiceStub
from mesibo.v1.message_service_pb2 import SendMessageRequest, SendMessagesRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub
from mesibo.v1.user_service_pb2 import (
    CreateUserRequest,
    DeleteUserRequest,
    DeleteUserTokenRequest,
    EditUserRequest,
    ListUsersRequest,
    RegenerateUserTokenRequest,
)
from mesibo.v1.user_service_pb2_grpc import UserServiceStub

ALICE = "alice 👩‍🚀 &=+% python"
BOB = "בוב 🦀 python"
TEXT = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line"
APP_ID = "demo"


def walk(channel: grpc.Channel) -> None:
    users = UserServiceStub(channel)
    groups = GroupServiceStub(channel)
    messages = MessageServiceStub(channel)

    alice = users.CreateUser(
        CreateUserRequest(
            address=ALICE, app_id=APP_ID, token_expiry=Duration(seconds=3600)
        )
    )
    users.CreateUser(CreateUserRequest(address=BOB, app_id=APP_ID))
    print(f"created {ALICE} and {BOB}")

    # What has a request_id is done once, however often it is repeated.
    group = mesibo_client.once(groups.CreateGroup, CreateGroupRequest(name="team"))
    groups.EditGroupMembers(
        EditGroupMembersRequest(
            gid=group.gid,
            members=[ALICE, BOB],
            action=EditGroupMembersRequest.ACTION_ADD,
            permissions=MemberPermissions(can_send=True),
        )
    )
    listed = groups.ListGroupMembers(ListGroupMembersRequest(gid=group.gid))
    print("the group has", " and ".join(member.address for member in listed.members))

    for recipient in ({"to_address": BOB}, {"gid": group.gid}):
        sent = mesibo_client.once(
            messages.SendMessage,
            SendMessageRequest(from_address=ALICE, message=TEXT, **recipient),
        )
        # A field that may be absent is asked for before it is read.
        known = "with" if sent.HasField("message_id") else "without"
        print(f"sent a message to {next(iter(recipient))}, {known} an id")

    # By the thousand: each item of a stream is answered by itself.
    notes = [
        SendMessageRequest(from_address=ALICE, to_address=BOB, message=text)
        for text in ["one", "two", "", "three"]
    ]
    streamed = mesibo_stream.send(messages.SendMessages, SendMessagesRequest, notes)
    answers = [answer for _, answer in streamed]
    sent = [answer for answer in answers if answer.HasField("response")]
    print("streamed", len(sent), "of", len(answers), "messages")
    for answer in answers:
        if answer.HasField("status"):
            print(mesibo_client.Failure.of_item(answer.status))

    users.EditUser(EditUserRequest(address=ALICE, flags=1))
    groups.EditGroup(EditGroupRequest(gid=group.gid, name="crew"))
    print("edited the user and the group")

    users.RegenerateUserToken(RegenerateUserTokenRequest(address=BOB, app_id=APP_ID))
    users.DeleteUserToken(DeleteUserTokenRequest(address=BOB, app_id=APP_ID))
    found = users.ListUsers(ListUsersRequest(address_pattern="* python"))
    for user in found.users:
        state = "with" if user.HasField("access_token") else "without"
        print(f"found {user.address}, {state} a token")

    # A mistake: 90 seconds are no whole minutes, and there is no address at all.
    try:
        wrong = CreateUserRequest(app_id=APP_ID, token_expiry=Duration(seconds=90))
        users.CreateUser(wrong)
    except grpc.RpcError as error:
        print(mesibo_client.Failure.of(error))

    users.DeleteUser(DeleteUserRequest(address=ALICE))
    users.DeleteUser(DeleteUserRequest(address=BOB))
    groups.DeleteGroup(DeleteGroupRequest(gid=group.gid))
    print("deleted the users and the group")

    # What is gone already is often as good as deleted: the code tells.
    try:
        users.DeleteUser(DeleteUserRequest(uid=alice.uid))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        print(mesibo_client.Failure.of(error))


def main() -> int:
    with mesibo_client.connect(*sys.argv[1:2]) as channel:
        try:
            walk(channel)
        except grpc.RpcError as error:
            print(mesibo_client.Failure.of(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
