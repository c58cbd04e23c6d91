"""What gRPC itself defines for any server: health checks and reflection.

Source: gRPC's `grpc/health/v1/health.proto`, as in the servers of etcd 3.5 (without the later
`List`), and `grpc/reflection/v1alpha/reflection.proto`. The form of the tables is that of
`schema`.
"""

from __future__ import annotations

from typing import Final

from quorate.codecs.etcd.schema import ProtoFile

HEALTH: Final = ProtoFile(
    path="grpc/health/v1/health.proto",
    package="grpc.health.v1",
    enums={"HealthCheckResponse.ServingStatus": "UNKNOWN SERVING NOT_SERVING SERVICE_UNKNOWN"},
    messages={
        "HealthCheckRequest": "service=1 string",
        "HealthCheckResponse": "status=1 HealthCheckResponse.ServingStatus",
    },
    services={
        "Health": {
            "Check": "HealthCheckRequest HealthCheckResponse",
            "Watch": "HealthCheckRequest *HealthCheckResponse",
        },
    },
)
REFLECTION: Final = ProtoFile(
    path="grpc/reflection/v1alpha/reflection.proto",
    package="grpc.reflection.v1alpha",
    messages={
        "ServerReflectionRequest": (
            "host=1 string, file_by_filename=3 string ?message_request, "
            "file_containing_symbol=4 string ?message_request, "
            "file_containing_extension=5 ExtensionRequest ?message_request, "
            "all_extension_numbers_of_type=6 string ?message_request, "
            "list_services=7 string ?message_request"
        ),
        "ExtensionRequest": "containing_type=1 string, extension_number=2 int32",
        "ServerReflectionResponse": (
            "valid_host=1 string, original_request=2 ServerReflectionRequest, "
            "file_descriptor_response=4 FileDescriptorResponse ?message_response, "
            "all_extension_numbers_response=5 ExtensionNumberResponse ?message_response, "
            "list_services_response=6 ListServiceResponse ?message_response, "
            "error_response=7 ErrorResponse ?message_response"
        ),
        "FileDescriptorResponse": "file_descriptor_proto=1 bytes *",
        "ExtensionNumberResponse": "base_type_name=1 string, extension_number=2 int32 *",
        "ListServiceResponse": "service=1 ServiceResponse *",
        "ServiceResponse": "name=1 string",
        "ErrorResponse": "error_code=1 int32, error_message=2 string",
    },
    services={
        "ServerReflection": {
            "ServerReflectionInfo": "*ServerReflectionRequest *ServerReflectionResponse",
        },
    },
)
