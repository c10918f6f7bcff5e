"""Senders that never stop: stream.py RATE FROM[,FROM...]. One connection a message; what Postfix refuses for now (4xx,
or a connection that breaks) is tried again, as every mail server does. Ends its intake on SIGTERM, then waits for those
under way. Prints one JSON line a message: id, from, begun and accepted (seconds of the epoch, of the try that was
accepted), deferred (what was answered, or broke, at each try before that: when, and the words)."""
import concurrent.futures
import email.utils
import json
import signal
import smtplib
import sys
import threading
import time

rate = float(sys.argv[1])
senders = sys.argv[2].split(",")
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
out = threading.Lock()


def send(number):
    sender = senders[number % len(senders)]
    ident = f"flow-{number:06d}"
    text = "\r\n".join(
        [
            f"From: Sender <{sender}>",
            "To: <someone@sink.example.net>",
            f"Subject: message {number}",
            f"Date: {email.utils.formatdate()}",
            f"Message-ID: <{ident}@stream.example.com>",
            "",
            "A line,  with  blanks inside and after   ",
            ".a line that begins with a dot",
            "x" * (number % 900),
            "",
        ]
    ).encode()
    deferred = []
    for _ in range(200):
        begun = time.time()
        try:
            with smtplib.SMTP("127.0.0.1", 25, "client.example.com", 30) as smtp:
                smtp.sendmail(sender, ["someone@sink.example.net"], text)
                accepted = time.time()
            break
        except smtplib.SMTPServerDisconnected:
            # After the message was taken only QUIT is left; a break there is no failure.
            if "accepted" in locals():
                break
            deferred.append([begun, "disconnected"])
            time.sleep(0.3)
        except smtplib.SMTPResponseException as error:
            if error.smtp_code >= 500:
                with out:
                    print(json.dumps({"id": ident, "refused": f"{error.smtp_code} {error.smtp_error!r}"}), flush=True)
                return
            deferred.append([begun, f"{error.smtp_code} {error.smtp_error!r}"])
            time.sleep(0.3)
        except (smtplib.SMTPException, OSError) as error:
            deferred.append([begun, repr(error)])
            time.sleep(0.3)
    else:
        with out:
            print(json.dumps({"id": ident, "refused": "gave up"}), flush=True)
        return
    with out:
        print(
            json.dumps({"id": ident, "from": sender, "begun": begun, "accepted": accepted, "deferred": deferred}),
            flush=True,
        )


with concurrent.futures.ThreadPoolExecutor(24) as pool:
    first = time.monotonic()
    number = 0
    while not stop.is_set():
        pool.submit(send, number)
        number += 1
        time.sleep(max(0.0, first + number / rate - time.monotonic()))
