"""Greets by name: from ?name=, from a posted {"name": ...}, or from the event itself."""
import json


def handler(event, context):
    if "requestContext" not in event:  # invoked directly: the event is the caller's own
        return {"message": f"Hello, {event.get('name', 'world')}!"}
    name = event.get("queryStringParameters", {}).get("name")
    if not name and event.get("body"):
        try:
            name = json.loads(event["body"]).get("name")
        except (ValueError, AttributeError):
            return {"statusCode": 400, "body": 'Post JSON such as {"name": "Ada"}.\n'}
    return {
        "statusCode": 200,
        "headers": {"content-type": "text/plain; charset=utf-8"},
        "body": f"Hello, {name or 'world'}!\n",
    }
