"""Other libraries find a service's instances in a view: one module for each library.

`quorate.discovery.aiohttp`, `quorate.discovery.httpx` and `quorate.discovery.grpc`; each is
imported only by those who use its library.
"""
