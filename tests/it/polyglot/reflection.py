"""Prints every method that reflection describes, in its versions v1alpha and v1."""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class V1:
    """A channel that asks for v1 where the library knows only v1alpha, whose
    messages are the same."""

    def __init__(self, channel):
        self.channel = channel

    def stream_stream(self, method, *args, **kwargs):
        return self.channel.stream_stream(
            method.replace(".v1alpha.", ".v1."), *args, **kwargs
        )


with grpc.insecure_channel(sys.argv[1]) as channel:
    for version, asked in ("v1alpha", channel), ("v1", V1(channel)):
        database = ProtoReflectionDescriptorDatabase(asked)
        pool = DescriptorPool(database)
        for name in database.get_services():
            for method in pool.FindServiceByName(name).methods:
                print(version, method.full_name)
