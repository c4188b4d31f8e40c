"""Prints what a server's health says, by Check and by Watch, until it does not serve."""

import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

with grpc.insecure_channel(sys.argv[1]) as channel:
    health = HealthStub(channel)
    request = HealthCheckRequest(service="mesibo.v1.UserService")
    for watched in health.Watch(request, timeout=60):
        checked = health.Check(request, timeout=10)
        statuses = [watched.status, checked.status]
        print(*map(HealthCheckResponse.ServingStatus.Name, statuses), flush=True)
        if watched.status != HealthCheckResponse.SERVING:
            break
