"""How a deployed file is loaded by somebody without this package: the code that pages and documentation show."""

from __future__ import annotations

import json

DESCRIBED = (".onnx", ".pte")
"""Runtime files that have a description beside them, under their name with ``.json`` behind it."""
DESCRIPTIONS = tuple(f"{end}.json" for end in DESCRIBED)
_CODE = """import json, numpy, onnxruntime, PIL.Image

session = onnxruntime.InferenceSession({file})
about = {{name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}}
expected = about["input"]
image = PIL.Image.open({image}).convert("RGB").resize(expected["size"][::-1])
x = numpy.asarray(image, numpy.float32).transpose(2, 0, 1)[None] / 255
mean, std = (numpy.float32(expected[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
(logits,) = session.run(None, {{expected["name"]: (x - mean) / std}})
print(about["classes"][logits.argmax()], logits)
"""


def loading_code(file: str, image: str = "image.png") -> str:
    """Return Python code that loads an ONNX file and classifies an image with what the file says of itself."""
    return _CODE.format(file=json.dumps(file), image=json.dumps(image))
