"""A gRPC server over asyncio that serves HTTP/1.1 on the same port; it knows no service.

`server.GrpcServer` is the door; `methods`, `codes` and `limits` hold what it is given.
"""
