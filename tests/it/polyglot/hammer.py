"""Sends 10,000 messages, each a number, by a client that repeats UNAVAILABLE.

Prints how many were answered. The variable SERVER has the address.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import grpc
from mesibo.v1.message_service_pb2 import SendMessageRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub

RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
SERVICE_CONFIG = {"methodConfig": [{"name": [{}], "retryPolicy": RETRY}]}


def send(number):
    request = SendMessageRequest(from_address="alice", gid=9, message=str(number))
    try:
        return messages.SendMessage(request, timeout=0.3).message_id == number
    except grpc.RpcError:
        return False


options = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
with grpc.insecure_channel(os.environ["SERVER"], options=options) as channel:
    messages = MessageServiceStub(channel)
    with ThreadPoolExecutor(32) as callers:
        print(sum(callers.map(send, range(1, 10_001))))
