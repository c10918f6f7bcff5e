"""dkimpy on every message of a directory: judge.py RESOLVER DIRECTORY. One JSON line a message."""
import email
import json
import pathlib
import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
known = {}


def text_record(name, timeout=5):
    owner = name.decode("ascii") if isinstance(name, bytes) else name
    if owner not in known:
        try:
            known[owner] = b"".join(next(iter(resolver.resolve(owner, "TXT"))).strings)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            known[owner] = None
    return known[owner]


for file in sorted(pathlib.Path(sys.argv[2]).glob("*.eml")):
    message = file.read_bytes()
    judge = dkim.DKIM(message)
    signatures = [value for name, value in judge.headers if name.lower() == b"dkim-signature"]
    headers = email.message_from_bytes(message)
    verdicts = []
    for index, _ in enumerate(signatures):
        try:
            verdicts.append(bool(dkim.DKIM(message).verify(idx=index, dnsfunc=text_record)))
        except dkim.DKIMException:
            verdicts.append(False)
    print(
        json.dumps(
            {
                "file": file.name,
                "id": headers["Message-ID"].strip("<>").partition("@")[0],
                "arrived": float(file.name.split(".", 1)[1][:-4]),
                "verdicts": verdicts,
            }
        )
    )
