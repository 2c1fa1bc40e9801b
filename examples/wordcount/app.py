"""Counts lines, words and bytes of a text as wc(1) does, and names its commonest words.

By URL: the text is the body; ?top=N chooses how many words. By event: {"text": "...", "top": 5}.
"""
import base64
import json
import re
from collections import Counter

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def handler(event, context):
    if "requestContext" not in event:
        return count(str(event.get("text", "")).encode(), event.get("top", 10))
    body = event.get("body") or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    top = (event.get("queryStringParameters") or {}).get("top", "10")
    if not top.isdigit():
        return {"statusCode": 400, "body": "top must be a number\n"}
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": json.dumps(count(data, int(top)), ensure_ascii=False) + "\n"}


def count(data, top):
    words = Counter(WORD.findall(data.decode("utf-8", "replace").lower()))
    return {"lines": data.count(b"\n"), "words": len(data.split()), "bytes": len(data),
            "top": [{"word": word, "count": n} for word, n in words.most_common(top)]}
