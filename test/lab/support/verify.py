"""An independent judge: reads a message on standard input and checks each DKIM signature with dkimpy.

Prints JSON. The only thing taken from the lab is the address of its resolver; no code of waxseal is involved.
"""
import email.utils
import json
import re
import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
resolver.lifetime = 10


def text_record(name, timeout=5):
    """What dkimpy asks for: the strings of one TXT record, joined; None where there is none."""
    owner = name.decode("ascii") if isinstance(name, bytes) else name
    try:
        answer = resolver.resolve(owner, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    records = [b"".join(record.strings) for record in answer]
    return records[0] if len(records) == 1 else None


message = re.sub(rb"\r?\n", b"\r\n", sys.stdin.buffer.read())
judge = dkim.DKIM(message)
signatures = [value for name, value in judge.headers if name.lower() == b"dkim-signature"]
senders = [value for name, value in judge.headers if name.lower() == b"from"]
sender = email.utils.parseaddr(senders[0].decode("utf-8", "replace").strip())[1] if senders else ""
sender_domain = sender.rpartition("@")[2].lower()

found = []
for index, raw in enumerate(signatures):
    tags = {}
    for part in raw.decode("ascii", "replace").split(";"):
        name, _, value = part.partition("=")
        tags[name.strip()] = re.sub(r"\s+", "", value)
    error = ""
    try:
        valid = dkim.DKIM(message).verify(idx=index, dnsfunc=text_record)
    except dkim.DKIMException as problem:
        valid = False
        error = str(problem)
    domain = tags.get("d", "").lower()
    found.append(
        {
            "valid": bool(valid),
            "domain": domain,
            "selector": tags.get("s", ""),
            "algorithm": tags.get("a", ""),
            "headers": tags.get("h", "").lower().split(":"),
            "aligned": sender_domain == domain or sender_domain.endswith("." + domain),
            "error": error,
        }
    )
json.dump({"from": sender, "signatures": found}, sys.stdout)
