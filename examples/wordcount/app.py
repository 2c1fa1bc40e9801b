"""Counts the lines, words and bytes of a posted text, as wc(1) does, and its most frequent words."""
import base64
import json
import re
from collections import Counter

WORD = re.compile(r"[^\W\d_]+")


def handler(event, context):
    body = event.get("body") or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    text = data.decode("utf-8", "replace")
    top = Counter(w.lower() for w in WORD.findall(text)).most_common(5)
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(
            {"lines": data.count(b"\n"), "words": len(data.split()), "bytes": len(data), "top": dict(top)}
        )
        + "\n",
    }
