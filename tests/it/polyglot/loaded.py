"""Sends messages and lists users over several servers, with the service config, on
several threads, until its input ends.

Prints each failure, and in the end how many messages were sent.
"""

import sys
import threading
from pathlib import Path

import grpc
from mesibo.v1.message_service_pb2 import SendMessageRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub
from mesibo.v1.user_service_pb2 import ListUsersRequest
from mesibo.v1.user_service_pb2_grpc import UserServiceStub

THREADS = 4

_, service_config, addresses = sys.argv
options = [
    ("grpc.service_config", Path(service_config).read_text()),
    # Otherwise the whole list would be it, and no server takes that.
    ("grpc.default_authority", "mesibo-grpc"),
]
message = SendMessageRequest(from_address="alice", to_address="bob", message="hi")
over = threading.Event()
sent = [0] * THREADS


def load(thread):
    while not over.is_set():
        try:
            messages.SendMessage(message)
            sent[thread] += 1
            users.ListUsers(ListUsersRequest())
        except grpc.RpcError as error:
            print("failed:", error.code().name, error.details(), flush=True)


with grpc.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
    messages, users = MessageServiceStub(channel), UserServiceStub(channel)
    threads = [threading.Thread(target=load, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
print(sum(sent), "messages sent")
