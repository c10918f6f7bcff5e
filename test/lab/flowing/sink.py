"""The next hop: takes every message and keeps it as it came. sink.py ADDRESS PORT DIRECTORY"""
import asyncio
import itertools
import pathlib
import sys
import time

address, port, directory = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
numbers = itertools.count(1)


async def serve(reader, writer):
    def say(text):
        writer.write(text.encode() + b"\r\n")

    say("220 sink.example.net ESMTP")
    try:
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"EHLO":
                say("250-sink.example.net\r\n250 8BITMIME")
            elif verb == b"DATA":
                say("354 go on")
                await writer.drain()
                lines = []
                while (line := await reader.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b".") else line)
                if line == b"":
                    return
                name = f"{next(numbers):06d}.{time.time():.3f}.eml"
                (directory / f".{name}").write_bytes(b"".join(lines))
                (directory / f".{name}").rename(directory / name)
                say("250 taken")
            elif verb == b"QUIT":
                say("221 bye")
                await writer.drain()
                return
            else:
                say("250 ok")
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, address, port, limit=1 << 20, backlog=200)
    async with server:
        await server.serve_forever()


asyncio.run(main())
