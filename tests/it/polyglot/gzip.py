"""Makes calls whose requests are compressed by gzip: one that succeeds, one that is
refused, and a stream. Prints what comes of them."""

import sys

import grpc
import mesibo_client
from mesibo.v1.message_service_pb2 import SendMessageRequest, SendMessagesRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub
from mesibo.v1.user_service_pb2 import CreateUserRequest, ListUsersRequest
from mesibo.v1.user_service_pb2_grpc import UserServiceStub

GZIP = grpc.Compression.Gzip

with grpc.insecure_channel(sys.argv[1], compression=GZIP) as channel:
    users = UserServiceStub(channel)
    for number in range(20):
        address = f"{number} {'x' * 900}"
        users.CreateUser(CreateUserRequest(address=address, app_id="demo"))
    listed = users.ListUsers(ListUsersRequest()).users
    print("listed", len(listed), sum(len(user.address) for user in listed) // 1000)
    try:
        users.CreateUser(CreateUserRequest(app_id="x" * 2000))
    except grpc.RpcError as error:
        failure = mesibo_client.Failure.of(error)
        print(failure.code.name, *(it.field for it in failure.violations))

    def items():
        for number in range(3):
            message = f"{number} {'x' * 10_000}"
            request = SendMessageRequest(
                from_address=f"1 {'x' * 900}", to_address=f"2 {'x' * 900}", message=message
            )
            yield SendMessagesRequest(key=str(number), request=request)

    answers = MessageServiceStub(channel).SendMessages(items())
    print("streamed", *sorted(answer.key for answer in answers if answer.HasField("response")))
