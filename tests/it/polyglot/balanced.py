"""Lists users over several servers, with the service config, and never ends.

Prints a line after every ten calls.
"""

import sys
from pathlib import Path

import grpc
from mesibo.v1.user_service_pb2 import ListUsersRequest
from mesibo.v1.user_service_pb2_grpc import UserServiceStub

_, service_config, addresses = sys.argv
options = [
    ("grpc.service_config", Path(service_config).read_text()),
    # Otherwise the whole list would be it, and no server takes that.
    ("grpc.default_authority", "mesibo-grpc"),
]
with grpc.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
    users = UserServiceStub(channel)
    while True:
        for _ in range(10):
            users.ListUsers(ListUsersRequest(), wait_for_ready=True)
        print("ten calls", flush=True)
