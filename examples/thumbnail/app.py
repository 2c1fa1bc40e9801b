"""Scales a picture. By URL: POST a picture, ?width=N (default 128) in pixels; answers a JPEG.

By event: {"image": "<base64>", "width": N}, answers {"image": "<base64>", "width", "height"}.
"""
import base64
import io

from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # what we read

MAX_WIDTH = 2000
Image.MAX_IMAGE_PIXELS = 40_000_000


def handler(event, context):
    by_url = "requestContext" in event
    source = (event.get("queryStringParameters") or {}) if by_url else event
    try:
        width = int(source.get("width", 128))
        if not 1 <= width <= MAX_WIDTH:
            raise ValueError
    except (TypeError, ValueError):
        return refuse(by_url, "width must be a number from 1 to %d" % MAX_WIDTH)
    data = event.get("body" if by_url else "image") or ""
    try:
        # A picture posted as a body always comes as base64.
        data = base64.b64decode(data) if not by_url or event.get("isBase64Encoded") else data.encode()
        jpeg, size = scale(data, width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return refuse(by_url, "not a picture I can read")
    text = base64.b64encode(jpeg).decode()
    if not by_url:
        return {"image": text, "width": size[0], "height": size[1]}
    return {"statusCode": 200, "headers": {"content-type": "image/jpeg"},
            "isBase64Encoded": True, "body": text}


def scale(data, width):
    picture = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    picture.draft("RGB", (width, width * picture.height // max(picture.width, 1)))
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    height = max(1, round(picture.height * width / picture.width))
    out = io.BytesIO()
    picture.resize((width, height), Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
    return out.getvalue(), (width, height)


def refuse(by_url, message):
    if by_url:
        return {"statusCode": 400, "headers": {"content-type": "text/plain"}, "body": message + "\n"}
    raise ValueError(message)
