"""An SMTP client on the host's own network: submit.py FROM TO [SOURCE [XCLIENT]], the message on standard input."""
import smtplib
import sys

sender, recipient = sys.argv[1:3]
source = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
server = "127.0.0.1" if source == "127.0.0.1" else "10.53.2.1"
with smtplib.SMTP(server, 25, "client.example.com", 30, (source, 0)) as smtp:
    if len(sys.argv) > 4:
        smtp.ehlo()
        # The server begins anew after it, with a greeting.
        code, words = smtp.docmd("XCLIENT", sys.argv[4])
        if code != 220:
            sys.exit(f"XCLIENT: {code} {words!r}")
        smtp.ehlo()
    smtp.sendmail(sender, [recipient], sys.stdin.buffer.read())
