"""Changes to the files of a student's folder, with or without new checksums."""

import hashlib
import json

from gliner_distill.runtime.config import CONFIG_FILE, pack_student_config


def sign(folder):
    """Write the checksums anew, so that a changed file is read and not refused as damaged."""
    path = folder / CONFIG_FILE
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields.pop("format_version")
    names = fields.pop("sha256").keys() - {CONFIG_FILE}
    contents = {name: (folder / name).read_bytes() for name in sorted(names)}
    path.write_bytes(pack_student_config(fields, contents))


def change_config(folder, change):
    """Change the fields of a configuration, and sign it anew."""
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")
    sign(folder)


def write_signed(folder, name, content):
    """Replace the content of a file, and sign it."""
    (folder / name).write_bytes(content)
    sign(folder)


def write_version_3(folder):
    """Turn a student into one of format version 3, which listed its graph among its files."""
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8")) | {"format_version": 3}
    (folder / "words.onnx").write_bytes(b"the LSTM")
    digests = config.pop("sha256")
    contents = {"words.onnx": b"the LSTM", CONFIG_FILE: json.dumps(config, sort_keys=True).encode()}
    digests |= {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    path.write_text(json.dumps(config | {"sha256": digests}), encoding="utf-8")
