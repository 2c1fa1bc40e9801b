"""Greets. By URL: /function/hello?name=Ada, or the name as body. By event: {"name": "Ada"}."""
import base64


def handler(event, context):
    if "requestContext" not in event:
        return {"greeting": greet(event.get("name"))}
    name = (event.get("queryStringParameters") or {}).get("name")
    if not name and event.get("body"):
        name = event["body"]
        if event.get("isBase64Encoded"):
            name = base64.b64decode(name).decode()
    return {"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"},
            "body": greet(name) + "\n"}


def greet(name):
    return "Hello, %s!" % (str(name).strip()[:200] if name else "world")
