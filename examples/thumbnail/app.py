"""Scales a posted photograph down to ?width= pixels (default 160) and answers with a JPEG."""
import base64
import io

from PIL import Image

Image.init()  # load the format plug-ins now, so that they are in the snapshot


def handler(event, context):
    if not event.get("body") or not event.get("isBase64Encoded"):
        return {"statusCode": 400, "body": "Post an image, for example with curl --data-binary @photo.jpg\n"}
    try:
        width = int(event.get("queryStringParameters", {}).get("width", "160"))
        image = Image.open(io.BytesIO(base64.b64decode(event["body"])))
        if not 1 <= width <= 4096:
            raise ValueError("width must be 1 to 4096")
        image.draft("RGB", (width, width))  # lets the JPEG decoder skip what is not needed
        height = max(1, round(image.height * width / image.width))
        image = image.convert("RGB").resize((width, height), Image.LANCZOS)
    except (ValueError, OSError) as e:
        return {"statusCode": 400, "body": f"{e}\n"}
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/jpeg", "x-image-size": f"{width}x{height}"},
        "body": base64.b64encode(out.getvalue()).decode(),
        "isBase64Encoded": True,
    }
