"""Pure decisions of a host: no asyncio, no sockets, no clock."""
