"""Every RPC of mesibo-grpc, from Python.

Usage: walk.py [HOST:PORT]; the environment variable MESIBO_GRPC_KEY has the
caller's key, where the server wants one.
"""

import os
import sys

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from mesibo.v1.group_service_pb2 import (
    CreateGroupRequest,
    DeleteGroupRequest,
    EditGroupMembersRequest,
    EditGroupRequest,
    ListGroupMembersRequest,
    MemberPermissions,
)
from mesibo.v1.group_service_pb2_grpc import GroupServiceStub
from mesibo.v1.message_service_pb2 import SendMessageRequest
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

    # What every call gets: by when it must be answered, and who calls.
    options = {"timeout": 10, "metadata": credentials()}

    alice = users.CreateUser(
        CreateUserRequest(
            address=ALICE, app_id=APP_ID, token_expiry=Duration(seconds=3600)
        ),
        **options,
    )
    bob = users.CreateUser(CreateUserRequest(address=BOB, app_id=APP_ID), **options)
    print(f"created {ALICE} and {BOB}")

    group = groups.CreateGroup(CreateGroupRequest(name="team"), **options)
    groups.EditGroupMembers(
        EditGroupMembersRequest(
            gid=group.gid,
            members=[ALICE, BOB],
            action=EditGroupMembersRequest.ACTION_ADD,
            permissions=MemberPermissions(can_send=True),
        ),
        **options,
    )
    listed = groups.ListGroupMembers(ListGroupMembersRequest(gid=group.gid), **options)
    print("the group has", " and ".join(member.address for member in listed.members))

    for recipient in ({"to_address": BOB}, {"gid": group.gid}):
        sent = messages.SendMessage(
            SendMessageRequest(from_address=ALICE, message=TEXT, **recipient), **options
        )
        # A field that may be absent is asked for before it is read.
        known = "with" if sent.HasField("message_id") else "without"
        print(f"sent a message to {next(iter(recipient))}, {known} an id")

    users.EditUser(EditUserRequest(uid=alice.uid, flags=1), **options)
    groups.EditGroup(EditGroupRequest(gid=group.gid, name="crew"), **options)
    print("edited the user and the group")

    users.RegenerateUserToken(
        RegenerateUserTokenRequest(uid=bob.uid, app_id=APP_ID), **options
    )
    users.DeleteUserToken(
        DeleteUserTokenRequest(uid=bob.uid, app_id=APP_ID), **options
    )
    found = users.ListUsers(ListUsersRequest(address_pattern="* python"), **options)
    for user in found.users:
        state = "with" if user.HasField("access_token") else "without"
        print(f"found {user.address}, {state} a token")

    # A mistake: 90 seconds are no whole minutes, and there is no address at all.
    try:
        wrong = CreateUserRequest(app_id=APP_ID, token_expiry=Duration(seconds=90))
        users.CreateUser(wrong, **options)
    except grpc.RpcError as error:
        explain(error)

    users.DeleteUser(DeleteUserRequest(uid=alice.uid), **options)
    users.DeleteUser(DeleteUserRequest(uid=bob.uid), **options)
    groups.DeleteGroup(DeleteGroupRequest(gid=group.gid), **options)
    print("deleted the users and the group")

    # What is gone already is often as good as deleted: the code tells.
    try:
        users.DeleteUser(DeleteUserRequest(uid=alice.uid), **options)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        explain(error)


def credentials() -> list[tuple[str, str]]:
    """The metadata that tells the server who calls."""
    key = os.environ.get("MESIBO_GRPC_KEY")
    return [("authorization", f"Bearer {key}")] if key else []


def explain(error: grpc.RpcError) -> None:
    """Says what a program can know of an error, from its details."""
    status = rpc_status.from_call(error)
    info, bad_request, retry_info = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details if status else []:
        for message in (info, bad_request, retry_info):
            detail.Unpack(message)

    print(f"{error.code().name}: {info.reason} from {info.domain}")
    for violation in bad_request.field_violations:
        print(f"  {violation.field}: {violation.description}")
    if info.metadata.get("outcome") == "unknown":
        print("  it may have been carried out: check before you repeat it")
    if retry_info.HasField("retry_delay"):
        print(f"  repeat it in {retry_info.retry_delay.seconds} s")


def main() -> int:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    # One channel serves all stubs and threads of a process.
    with grpc.insecure_channel(address) as channel:
        try:
            walk(channel)
        except grpc.RpcError as error:
            explain(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
