"""A stream of mail through the host and a receiver that judges it: stream.py SENDER_RATE RECIPIENT_PORT RUN_FILE.

The receiver verifies each message with dkimpy when it is handed in, asking the two authoritative servers in turn and no
cache. Every fifth message is sent back with 450 and comes again out of the host's queue; every other one is verified
once more some seconds later, as by a slow hop. The stream ends when RUN_FILE is gone; sums are printed as JSON.
"""
import asyncio
import json
import os
import re
import smtplib
import sys
import threading
import time

import dkim
import dns.message
import dns.query
import dns.rdatatype

rate, port, run_file = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
AUTHORITATIVE = ["10.53.1.1", "10.53.1.2"]
AGAIN_SECONDS = 6.0
turn = 0
lock = threading.Lock()
sums = {"sent": 0, "refused": 0, "received": 0, "checks": 0, "delayed": 0, "late": 0, "unsigned": 0, "failed": 0, "selectors": {}}
failures = []
arrived = set()
sent_back = set()
later = []


def text_record(name, timeout=5):
    global turn
    owner = name.decode("ascii") if isinstance(name, bytes) else name
    turn += 1
    query = dns.message.make_query(owner, "TXT")
    for attempt in range(4):
        try:
            answer = dns.query.udp(query, AUTHORITATIVE[(turn + attempt) % 2], timeout=2)
            break
        except Exception:
            continue
    else:
        return None
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.TXT and len(rrset) == 1:
            return b"".join(list(rrset)[0].strings)
    return None


def judge(message, what):
    sums["checks"] += 1
    fields = [v for n, v in dkim.DKIM(message).headers if n.lower() == b"dkim-signature"]
    if not fields:
        sums["unsigned"] += 1
        failures.append(f"{what}: unsigned")
        return
    selector = re.search(rb"\bs=([^;\s]+)", fields[0]).group(1).decode()
    try:
        valid = dkim.DKIM(message).verify(dnsfunc=text_record)
    except dkim.DKIMException as problem:
        valid = False
        what += f" {problem}"
    if valid:
        sums["selectors"][selector] = sums["selectors"].get(selector, 0) + 1
    else:
        sums["failed"] += 1
        failures.append(f"{what}: {selector} fails at {time.time():.1f}")


class Receiver(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest, self.data = transport, b"", None
        self.say("220 sink")

    def say(self, text):
        self.transport.write(text.encode() + b"\r\n")

    def data_received(self, octets):
        self.rest += octets
        while True:
            if self.data is not None:
                end = self.rest.find(b"\r\n.\r\n")
                if end < 0:
                    return
                body = self.rest[: end + 2].replace(b"\r\n..", b"\r\n.")
                self.rest, self.data = self.rest[end + 5 :], None
                self.message(body)
                continue
            line, found, rest = self.rest.partition(b"\r\n")
            if not found:
                return
            self.rest = rest
            verb = line[:4].upper()
            if verb == b"DATA":
                self.data = True
                self.say("354 go on")
            elif verb == b"QUIT":
                self.say("221 bye")
                self.transport.close()
            else:
                self.say("250 ok")

    def message(self, body):
        number = int(re.search(rb"^Subject: number (\d+)", body, re.M).group(1))
        if number % 5 == 0 and number not in sent_back:
            sent_back.add(number)
            judge(body, f"{number} on arrival")
            self.say("450 4.2.0 come again")
            return
        self.say("250 taken")
        if number in arrived:
            return
        arrived.add(number)
        sums["received"] += 1
        if number in sent_back:
            sums["delayed"] += 1
            judge(body, f"{number} out of the queue")
        else:
            judge(body, f"{number} on arrival")
            later.append((time.monotonic() + AGAIN_SECONDS, body, number))


def send(offset, count, per_session):
    number = offset
    smtp, used = None, 0
    begun = time.monotonic()
    while os.path.exists(run_file):
        pause = begun + (number - offset) / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        text = (
            f"From: Alice Example <alice@example.com>\r\nTo: <bob@sink.example.net>\r\nSubject: number {number}\r\n"
            f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}\r\nMessage-ID: <{number}@lab.example.com>\r\n"
            f"\r\nMessage {number}.\r\n"
        ).encode()
        try:
            if smtp is None:
                smtp = smtplib.SMTP("127.0.0.1", 25, "client.example.com", 20)
            smtp.sendmail("alice@example.com", ["bob@sink.example.net"], text)
            with lock:
                sums["sent"] += 1
        except Exception as problem:
            smtp = None
            with lock:
                sums["refused"] += 1
                failures.append(f"{number} refused: {problem}")
        used += 1
        if smtp is not None and used % per_session == 0:
            smtp.quit()
            smtp = None
        number += count
    if smtp is not None:
        smtp.quit()


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiver, "10.53.3.1", port)
    # Short sessions and long ones: those that are open at a switch, too.
    threads = [threading.Thread(target=send, args=(i, 2, (1, 40)[i])) for i in range(2)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    ended = None
    while True:
        await asyncio.sleep(0.05)
        while later and later[0][0] <= time.monotonic():
            _, body, number = later.pop(0)
            sums["late"] += 1
            judge(body, f"{number} later")
        if ended is None and not any(thread.is_alive() for thread in threads):
            ended = time.monotonic()
            sums["seconds"] = round(ended - begun, 1)
        if ended is not None and not later and (sums["received"] >= sums["sent"] or time.monotonic() - ended > 40):
            break
    server.close()
    sums["failures"] = failures[:20]
    print(json.dumps(sums))


asyncio.run(main())
