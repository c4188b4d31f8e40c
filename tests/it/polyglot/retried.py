"""Makes a call that is safe to repeat, and one that is not, with the service
config; prints the code of each."""

import sys
from pathlib import Path

import grpc
from mesibo.v1.message_service_pb2 import SendMessageRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub
from mesibo.v1.user_service_pb2 import EditUserRequest
from mesibo.v1.user_service_pb2_grpc import UserServiceStub

_, service_config, address = sys.argv
options = [("grpc.service_config", Path(service_config).read_text())]
with grpc.insecure_channel(address, options=options) as channel:
    edit = EditUserRequest(uid=7, flags=1)
    message = SendMessageRequest(from_address="alice", to_address="bob", message="hi")
    for method, request in (
        (UserServiceStub(channel).EditUser, edit),
        (MessageServiceStub(channel).SendMessage, message),
    ):
        try:
            method(request)
            print("OK")
        except grpc.RpcError as error:
            print(error.code().name)
