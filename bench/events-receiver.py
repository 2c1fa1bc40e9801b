"""events-receiver.py PORT FILE: takes what is POSTed to it and writes a line for each: call id, a blank, body."""
import asyncio
import sys


class Receiver(asyncio.Protocol):
    def __init__(self, out):
        self.out = out
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            lines = self.data[:end].split(b"\r\n")[1:]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            last = end + 4 + int(headers[b"content-length"])
            if len(self.data) < last:
                return
            self.out.write(headers[b"x-call-id"] + b" " + self.data[end + 4:last] + b"\n")
            self.data = self.data[last:]
            self.transport.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")


async def main(port, path):
    with open(path, "ab") as out:
        await asyncio.get_running_loop().create_server(lambda: Receiver(out), "127.0.0.1", port, backlog=512)
        while True:
            await asyncio.sleep(0.5)
            out.flush()

asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
