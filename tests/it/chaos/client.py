"""Sends a message for each number that a line of its input has, once only, and repeats the
call with its id until it has a definite answer, and then once more.

Prints each answer: the number, when the call began and when it ended in microseconds, the
code, the reason, `unknown` if the outcome is, the id of the message, and `replayed` if the
answer was given before, with `-` for what there is not.
The answers to a number are followed by the number and `end`.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from mesibo.v1.message_service_pb2 import SendMessageRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub

_, addresses, service_config, timeout, callers = sys.argv
options = [
    ("grpc.service_config", service_config),
    ("grpc.default_authority", "mesibo-grpc"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
printing = threading.Lock()
pause = threading.Event()


def say(*words):
    with printing:
        print(*words, flush=True)


def now():
    return time.time_ns() // 1000


def failure(error):
    """The reason and the outcome of a failure, and whether Mesibo said no."""
    status, info = rpc_status.from_call(error), ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            break
    outcome = info.metadata.get("outcome", "-")
    return info.reason or "-", outcome, info.domain == "mesibo.com"


def attempt(number):
    """Makes the call, and says whether its answer is definite."""
    request = SendMessageRequest(
        from_address="alice",
        gid=9,
        message=str(number),
        request_id=f"00000000-0000-4000-8000-{number:012x}",
    )
    begun = now()
    try:
        answer, call = messages.SendMessage.with_call(request, timeout=float(timeout))
        code, reason, outcome, mid, is_definite = "OK", "-", "-", answer.message_id, True
    except grpc.RpcError as error:
        call, code, mid = error, error.code().name, "-"
        reason, outcome, is_definite = failure(error)
    ended = now()
    metadata = dict(call.initial_metadata() or ()) | dict(call.trailing_metadata() or ())
    is_replayed = "request-replayed" in metadata
    replayed = "replayed" if is_replayed else "-"
    say(number, begun, ended, code, reason, outcome, mid, replayed)
    return is_definite or is_replayed


def send(number):
    while not attempt(number):
        pause.wait(0.05)
    attempt(number)
    say(number, "end")


with grpc.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
    messages = MessageServiceStub(channel)
    with ThreadPoolExecutor(int(callers)) as pool:
        sent = [pool.submit(send, int(line)) for line in sys.stdin]
    for future in sent:
        future.result()
